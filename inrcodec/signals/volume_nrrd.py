"""NRRD files, attached and detached, through pynrrd."""

import bz2
import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError
from inrcodec.limits import Limits
from inrcodec.signals.base import Space
from inrcodec.signals.volume_formats import Volume, beside, check_shape, gunzip, need, samples_of

TYPES = {
    "int8": ("signed char", "int8", "int8_t"),
    "uint8": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "int16": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "uint16": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "int32": ("int", "signed int", "int32", "int32_t"),
    "uint32": ("uint", "unsigned int", "uint32", "uint32_t"),
    "int64": ("longlong", "long long", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "uint64": ("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),
    "float32": ("float",),
    "float64": ("double",),
}
_DTYPES = {text: dtype for dtype, names in TYPES.items() for text in names}
# Signs that turn a world into NIfTI's: x to the right, y to the front, z up.
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": (-1, -1, 1),
    "lps": (-1, -1, 1),
}
_MOST_LINES = 1000  # before the samples
_LONGEST_NUMBER = 64
_SPATIAL = ("space", "domain")
_CHANNEL_KINDS = ("color", "vector", "matrix", "normal", "gradient", "complex", "point", "quaternion", "stub")


def read_nrrd(data: bytes, name: str, limits: Limits) -> Volume:
    """A NRRD file of 2 to 5 axes: the spatial ones, and of the others one as time and one as channels.

    The affine maps indices (z, y, x) to the world, which is turned to NIfTI's where the file names its own.
    """
    nrrd = need("nrrd")
    file = io.BytesIO(data)
    try:
        header = dict(nrrd.read_header(file))
    except Exception as error:
        raise InputError(f"{name}: damaged NRRD header: {' '.join(str(error).split()) or type(error).__name__}") from error
    sizes = [int(n) for n in header.get("sizes", ())]
    if len(sizes) != header.get("dimension") or not 2 <= len(sizes) <= 5:
        raise InputError(f"{name}: NRRD: expected sizes of 2 to 5 axes, got dimension {header.get('dimension')} and sizes {sizes}")
    time, channel = _roles(header, len(sizes), name)
    check_shape([n for k, n in enumerate(sizes) if k != channel], name, limits, 1 if channel is None else sizes[channel])
    body = memoryview(data)[file.tell() :]
    detached = header.get("data file", header.get("datafile"))
    if detached is not None:
        if str(detached).split()[:1] == ["LIST"] or "%" in str(detached):
            raise InputError(f"{name}: NRRD: expected one data file, got {detached!r}")
        body = memoryview(beside(name, str(detached).removeprefix("./"))[0])
    array = _decode(header, sizes, body, name)
    spatial = [k for k in range(len(sizes)) if k not in (time, channel)]
    order = [*([] if time is None else [time]), *spatial[::-1], *([] if channel is None else [channel])]
    array = array.transpose(order)
    if len(spatial) == 2:
        array = np.expand_dims(array, 0 if time is None else 1)
    space = _space(header, spatial, time)
    return Volume(array=array, channels_last=channel is not None, space=space)


def _roles(header: dict[str, Any], axes: int, name: str) -> tuple[int | None, int | None]:
    """Which axis is time, which the channels; None where no one is."""
    kinds = [str(kind).lower() for kind in header.get("kinds", [])] or ["???"] * axes
    directions = header.get("space directions")
    if len(kinds) != axes or (directions is not None and len(directions) != axes):
        raise InputError(f"{name}: NRRD: expected a kind and a space direction for each of {axes} axes, got {len(kinds)} kinds")
    if directions is not None:
        others = [k for k in range(axes) if directions[k] is None or not np.isfinite(np.asarray(directions[k], float)).all()]
    else:
        others = [k for k in range(axes) if kinds[k] not in (*_SPATIAL, "???", "none")]
    while axes - len(others) > 3:  # nothing is said of the axes: the slowest is time, then the fastest the channels
        free = [k for k in range(axes) if k not in others]
        others.append(free[-1] if free[-1] == axes - 1 else free[0])
    if axes - len(others) < 2 or len(others) > 2:
        raise InputError(f"{name}: NRRD: expected 3 spatial axes, at most one of time and one of channels, got kinds {kinds}")
    time = channel = None
    for k in sorted(others, reverse=True):
        colored = any(word in kinds[k] for word in _CHANNEL_KINDS)
        if time is None and not colored and (kinds[k] == "time" or k == axes - 1):
            time = k
        elif channel is None:
            channel = k
        else:
            time = k
    return time, channel


def _decode(header: dict[str, Any], sizes: list[int], body: memoryview, name: str) -> NDArray[Any]:
    """The samples (*sizes), fastest axis first."""
    kind, encoding = str(header.get("type")), str(header.get("encoding")).lower()
    if kind not in _DTYPES:
        raise InputError(f"{name}: NRRD: type: expected one of {' '.join(TYPES)}, got {kind!r}")
    endian = str(header.get("endian", "")).lower()
    dtype = np.dtype(_DTYPES[kind])
    if dtype.itemsize > 1 and endian not in ("little", "big") and encoding not in ("ascii", "text", "txt"):
        raise InputError(f"{name}: NRRD: endian: expected little or big, got {endian!r}")
    dtype = dtype.newbyteorder(">" if endian == "big" else "<")
    lines = int(header.get("line skip", header.get("lineskip", 0)))
    if not 0 <= lines <= _MOST_LINES:
        raise InputError(f"{name}: NRRD: line skip: expected 0 to {_MOST_LINES}, got {lines}")
    for _ in range(lines):
        body = body[_line_end(body) :]
    size = math.prod(sizes) * dtype.itemsize
    skip = int(header.get("byte skip", header.get("byteskip", 0)))
    if not -1 <= skip <= len(body) or (skip < 0 and encoding != "raw"):
        raise InputError(f"{name}: NRRD: byte skip: expected at most the {len(body)} bytes there are, got {skip}")
    match encoding:
        case "raw":
            body = body[max(0, len(body) - size) if skip < 0 else skip :]
        case "gzip" | "gz":
            body = memoryview(gunzip(body, name, skip + size))[skip:]
        case "bzip2" | "bz2":
            body = memoryview(_bunzip(body, name, skip + size))[skip:]
        case "hex":
            body = memoryview(bytes.fromhex(bytes(body[skip:]).decode("ascii")))
        case "ascii" | "text" | "txt":
            words = bytes(body[skip:]).split()
            if len(words) < math.prod(sizes):
                raise InputError(f"{name}: truncated: expected {math.prod(sizes)} numbers, got {len(words)}")
            if max(map(len, words)) > _LONGEST_NUMBER:
                raise InputError(f"{name}: NRRD: expected numbers of at most {_LONGEST_NUMBER} digits, got a longer word")
            return np.array(words[: math.prod(sizes)]).astype(dtype).reshape(sizes, order="F")
        case _:
            raise InputError(f"{name}: NRRD: encoding: expected raw, gzip, bzip2, ascii or hex, got {encoding!r}")
    return samples_of(body, dtype, sizes, name, order="F")


def _line_end(body: memoryview) -> int:
    end = bytes(body[: 1 << 16]).find(b"\n")
    return end + 1 if end >= 0 else len(body)


def _bunzip(body: memoryview, name: str, needed: int) -> bytes:
    stream = bz2.BZ2Decompressor()
    try:
        found = stream.decompress(body, needed)
    except OSError as error:
        raise InputError(f"{name}: damaged bzip2 data: {error}") from error
    if len(found) < needed:
        raise InputError(f"{name}: truncated: expected {needed} bytes after decompression, got {len(found)}")
    return found


def _space(header: dict[str, Any], spatial: list[int], time: int | None) -> Space | None:
    """The space in our order of axes; a signal of two spatial axes has a first one of unknown spacing."""
    spacings = [float(step) for step in header.get("spacings", [])]
    directions = header.get("space directions")
    units = [str(unit).strip('"') for unit in header.get("space units", header.get("units", []))]
    affine = None
    steps = [spacings[k] if k < len(spacings) and math.isfinite(spacings[k]) else 0.0 for k in spatial]
    if directions is not None:
        columns = np.array([np.asarray(directions[k], float) for k in spatial])  # (spatial, world)
        steps = [float(step) for step in np.linalg.norm(columns, axis=1)]
        if columns.shape == (3, 3):
            matrix = np.eye(4)
            matrix[:3, :3] = columns[::-1].T
            origin = header.get("space origin")
            matrix[:3, 3] = 0 if origin is None else np.asarray(origin, float)
            matrix[:3] *= np.array(_SPACES.get(str(header.get("space", "")).lower(), (1, 1, 1)))[:, None]
            affine = tuple(float(number) for number in matrix.reshape(-1) + 0.0)  # no negative zeros
    spacing = [0.0] * (3 - len(steps)) + steps[::-1]
    if time is not None:
        spacing.insert(0, spacings[time] if time < len(spacings) and math.isfinite(spacings[time]) else 0.0)
    if affine is None and not any(spacing):
        return None
    named = [unit for unit in units if unit and unit.lower() not in ("???", "none")]
    return Space(tuple(spacing), affine, named[0] if named else "")
