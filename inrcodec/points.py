"""Lists of points and of values: CSV and .npy, in and out."""

import io
import math
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError

Floats = NDArray[np.float64]
_NPY = b"\x93NUMPY"
_ROWS = 1 << 16  # written at a time


def read_points(data: bytes, name: str, columns: Sequence[str]) -> Floats:
    """Points (n, d) of a file's bytes, .npy of numbers (n, d) or (d,), or CSV with one point per line; d = len(columns).

    A first line of CSV that is no point names its columns, in any order: exactly `columns`, which are then brought into that order.
    Empty lines are skipped. Raises InputError with the line of what is no point; coordinates have to be finite.
    """
    points = _npy(data, name) if data.startswith(_NPY) else _csv(data, name, columns)
    d = len(columns)
    if points.ndim == 1 and points.shape == (d,):
        points = points[None]
    if points.ndim != 2 or points.shape[1] != d:
        raise InputError(f"{name}: expected points of {d} coordinates ({','.join(columns)}), got shape {points.shape}")
    wrong = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(wrong):
        raise InputError(f"{name}: point {wrong[0] + 1}: expected finite coordinates, got {','.join(map(str, points[wrong[0]]))}")
    return points


def write_values(columns: Sequence[str], values: NDArray[np.float32], suffix: str, out: IO[bytes]) -> None:
    """Values (n, k) as ".npy", else as CSV with the names of the columns first; decimal numbers are the shortest that read back alike."""
    if suffix == ".npy":
        np.save(out, values, allow_pickle=False)
        return
    out.write((",".join(_quoted(column) for column in columns) + "\n").encode())
    for start in range(0, len(values), _ROWS):
        lines = (",".join(row) for row in values[start : start + _ROWS].astype(str).tolist())
        out.write("".join(line + "\n" for line in lines).encode())


def _npy(data: bytes, name: str) -> Floats:
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise InputError(f"{name}: damaged .npy: {' '.join(str(error).split())}") from error
    if found.dtype.kind not in "iuf":
        raise InputError(f"{name}: expected real numbers, got {found.dtype}")
    return np.asarray(found, dtype=np.float64)


def _csv(data: bytes, name: str, columns: Sequence[str]) -> Floats:
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: expected CSV or .npy, got bytes that are no text") from error
    kept = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    order = _header(kept[0][1], name, columns) if kept else None
    if order is not None:
        kept = kept[1:]
    if not kept:
        return np.empty((0, len(columns)))
    try:
        points = np.loadtxt([line for _, line in kept], delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise InputError(_first_wrong(kept, name, columns)) from error
    if points.shape[1] != len(columns):
        raise InputError(_first_wrong(kept, name, columns))
    return points if order is None else points[:, order]


def _header(line: str, name: str, columns: Sequence[str]) -> list[int] | None:
    """Where each of `columns` stands if the line has names; None if it has a number."""
    cells = [cell.strip().strip('"') for cell in line.split(",")]
    if any(_number(cell) is not None for cell in cells):
        return None
    if sorted(cells) != sorted(columns):
        raise InputError(f"{name}: line 1: expected numbers or the columns {','.join(columns)} in any order, got {line.strip()[:80]!r}")
    return [cells.index(column) for column in columns]


def _first_wrong(kept: list[tuple[int, str]], name: str, columns: Sequence[str]) -> str:
    for number, line in kept:
        cells = line.split(",")
        if len(cells) != len(columns) or any(_number(cell) is None for cell in cells):
            return f"{name}: line {number}: expected {len(columns)} numbers ({','.join(columns)}), got {line.strip()[:80]!r}"
    return f"{name}: expected lines of {len(columns)} numbers ({','.join(columns)})"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(letter in text for letter in ',"\n') else text


def value_columns(channels: Sequence[str], axes: Sequence[str], *, gradient: bool) -> list[str]:
    """Names of c values, and of their c * d derivatives, channel by channel."""
    return [*channels, *(f"d{channel}/d{axis}" for channel in channels for axis in axes if gradient)]


def beside(values: Any, gradient: Any | None) -> NDArray[np.float32]:
    """Values (n, c) and, if there are, derivatives (n, c, d), as columns (n, c) or (n, c + c * d)."""
    if gradient is None:
        return np.asarray(values)
    return np.concatenate([values, gradient.reshape(len(values), math.prod(gradient.shape[1:]))], axis=1)
