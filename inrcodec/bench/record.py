"""The rows of a measurement while it runs: every change is on disk when the call returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inrcodec.bench.base import Row
from inrcodec.bench.report import plain_row, read_json, row_of, write_json
from inrcodec.errors import InputError, UsageError

DECISIVE = ("crop", "effort", "arch", "settings", "device")  # options that our files depend on beside their target


@dataclass(eq=False)
class Record:
    """An rd.json in the making.

    about     what holds for all rows, as it stands in the file: kind, seed, options, codecs {name: version}, items, ...
    rows      measured files
    failures  what a codec could not encode or decode: item, codec, parameter, error
    """

    path: Path
    about: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def has(self, item: str, codec: str, parameter: str) -> bool:
        return any((row.item, row.codec, row.parameter) == (item, codec, parameter) for row in self.rows)

    def put(self, row: Row) -> None:
        self.rows.append(row)
        self.write()

    def fail(self, item: str, codec: str, parameter: str, error: Exception) -> None:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        self.failures.append({"item": item, "codec": codec, "parameter": parameter, "error": told})
        self.write()

    def sort(self) -> None:
        """Rows by item and codec in the order of `about`; those of one codec stay in theirs."""
        items = [item["name"] for item in self.about["items"]]
        codecs = list(self.about["codecs"])
        self.rows.sort(key=lambda row: (items.index(row.item), codecs.index(row.codec)))

    def write(self, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Write and return the content; it is complete with `found`, what the rows say."""
        content = {
            **self.about,
            "complete": found is not None,
            "failures": self.failures,
            "rows": [plain_row(row, self.about["kind"]) for row in self.rows],
            **(found or {}),
        }
        write_json(self.path, content)
        return content

    def resume(self) -> int:
        """Take over the rows of the file at `path`; how many are left out because their codec's version or their item is another now.

        Raises InputError for a file that holds none, UsageError where ours were measured with other options.
        """
        old = read_json(self.path)
        for name, before, now in self._decisive(old):
            if before != now:
                raise UsageError(
                    f"{self.path}: was measured with {name} {before}, got {now}; expected the same to resume, or another folder"
                )
        try:
            rows = [row_of(plain, self.about["kind"]) for plain in old["rows"]]
            before = {(item["name"], item["sha256"]) for item in old["items"]}, set(old["codecs"].items())
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{self.path}: cannot be resumed: expected rows, items and codecs, got {error!r}") from error
        items = {item["name"] for item in self.about["items"] if (item["name"], item["sha256"]) in before[0]}
        codecs = {codec for codec, version in self.about["codecs"].items() if (codec, version) in before[1]}
        self.rows = [row for row in rows if row.item in items and row.codec in codecs]
        return len(rows) - len(self.rows)

    def _decisive(self, old: dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """(name, before, now) of what our files depend on."""
        options = old["options"] if isinstance(old.get("options"), dict) else {}
        chosen = [(name, options.get(name), self.about["options"][name]) for name in DECISIVE]
        return [(name, old.get(name), self.about[name]) for name in ("kind", "seed")] + chosen
