"""The multiresolution hash grid, by tiny-cuda-nn's fp32 definition (encodings/grid.h, CoherentPrime), as data.

For a level with `scale` (float32), `resolution` R and `entries` n, and a coordinate x in [0, 1]^d (network coordinates are [-1, 1]):

    pos_k = fma(scale, x_k, 0.5)    g_k = floor(pos_k)    w_k = pos_k - g_k
    feature = sum over the 2^d corners of prod_k (w_k or 1 - w_k) * table[index(g + corner)]
    index(g) = sum_k g_k R^k mod n                       if n >= R^d  (dense)
             = (xor_k g_k P_k mod 2^32) mod n            otherwise    (hashed)

tiny-cuda-nn's dimension k is our axis d-1-k, so that a dense table is an array over the axes in C order. `scale` and `resolution`
are stored and never recomputed. A cubic level, which tiny-cuda-nn has not, is made of four vertices per axis, g_k to g_k + 3, with the
weights of Keys' cubic convolution (tap_weights) for w_k. The linear grids made here have scale = R - 1.5, for which no sample of the
domain needs a vertex beyond R - 1: with tiny-cuda-nn's own scale = R - 1 the upper border of a dense level wraps to the next row.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRIMES = (1, 2654435761, 805459861, 3674653429)
MAX_RESOLUTION = 1 << 20
MAX_ENTRIES = 1 << 28
Precision = type[np.float32] | type[np.float64]  # of weights; positions are float32 always


@dataclass(frozen=True)
class Level:
    """One level: float32 `scale`, vertices per axis `resolution`, table rows `entries`, vertices per axis that a sample is made of."""

    scale: float
    resolution: int
    entries: int
    taps: int = 2  # 2: linear interpolation; 4: cubic

    def __post_init__(self) -> None:
        if not (0 < self.scale <= float(np.finfo(np.float32).max) and float(np.float32(self.scale)) == self.scale):
            raise ValueError(f"level scale: expected a positive float32, got {self.scale}")
        if not 1 <= self.resolution <= MAX_RESOLUTION:
            raise ValueError(f"level resolution: expected 1..{MAX_RESOLUTION}, got {self.resolution}")
        if not 1 <= self.entries <= MAX_ENTRIES:
            raise ValueError(f"level entries: expected 1..{MAX_ENTRIES}, got {self.entries}")
        if self.taps not in (2, 4):
            raise ValueError(f"level taps: expected 2 or 4, got {self.taps}")

    def dense(self, d: int) -> bool:
        return bool(self.entries >= self.resolution**d)


def tcnn_levels(*, d: int, levels: int, base_resolution: int, per_level_scale: float, log2_entries: int | None) -> tuple[Level, ...]:
    """The levels tiny-cuda-nn makes (grid.h), hashed with 2^log2_entries rows at most or, if None, dense."""
    log2_scale = np.log2(np.float32(per_level_scale))
    result = []
    for level in range(levels):
        scale = np.float32(np.exp2(np.float32(level) * log2_scale)) * np.float32(base_resolution) - np.float32(1.0)
        resolution = math.ceil(scale) + 1
        entries = -(-(resolution**d) // 8) * 8
        if log2_entries is not None:
            entries = min(entries, 1 << log2_entries)
        result.append(Level(float(scale), resolution, entries))
    return tuple(result)


def geometric_levels(*, d: int, levels: int, coarsest: int, finest: int, max_entries: int, taps: int = 2) -> tuple[Level, ...]:
    """Levels of geometrically growing resolution that do not wrap at the border (scale = R - taps + 1/2); a level never repeats.

    Cubic ones (taps 4) have two vertices per axis more than their `coarsest` to `finest`, for the same scales.
    """
    ratio = (finest / coarsest) ** (1 / (levels - 1)) if levels > 1 else 1.0
    resolutions = sorted({max(2, round(coarsest * ratio**level)) for level in range(levels)})
    return tuple(Level(r - 1.5, r + taps - 2, min((r + taps - 2) ** d, max_entries), taps) for r in resolutions)


def vertices(axis: NDArray[np.float64], level: Level, stretch: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Lower vertex g (n,) and weight w (n,) float32 of network coordinates, times `stretch`, on one axis."""
    x = ((stretch * axis + 1.0) * 0.5).astype(np.float32)
    # A float32 product is exact in float64, so this rounds once, as fma does.
    position = (np.float64(level.scale) * x + 0.5).astype(np.float32)
    lower = np.floor(position)
    return lower.astype(np.int64), position - lower


def table_index(g: list[NDArray[np.int64]], level: Level) -> NDArray[np.int64]:
    """Row of the table of vertices g, one broadcastable index array per axis (slowest axis first)."""
    d = len(g)
    dense = level.dense(d)
    result = np.zeros((), dtype=np.int64)
    stride = 1
    for k, vertex in enumerate(reversed(g)):
        unsigned = vertex & 0xFFFFFFFF
        if dense:
            result = (result + unsigned * stride) & 0xFFFFFFFF
            stride *= level.resolution
        else:
            result = result ^ (unsigned * PRIMES[k] & 0xFFFFFFFF)
    return result % level.entries


