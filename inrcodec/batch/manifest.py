"""The record of a batch: manifest.jsonl, one line for every task that finished or failed; the last line of an output counts.

A line is on the disk before the next task is recorded. A last line that was cut off by a crash is taken away when the file is opened.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from inrcodec.batch.options import digest
from inrcodec.batch.tasks import Result, Task, identity, source_digest
from inrcodec.errors import InputError, InrError, UsageError

NAME = "manifest.jsonl"
Row = dict[str, Any]


def row_of(task: Task, result: Result, attempts: int) -> Row:
    """The line of a task, ready for JSON."""
    found, data, psnr = result.source_digest, result.data, result.psnr
    return {
        "source": task.source,
        "output": task.output,
        "task": None if found is None else identity(found, task.options),
        "options": digest(task.options),
        "sha256": None if data is None else hashlib.sha256(data).hexdigest(),
        "bytes": None if data is None else len(data),
        "psnr": psnr if psnr is not None and math.isfinite(psnr) else None,
        "seconds": round(result.seconds, 3),
        "worker": result.worker,
        "attempts": attempts,
        "error": result.error,
        "exit_code": result.exit_code,
        "message": result.message,
    }


def parse(content: bytes, name: str) -> tuple[list[Row], int]:
    """The rows and the number of bytes they take; bytes after the last whole line are left out.

    Raises InputError for a line that is none of a manifest, unless it is the last.
    """
    rows: list[Row] = []
    at = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            if number == len(lines):
                break
            raise InputError(f"{name}: line {number}: expected an object with source, output and task, got {line[:40]!r}")
        rows.append(row)
        at += len(line)
    return rows, at


def read_rows(path: Path) -> dict[str, Row]:
    """The row that counts of every output; none where there is no manifest."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    return {row["output"]: row for row in parse(content, os.fspath(path))[0]}


def is_done(task: Task, row: Row | None, folder: Path) -> bool:
    """Whether `row` says that this very task is done, and the file is the one it says."""
    if row is None or row["sha256"] is None or row["options"] != digest(task.options):
        return False
    try:
        with open(folder / task.output, "rb") as file:
            same = hashlib.file_digest(file, "sha256").hexdigest() == row["sha256"]
        return bool(same and identity(source_digest(task.source), task.options) == row["task"])
    except (OSError, InrError):
        return False


@dataclass
class Manifest:
    """A manifest open for appending, by one process at a time."""

    path: Path

    def __enter__(self) -> "Manifest":
        self._file: IO[bytes] = open(self.path, "a+b", buffering=0)
        try:
            _lock(self._file, self.path)
            self._file.seek(0)
            rows, size = parse(self._file.read(), os.fspath(self.path))
            self._file.truncate(size)
        except BaseException:
            self._file.close()
            raise
        self.rows: dict[str, Row] = {row["output"]: row for row in rows}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def append(self, row: Row) -> None:
        """Put a row on the disk."""
        self._file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        os.fsync(self._file.fileno())
        self.rows[row["output"]] = row


def _row(line: bytes) -> Row | None:
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"source", "output", "task", "options", "sha256", "exit_code"} <= row.keys() else None


def _lock(file: IO[bytes], path: Path) -> None:
    """Let no second batch write here at the same time; systems and file systems without locks have none."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"{path}: another batch is writing to this folder") from error
    except OSError:
        return
