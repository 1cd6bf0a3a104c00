"""PSNR as the benchmarks state it: of 8-bit codes, and of volumes in their own type."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.metrics import mse


def code_psnr(original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> float | None:
    """PSNR in dB of 8-bit codes, 255 as peak; None for an exact copy. Raises UsageError where shapes differ."""
    error = mse(original, decoded)
    return None if error == 0 else float(10 * np.log10(255**2 / error))


def value_psnr(original: NDArray[Any], decoded: NDArray[Any]) -> float | None:
    """PSNR in dB with the range of the original's values as peak, of values rounded to its type; None for an exact copy.

    Values that are not finite in the original do not count.
    """
    known = np.isfinite(original)
    truth = original[known].astype(np.float64)
    error = float(np.mean((as_type(decoded, original.dtype)[known].astype(np.float64) - truth) ** 2))
    return None if error == 0 else float(10 * np.log10(np.ptp(truth) ** 2 / error))


def as_type(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values as `dtype`: rounded and clipped to its range where it is of integers."""
    if dtype.kind not in "iu" or values.dtype == dtype:
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max).astype(dtype)
