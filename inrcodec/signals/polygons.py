"""Meshes whose faces have any number of corners, in OFF and binary PLY files, as triangles."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError

Triangles = tuple[NDArray[np.float64], NDArray[np.int64]]  # vertices (v, 3), faces (f, 3)
_CODES = {
    "b": ("char", "int8"),
    "B": ("uchar", "uint8"),
    "h": ("short", "int16"),
    "H": ("ushort", "uint16"),
    "i": ("int", "int32"),
    "I": ("uint", "uint32"),
    "f": ("float", "float32"),
    "d": ("double", "float64"),
}
_TYPES = {name: code for code, names in _CODES.items() for name in names}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_CORNERS = ("vertex_indices", "vertex_index")


def fans(polygons: Iterable[Sequence[int]]) -> NDArray[np.int64]:
    """Polygons as triangles (f, 3) about their first corners; those of less than three corners are none."""
    return np.array([(p[0], p[k], p[k + 1]) for p in polygons for k in range(1, len(p) - 1)], dtype=np.int64).reshape(-1, 3)


def read_off(data: bytes, name: str) -> Triangles:
    """An OFF file with a vertex or a face per line; what follows its three coordinates, or its corners, is left out."""
    rows = [row for line in data.decode("latin-1").splitlines() if (row := line.partition("#")[0].split())]
    if not rows or not rows[0][0].endswith("OFF"):
        raise InputError(f"{name}: OFF: expected its name in the first line, got {data[:16]!r}")
    first, at = (rows[0][1:], 1) if len(rows[0]) > 1 else (rows[1] if len(rows) > 1 else [], 2)
    try:
        v, f = (int(count) for count in first[:2])
        if min(v, f) < 0 or len(rows) < at + v + f:
            raise InputError(f"{name}: truncated OFF: expected {v} vertices and {f} faces, got {max(0, len(rows) - at)} lines")
        vertices = np.array([row[:3] for row in rows[at : at + v]], dtype=np.float64).reshape(v, 3)
        corners = [[int(number) for number in row[: max(0, int(row[0])) + 1]] for row in rows[at + v : at + v + f]]
    except ValueError as error:
        raise InputError(f"{name}: OFF: expected numbers: {' '.join(str(error).split())}") from error
    short = next((k for k, row in enumerate(corners) if len(row) != row[0] + 1), None)
    if short is not None:
        raise InputError(f"{name}: OFF: face {short}: expected {corners[short][0]} corners, got {len(corners[short]) - 1}")
    return vertices, fans(row[1:] for row in corners)


def read_binary_ply(data: bytes, name: str) -> Triangles | None:
    """A binary PLY file, or None if it is none or has no corners of faces."""
    header, end, body = data.partition(b"end_header\n")
    lines = [line.split() for line in header.decode("latin-1").splitlines()]
    order = next((_ORDERS.get(line[1]) for line in lines if line[:1] == ["format"] and len(line) > 1), None)
    if order is None or not end:
        return None
    vertices, faces = np.empty((0, 3)), None
    at = 0
    for title, count, properties in _elements(lines, name):
        try:
            rows, at = _rows(body, at, count, properties, order)
        except (struct.error, ValueError) as error:
            raise InputError(f"{name}: truncated PLY: expected {count} of its element {title}, got less") from error
        if title == "vertex" and set("xyz") <= set(rows):
            vertices = np.array([rows[axis] for axis in "xyz"], dtype=np.float64).T.reshape(-1, 3)
        corners = next((rows[key] for key in _CORNERS if key in rows), None)
        if title == "face" and corners is not None:
            faces = fans(corners)
    return None if faces is None else (vertices, faces)


def _elements(lines: list[list[str]], name: str) -> list[tuple[str, int, list[tuple[str, ...]]]]:
    """Per element its name, count, and properties: (type, name), of lists (type of the count, type, name)."""
    found: list[tuple[str, int, list[tuple[str, ...]]]] = []
    try:
        for line in lines:
            if line[:1] == ["element"]:
                found.append((line[1], int(line[2]), []))
            elif line[:1] == ["property"]:
                kinds = line[2:4] if line[1] == "list" else line[1:2]
                found[-1][2].append((*(_TYPES[kind] for kind in kinds), line[-1]))
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{name}: damaged PLY header: {' '.join(str(error).split())}") from error
    return found


def _rows(body: bytes, at: int, count: int, properties: list[tuple[str, ...]], order: str) -> tuple[Mapping[str, Any], int]:
    """Values by property, of lists a list per row, and the offset behind them; raises struct.error, ValueError where the body is short."""
    if all(len(kinds) == 2 for kinds in properties):
        dtype = np.dtype([(title, order + code) for code, title in properties])
        table = np.frombuffer(body, dtype, count, at)
        return {title: table[title] for _, title in properties}, at + table.nbytes
    result: dict[str, list[Sequence[float]]] = {kinds[-1]: [] for kinds in properties}
    for _ in range(count):
        for *kinds, title in properties:
            n = 1
            if len(kinds) == 2:
                (n,) = struct.unpack_from(order + kinds[0], body, at)
                at += struct.calcsize(kinds[0])
            values = struct.unpack_from(f"{order}{n}{kinds[-1]}", body, at)
            at += struct.calcsize(kinds[-1]) * n
            result[title].append(values)
    return result, at
