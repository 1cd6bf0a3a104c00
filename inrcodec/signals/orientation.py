"""Turning pictures upright, and telling EXIF and XMP so."""

import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TAG = 0x0112
_XMP = re.compile(rb'(tiff:Orientation(?:="|>))([1-8])')


def turn_upright(codes: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Samples (h, w, c) stored with an EXIF orientation 1..8, as they are to be seen."""
    match orientation:
        case 2:
            return codes[:, ::-1]
        case 3:
            return codes[::-1, ::-1]
        case 4:
            return codes[::-1]
        case 5:
            return codes.swapaxes(0, 1)
        case 6:
            return np.rot90(codes, -1)
        case 7:
            return codes[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return np.rot90(codes)
        case _:
            return codes


def stored_box(box: Sequence[tuple[int, int]], shape: Sequence[int], orientation: int) -> list[tuple[int, int]]:
    """Where in samples of `shape` (h, w, ...), stored with an EXIF orientation 1..8, a box of the upright picture lies."""
    stored = list(box[::-1] if orientation >= 5 else box)
    for axis, turned in enumerate(((3, 4, 6, 7), (2, 3, 7, 8))):
        if orientation in turned:
            start, stop = stored[axis]
            stored[axis] = (shape[axis] - stop, shape[axis] - start)
    return stored


def upright_exif(exif: bytes) -> tuple[int | None, bytes]:
    """The orientation in EXIF (from the TIFF header on), None without one, and the EXIF with orientation 1, else unchanged.

    The value is patched where it stands: writing EXIF anew would lose thumbnails and maker notes.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return None, exif
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, at)
            if (tag, kind) == (_TAG, 3) and 1 <= value <= 8:
                return value, exif[: at + 8] + struct.pack(f"{order}H", 1) + exif[at + 10 :]
    except struct.error:
        pass
    return None, exif


def upright_xmp(xmp: bytes) -> tuple[int | None, bytes]:
    """The orientation in an XMP packet, None without one, and the packet with orientation 1."""
    match = _XMP.search(xmp)
    return (int(match[2]) if match else None), _XMP.sub(rb"\g<1>1", xmp)