def tap_weights(w: Any, taps: int) -> list[Any]:
    """Weights of the vertices g, g + 1, ... for w = pos - g, an array or a tensor: linear, or Keys' cubic convolution with a = -1/2."""
    if taps == 2:
        return [1 - w, w]
    square = w * w
    cube = square * w
    return [square - 0.5 * (w + cube), 1 - 2.5 * square + 1.5 * cube, 0.5 * w + 2 * square - 1.5 * cube, 0.5 * (cube - square)]


def tap_slopes(w: Any, taps: int) -> list[Any]:
    """The derivatives of `tap_weights` by w."""
    if taps == 2:
        return [0 * w - 1, 0 * w + 1]
    square = w * w
    return [2 * w - 0.5 - 1.5 * square, 4.5 * square - 5 * w, 0.5 + 4 * w - 4.5 * square, 1.5 * square - w]


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """Interpolation along one axis of a lattice: vertices [start, stop) are touched; sample i is made of those from lower[i] on."""

    start: int
    stop: int
    lower: NDArray[np.int64]  # (m,), relative to start
    weights: NDArray[np.floating]  # (taps, m)


def axis_weights(axis: NDArray[np.float64], level: Level, stretch: float, precision: Precision = np.float32) -> AxisWeights:
    lower, weight = vertices(axis, level, stretch)
    start = int(lower.min())
    return AxisWeights(start, int(lower.max()) + level.taps, lower - start, np.stack(tap_weights(weight.astype(precision), level.taps)))


def interpolation_matrix(axis: AxisWeights) -> NDArray[np.floating]:
    """The same as a dense matrix (m, touched vertices)."""
    m = len(axis.lower)
    matrix = np.zeros((m, axis.stop - axis.start), dtype=axis.weights.dtype)
    for tap, weight in enumerate(axis.weights):
        matrix[np.arange(m), axis.lower + tap] = weight
    return matrix


def block_rows(axes: list[AxisWeights], level: Level) -> NDArray[np.int64] | None:
    """Table rows of the block of touched vertices, of the block's shape; None if they are the whole dense table in order."""
    d, r = len(axes), level.resolution
    if level.dense(d) and level.entries == r**d and all(a.start == 0 and a.stop == r for a in axes):
        return None
    grid = [np.arange(a.start, a.stop).reshape([-1 if i == k else 1 for i in range(d)]) for k, a in enumerate(axes)]
    return np.broadcast_to(table_index(grid, level), tuple(a.stop - a.start for a in axes)).copy()


def corners(
    points: NDArray[np.float64], level: Level, stretch: tuple[float, ...], precision: Precision = np.float32
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Table rows and weights (taps^d, n) of the vertices around points (n, d), in tiny-cuda-nn's order."""
    rows, weights, _ = _corners(points, level, stretch, precision, slopes=False)
    return rows, weights


def corner_slopes(
    points: NDArray[np.float64], level: Level, stretch: tuple[float, ...], precision: Precision = np.float32
) -> tuple[NDArray[np.int64], NDArray[np.floating], NDArray[np.floating]]:
    """As `corners`, and the derivatives of the weights by the coordinates (d, taps^d, n): at a vertex, those of the cell above it."""
    rows, weights, slopes = _corners(points, level, stretch, precision, slopes=True)
    return rows, weights, np.stack(slopes[::-1])


def _corners(
    points: NDArray[np.float64], level: Level, stretch: tuple[float, ...], precision: Precision, *, slopes: bool
) -> tuple[NDArray[np.int64], NDArray[np.floating], list[NDArray[np.floating]]]:
    n, d = points.shape
    grid: list[NDArray[np.int64]] = []
    weights: NDArray[np.floating] = np.ones((1, n), dtype=precision)
    found: list[NDArray[np.floating]] = []
    # From the last axis on, to which the lowest digit of a corner's number belongs.
    for k in reversed(range(d)):
        lower, fraction = vertices(points[:, k], level, stretch[k])
        at = fraction.astype(precision)
        along = np.stack(tap_weights(at, level.taps))
        grid.insert(0, (lower + np.arange(level.taps)[:, None]).reshape(*[1] * k, level.taps, *[1] * (d - 1 - k), n))
        if slopes:
            change: NDArray[np.floating] = np.stack(tap_slopes(at, level.taps)) * precision(level.scale * stretch[k] * 0.5)
            found = [_outer(along, slope) for slope in found]
            found.append(_outer(change, weights))
        weights = _outer(along, weights)
    return table_index(grid, level).reshape(-1, n), weights, found


def _outer(along: NDArray[np.floating], before: NDArray[np.floating]) -> NDArray[np.floating]:
    """Products of the rows of (taps, n) with those of (m, n): (taps * m, n)."""
    return (along[:, None] * before).reshape(-1, before.shape[1])
