"""Integer codes of samples at different bit depths."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError


def scale_codes(codes: NDArray[Any], top: int, top_out: int) -> NDArray[Any]:
    """floor(code * top_out / top + 0.5) in exact integers, for codes 0..top <= 65535; uint8 if top_out <= 255, else uint16."""
    dtype = np.uint8 if top_out <= 255 else np.uint16
    if top == top_out:
        return codes.astype(dtype, copy=False)
    table = (2 * np.arange(top + 1, dtype=np.int64) * top_out + top) // (2 * top)
    scaled: NDArray[Any] = table.astype(dtype)[codes]
    return scaled


def rescale_codes(codes: NDArray[Any], bits: int, bits_out: int) -> NDArray[Any]:
    """Codes of `bits` (1..16) to the nearest of `bits_out` (1..16), halves upwards; uint8 up to 8 bits, else uint16."""
    return scale_codes(codes, (1 << bits) - 1, (1 << bits_out) - 1)


def values_of_codes(codes: NDArray[Any], bits: int) -> NDArray[np.float32]:
    """code / (2^bits - 1), a new array."""
    values = np.empty(codes.shape, np.float32)
    np.divide(codes, (1 << bits) - 1, out=values, dtype=np.float32)
    return values


def codes_of(values: NDArray[Any], bits: int) -> NDArray[Any]:
    """floor(clip(v, 0, 1) * (2^bits - 1) + 0.5) for 1..16 bits; uint8 up to 8 bits, else uint16."""
    if not 1 <= bits <= 16:
        raise UsageError(f"bits: expected 1..16, got {bits}")
    dtype = np.uint8 if bits <= 8 else np.uint16
    codes: NDArray[Any] = np.floor(np.clip(values, 0, 1) * np.float32((1 << bits) - 1) + np.float32(0.5)).astype(dtype)
    return codes
