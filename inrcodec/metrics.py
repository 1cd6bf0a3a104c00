"""How far two signals are apart, and what they cost."""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 of Wang et al. 2004 for a data range L of 1
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


def ssim(a: NDArray[Any], b: NDArray[Any], *, axes: int = 2, missing: NDArray[np.bool_] | None = None) -> float:
    """Structural similarity (Wang et al. 2004) of images (h, w) or volumes (d, h, w), which are `axes` 2 and 3, values in [0, 1].

    Behind these axes may be one of channels, over which the mean is taken. Gaussian window of 11 samples per axis, sigma 1.5, at the
    places where it lies inside and touches nothing `missing` (*axes), NaN if there are none; with a side below 11 the window is the
    largest odd number of samples that fits, cut from the same Gaussian. Raises UsageError where shapes differ or do not suit.
    """
    _check_shapes(a, b, None)
    if axes not in (2, 3) or a.ndim not in (axes, axes + 1):
        raise UsageError(
            f"expected {'images (h, w) or (h, w, c)' if axes == 2 else 'volumes (d, h, w) or (d, h, w, c)'}, got shape {a.shape}"
        )
    if missing is not None and missing.shape != a.shape[:axes]:
        raise UsageError(f"expected missing samples of shape {a.shape[:axes]}, got {missing.shape}")
    radius = (min(*a.shape[:axes], SSIM_WINDOW) - 1) // 2
    taps = ssim_window(radius)
    total, places = 0.0, 0
    for channel in np.ndindex(a.shape[axes:]):
        x, y = a[(..., *channel)], b[(..., *channel)]
        for found, kept in _parts(x, y, missing, taps) if axes == 2 else _slices(x, y, missing, taps):
            total += float(found.sum() if kept is None else found[kept].sum())
            places += found.size if kept is None else int(kept.sum())
    return total / places if places else math.nan


def ssim_window(radius: int) -> NDArray[np.float64]:
    """Weights of the Gaussian window of SSIM along an axis, cut at `radius` samples: (2 radius + 1,)."""
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / SSIM_SIGMA) ** 2)
    found: NDArray[np.float64] = taps / taps.sum()
    return found


def edge_psnr(a: NDArray[Any], b: NDArray[Any], edges: NDArray[np.bool_]) -> float:
    """PSNR of images (h, w, c) over the pixels where `edges` (h, w), NaN if there are none (SASNet, section 4.1).

    The paper's formula multiplies the images by the mask; taken over all pixels it could never lie below the PSNR, as its tables do.
    """
    return psnr(a[edges], b[edges]) if edges.any() else math.nan


def noisiness(source: NDArray[np.floating], slopes: NDArray[np.floating], smooth: NDArray[np.bool_]) -> float:
    """Mean of | |grad f| - |grad g| | where `smooth` (h, w), NaN if nowhere (SASNet, section 4.1).

    source: grey image f (h, w), whose gradient is by central differences, of second order at the border too; slopes: the exact gradient
    (h, w, 2) of the function g that stands for it, by coordinates y and x in which the image spans [-1, 1]^2: larger by h / 2 and w / 2
    than one by pixels.
    """
    h, w = source.shape
    if min(h, w) < 3 or slopes.shape != (h, w, 2):
        raise UsageError(f"expected an image of 3 x 3 pixels at least and slopes (h, w, 2), got {source.shape} and {slopes.shape}")
    if not smooth.any():
        return math.nan
    along: Any = np.gradient(source.astype(np.float64), 2 / h, 2 / w, edge_order=2)
    differences = np.stack(list(along), axis=-1)
    apart = np.linalg.norm(differences, axis=-1) - np.linalg.norm(slopes.astype(np.float64), axis=-1)
    return float(np.abs(apart[smooth]).mean())


def bits_per_sample(nbytes: int, shape: Sequence[int]) -> float:
    """Bits a sample of a lattice of this shape, without channels: bits per pixel of an image (h, w)."""
    return 8 * nbytes / math.prod(shape)


_Part = tuple[NDArray[np.float64], NDArray[np.bool_] | None]


def _parts(x: NDArray[Any], y: NDArray[Any], missing: NDArray[np.bool_] | None, taps: NDArray[np.float64]) -> Iterator[_Part]:
    """Similarities of an image and which of them count, some rows at a time."""
    (h, w), reach = x.shape, len(taps) - 1
    rows = max(1, _BLOCK // w)
    for start in range(0, h - reach, rows):
        part = slice(start, min(start + rows, h - reach) + reach)
        kept = None if missing is None else _smooth(missing[part].astype(np.float64), np.ones_like(taps)) == 0
        yield _similarity(_moments(x[part], y[part], taps)), kept


def _slices(x: NDArray[Any], y: NDArray[Any], missing: NDArray[np.bool_] | None, taps: NDArray[np.float64]) -> Iterator[_Part]:
    """Similarities of a volume and which of them count, a slice at a time; the smoothed slices of one window are held."""
    held: deque[NDArray[np.float64]] = deque(maxlen=len(taps))
    touched: deque[NDArray[np.bool_]] = deque(maxlen=len(taps))
    for z in range(len(x)):
        held.append(_moments(x[z], y[z], taps))
        if missing is not None:
            touched.append(_smooth(missing[z].astype(np.float64), np.ones_like(taps)) > 0)
        if len(held) == len(taps):
            moments = held[0] * taps[0]
            for weight, other in zip(taps[1:], list(held)[1:], strict=True):
                moments += weight * other
            yield _similarity(moments), ~np.any(touched, axis=0) if touched else None


def _moments(x: NDArray[Any], y: NDArray[Any], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Local means of x, y, x^2 + y^2 and x y of an image (h, w): (4, h - 2r, w - 2r)."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.stack([_smooth(v, taps) for v in (x, y, x * x + y * y, x * y)])


def _similarity(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    mean_x, mean_y, square, product = moments
    means = mean_x * mean_y
    squared_means = mean_x * mean_x + mean_y * mean_y
    found: NDArray[np.float64] = (2 * means + SSIM_C1) * (2 * (product - means) + SSIM_C2)
    found /= (squared_means + SSIM_C1) * (square - squared_means + SSIM_C2)
    return found


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
