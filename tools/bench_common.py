"""What the benchmarks share: the machine, the data folder, and a results file that is written row by row."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inrcodec.bench.machine import machine
from inrcodec.files import write_atomic

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@dataclass(eq=False)
class Results:
    """A results file: {section: {machine, options, ..., rows}}. Every change is on disk when the call returns.

    only    substrings of keys; a row whose key has none of them is not measured (all are where there are no substrings)
    resume  leave rows that are there as they are
    """

    path: Path
    only: tuple[str, ...] = ()
    resume: bool = False
    content: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read()

    def begin(self, section: str, **about: Any) -> None:
        """Say what holds for the whole section; its rows stay."""
        self._read()
        held = self.content.setdefault(section, {"rows": []})
        held |= {"machine": machine(), **about}
        held["rows"] = held.pop("rows")
        self._write()

    def rows(self, section: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.content.get(section, {}).get("rows", [])
        return found

    def wanted(self, section: str, key: str) -> bool:
        """Whether the row is to be measured now."""
        chosen = not self.only or any(part in key for part in self.only)
        return chosen and not (self.resume and any(row["key"] == key for row in self.rows(section)))

    def put(self, section: str, key: str, row: dict[str, Any]) -> None:
        """Write a finished row in the place of the one with that key, or at the end."""
        self._read()
        rows = self.content.setdefault(section, {"rows": []})["rows"]
        full = {"key": key, **row}
        place = next((k for k, old in enumerate(rows) if old["key"] == key), len(rows))
        rows[place : place + 1] = [full]
        self._write()
        print(json.dumps(full), flush=True)

    def _read(self) -> None:
        # Before every change: another section may be running beside this one.
        if self.path.exists():
            self.content = json.loads(self.path.read_text())

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self.path, (json.dumps(self.content, indent=1) + "\n").encode())
