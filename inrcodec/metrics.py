"""How far two signals are apart, and what they cost."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 of Wang et al. 2004 for a data range L of 1
_BLOCK = 1 << 16  # samples worked on at a time: intermediate arrays stay in cache


def mse(a: NDArray[Any], b: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
    """Mean squared difference of two arrays of one shape, with `weights` of that shape their weighted mean; 0 if no sample counts.

    Raises UsageError where shapes differ or there are no samples.
    """
    _check_shapes(a, b, weights)
    total = count = 0.0
    step = max(1, len(a) * _BLOCK // a.size) if a.ndim else 1
    for start in range(0, len(a) if a.ndim else 1, step):
        part = slice(start, start + step) if a.ndim else ()
        squares = np.subtract(a[part], b[part], dtype=np.float64) ** 2
        weight = np.ones_like(squares) if weights is None else weights[part].astype(np.float64)
        total += float((squares * weight).sum())
        count += float(weight.sum())
    return total / count if count > 0 else 0.0


def psnr(a: NDArray[Any], b: NDArray[Any], peak: float = 1.0, weights: NDArray[Any] | None = None) -> float:
    """10 lg(peak^2 / mse) in dB, inf for equal arrays; raises as `mse` does."""
    error = mse(a, b, weights)
    return 10 * math.log10(peak**2 / error) if error > 0 else math.inf


def ssim(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Structural similarity (Wang et al. 2004) of images (h, w) or (h, w, c) with values in [0, 1], the mean over channels.

    Gaussian window of 11 samples, sigma 1.5, at the places where it lies inside; in an image with a side below 11 the window is the
    largest odd number of samples that fits, cut from the same Gaussian. Raises UsageError where shapes differ or do not suit.
    """
    _check_shapes(a, b, None)
    if a.ndim not in (2, 3):
        raise UsageError(f"expected images (h, w) or (h, w, c), got shape {a.shape}")
    h, w = a.shape[:2]
    radius = (min(h, w, _WINDOW) - 1) // 2
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / _SIGMA) ** 2)
    taps /= taps.sum()
    rows = max(1, _BLOCK // w)
    total = 0.0
    places: int = (h - 2 * radius) * (w - 2 * radius) * math.prod(a.shape[2:])
    for channel in np.ndindex(a.shape[2:]):
        x, y = a[(..., *channel)], b[(..., *channel)]
        for start in range(0, h - 2 * radius, rows):
            part = slice(start, min(start + rows, h - 2 * radius) + 2 * radius)
            total += float(_similarity(x[part].astype(np.float64), y[part].astype(np.float64), taps).sum())
    return total / places


def bits_per_sample(nbytes: int, shape: Sequence[int]) -> float:
    """Bits a sample of a lattice of this shape, without channels: bits per pixel of an image (h, w)."""
    return 8 * nbytes / math.prod(shape)


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    mean_x, mean_y, square, product = (_smooth(v, taps) for v in (x, y, x * x + y * y, x * y))
    means = mean_x * mean_y
    squared_means = mean_x * mean_x + mean_y * mean_y
    return (2 * means + _C1) * (2 * (product - means) + _C2) / ((squared_means + _C1) * (square - squared_means + _C2))


def _smooth(values: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter with the symmetric `taps` along both axes, where they lie inside: (h, w) -> (h - 2r, w - 2r)."""
    radius = len(taps) // 2
    for axis in (0, 1):
        n = values.shape[axis] - 2 * radius
        at = [values[(slice(None),) * axis + (slice(k, k + n),)] for k in range(len(taps))]
        values = at[radius] * taps[radius]
        for k in range(radius):
            values += (at[k] + at[-1 - k]) * taps[k]
    return values


def _check_shapes(a: NDArray[Any], b: NDArray[Any], weights: NDArray[Any] | None) -> None:
    if a.shape != b.shape:
        raise UsageError(f"expected two arrays of one shape, got {a.shape} and {b.shape}")
    if weights is not None and weights.shape != a.shape:
        raise UsageError(f"expected weights of shape {a.shape}, got {weights.shape}")
    if a.size == 0:
        raise UsageError(f"expected at least one sample, got shape {a.shape}")
