"""The files of a measurement: rd.json, which is also what a later run goes on from, and rd.csv."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inrcodec.bench.base import Row
from inrcodec.errors import InputError
from inrcodec.files import write_atomic

SCHEMA = "inrcodec.bench.rd/1"
UNITS = {"image": "bpp", "volume": "ratio"}
_COLUMNS = ("item", "codec", "parameter", "bytes", "{unit}", "psnr", "encode_seconds", "decode_seconds", "target_met")


def columns(kind: str) -> tuple[str, ...]:
    """Names of a row's values; the rate is `bpp` of images and `ratio` of volumes."""
    return tuple(name.format(unit=UNITS[kind]) for name in _COLUMNS)


def plain_row(row: Row, kind: str) -> dict[str, Any]:
    """A row by the names of `columns`."""
    return {name: getattr(row, "rate" if name == UNITS[kind] else name) for name in columns(kind)}


def row_of(plain: dict[str, Any], kind: str) -> Row:
    """The inverse of `plain_row`. Raises KeyError, TypeError, ValueError for what is none."""
    return Row(
        item=str(plain["item"]),
        codec=str(plain["codec"]),
        parameter=str(plain["parameter"]),
        bytes=int(plain["bytes"]),
        rate=float(plain[UNITS[kind]]),
        psnr=None if plain["psnr"] is None else float(plain["psnr"]),
        encode_seconds=float(plain["encode_seconds"]),
        decode_seconds=float(plain["decode_seconds"]),
        target_met=plain["target_met"],
    )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write atomically, so that whoever reads or interrupts finds a whole file: a line per entry, and per element of its lists."""
    lines = ",\n".join(f"{_json(name)}: {_entry(value)}" for name, value in content.items())
    write_atomic(path, f"{{\n{lines}\n}}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """What `write_json` wrote. Raises InputError for anything else."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be resumed: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise InputError(f"{path}: cannot be resumed: expected the schema {SCHEMA}")
    return content


def write_csv(path: Path, rows: Sequence[Row], kind: str) -> None:
    """The rows under a line of column names; an empty cell where there is no value."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns(kind), lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain_row(row, kind) for row in rows)
    write_atomic(path, out.getvalue().encode())


def _entry(value: Any) -> str:
    # Thousands of rows are written again with each new one; indenting would take a second of that.
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n " + ",\n ".join(_json(element) for element in value) + "\n]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
