"""Portable anymaps, grey and colour (P2, P3, P5, P6), at every depth: Pillow reduces colour to 8 bits.

A largest sample value of 2^k - 1 is a bit depth of k; any other one is rescaled to 8 or 16 bits.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError
from inrcodec.signals.codes import scale_codes

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([2356])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,5})(?:#[^\r\n]*)?\s")


def read_header(data: bytes, name: str) -> tuple[bytes, int, int, int, int]:
    """Digit of the magic number, width, height, largest sample value, offset of the samples; raises InputError."""
    match = _HEADER.match(data)
    if match is None:
        raise InputError(f"{name}: damaged PNM header: expected width, height and largest value, got {data[:24]!r}")
    width, height, top = (int(match[i]) for i in (2, 3, 4))
    if not 1 <= top <= 65535:
        raise InputError(f"{name}: the largest value of a PNM is 1 to 65535, got {top}")
    return match[1], width, height, top, match.end()


def read_pnm(data: bytes, name: str) -> tuple[NDArray[Any], int]:
    """Codes (h, w, c) and bits; raises InputError for a short file or a sample above the largest value."""
    magic, width, height, top, offset = read_header(data, name)
    c = 3 if magic in b"36" else 1
    count = width * height * c
    if magic in b"56":
        dtype = np.dtype(">u2" if top > 255 else "u1")
        found = (len(data) - offset) // dtype.itemsize
        samples = np.frombuffer(data, dtype, min(count, found), offset)
    else:
        words = re.sub(rb"#[^\r\n]*", b"", data[offset:]).split(maxsplit=count)[:count]
        found = len(words)
        samples = np.array(words, dtype="S").astype(np.int64) if words else np.zeros(0, np.int64)
    if found < count:
        raise InputError(f"{name}: truncated PNM: expected {count} samples, got {found}")
    if int(samples.max()) > top or int(samples.min()) < 0:
        raise InputError(f"{name}: a PNM sample is outside 0 to {top}: {int(samples.max())}")
    bits = top.bit_length() if top & (top + 1) == 0 else (8 if top < 256 else 16)
    return scale_codes(samples, top, (1 << bits) - 1).reshape(height, width, c), bits


def write_pnm(codes: NDArray[Any], bits: int) -> bytes:
    """Codes (h, w, c), c 1 or 3, as P5 or P6 at their own bit depth."""
    h, w, c = codes.shape
    header = f"P{5 if c == 1 else 6}\n{w} {h}\n{(1 << bits) - 1}\n".encode()
    return header + np.ascontiguousarray(codes, ">u2" if bits > 8 else "u1").tobytes()
