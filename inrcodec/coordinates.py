"""Where samples are: the only file that knows a coordinate convention.

Axes come in array order, slowest first. An axis of m samples between the borders lo and hi has sample i at its centre,

    lo + (i + 0.5) / m * (hi - lo)

A grid scaled by s has m = max(1, floor(n * s + 0.5)) samples per axis of n; a region of it is its crop. All coordinates are float64.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError

Window = tuple[tuple[int, int], ...]  # per axis: first index, index after the last


@dataclass(frozen=True, eq=False)
class Points:
    """n coordinates (n, d)."""

    values: NDArray[np.float64]

    @property
    def d(self) -> int:
        return int(self.values.shape[1])

    @property
    def n(self) -> int:
        return int(self.values.shape[0])

    def slice(self, start: int, stop: int) -> "Points":
        return Points(self.values[start:stop])


def points_of(points: Any, d: int) -> Points:
    """Points (n, d) of an array, or one of (d,). Raises UsageError for other shapes and what is not finite."""
    values = reals_of(points, "points")
    if values.ndim == 1 and values.shape == (d,):
        values = values[None]
    if values.ndim != 2 or values.shape[1] != d:
        raise UsageError(f"points: expected coordinates of shape (n, {d}), got shape {values.shape}")
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        first = int(np.argmin(finite))
        raise UsageError(f"points: expected finite coordinates, got {', '.join(map(str, values[first]))} at point {first}")
    return Points(values)


def reals_of(numbers: Any, what: str) -> NDArray[np.float64]:
    """An array of real numbers in float64. Raises UsageError for anything else."""
    try:
        given = np.asarray(numbers)
        if given.dtype.kind == "c":
            raise TypeError(f"complex numbers of type {given.dtype}")
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: expected real numbers, got {' '.join(str(error).split())}") from error


@dataclass(frozen=True, eq=False)
class Lattice:
    """The outer product of one coordinate vector per axis; samples in C order. needed: those that are looked at, per axis; None: all."""

    axes: tuple[NDArray[np.float64], ...]
    needed: tuple[slice, ...] | None = None

    @property
    def d(self) -> int:
        return len(self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis) for axis in self.axes)

    @property
    def n(self) -> int:
        return math.prod(self.shape)

    def points(self) -> Points:
        grid = np.meshgrid(*self.axes, indexing="ij")
        return Points(np.stack([axis.reshape(-1) for axis in grid], axis=1))


def sample_centres(m: int, lo: float = -1.0, hi: float = 1.0, window: tuple[int, int] | None = None) -> NDArray[np.float64]:
    """Centres of the samples `window` (all of them if None) of an axis of m: (window length,)."""
    start, stop = window or (0, m)
    return lo + (np.arange(start, stop, dtype=np.float64) + 0.5) / m * (hi - lo)


def nearest_samples(n: float, m: int, window: tuple[int, int] | None = None, *, begin: float = 0) -> NDArray[np.int64]:
    """Of an axis those nearest to the samples `window` (all if None) of m over n of its samples from `begin`, the later of two as near."""
    start, stop = window or (0, m)
    found = ((2 * np.arange(start, stop, dtype=np.int64) + 1) * n + 2 * m * begin) // (2 * m)
    return np.asarray(found, dtype=np.int64)


def nearest_to_points(points: Points, sizes: Sequence[int], bounds: Sequence[tuple[float, float]]) -> tuple[NDArray[np.int64], ...]:
    """Per axis the index of the nominal sample nearest to each point (n), the later of two as near, the outermost beyond the borders."""
    places = []
    for x, n, (lo, hi) in zip(points.values.T, sizes, bounds, strict=True):
        places.append(np.clip(np.floor((x - lo) / (hi - lo) * n), 0, n - 1).astype(np.int64))
    return tuple(places)


def scaled_size(sizes: Sequence[int], scale: float) -> tuple[int, ...]:
    """Samples per axis of a grid of `sizes` scaled by `scale`."""
    if not (math.isfinite(scale * max(sizes)) and scale > 0):
        raise UsageError(f"scale: expected a positive number, got {scale}")
    return tuple(max(1, math.floor(n * scale + 0.5)) for n in sizes)


def target_size(sizes: Sequence[int], scale: float | None, size: Sequence[int] | None) -> tuple[int, ...]:
    """Samples per axis of a grid of `sizes` that is scaled or of `size`, the nominal one if both are None. Raises UsageError."""
    if scale is not None and size is not None:
        raise UsageError("decode: expected scale or size, got both")
    if size is None:
        return scaled_size(sizes, 1.0 if scale is None else scale)
    if len(size) != len(sizes) or min(size) < 1 or any(int(m) != m for m in size):
        raise UsageError(f"size: expected {len(sizes)} positive whole numbers of samples, got {tuple(size)}")
    return tuple(int(m) for m in size)


def region_window(region: Sequence[tuple[float, float]], sizes: Sequence[int], scaled: Sequence[int]) -> Window:
    """The index window on the grid of `scaled` samples of a region given in nominal sample units, one (start, stop) per axis.

    Both borders are rounded to the scaled grid; at least one sample is kept. Raises UsageError outside 0 <= start < stop <= n.
    """
    check_region(region, sizes)
    window = []
    for (start, stop), n, m in zip(region, sizes, scaled, strict=True):
        first = min(math.floor(start * m / n + 0.5), m - 1)
        window.append((first, max(first + 1, math.floor(stop * m / n + 0.5))))
    return tuple(window)


def check_region(region: Sequence[tuple[float, float]], sizes: Sequence[int]) -> None:
    """Raise UsageError unless a region has one (start, stop) per axis of n samples, 0 <= start < stop <= n."""
    if len(region) != len(sizes):
        raise UsageError(f"region: expected {len(sizes)} (start, stop) pairs, one per axis, got {len(region)}")
    for k, ((start, stop), n) in enumerate(zip(region, sizes, strict=True)):
        if not (0 <= start < stop <= n):
            raise UsageError(f"region: axis {k}: expected 0 <= start < stop <= {n}, got {start}, {stop}")


def full_window(shape: Sequence[int]) -> Window:
    return tuple((0, m) for m in shape)


def lattice(shape: Sequence[int], bounds: Sequence[tuple[float, float]], window: Window | None = None) -> Lattice:
    """The sample centres of `window` on a grid of `shape` between `bounds` (lo, hi) per axis."""
    window = window or full_window(shape)
    return Lattice(tuple(sample_centres(m, lo, hi, w) for m, (lo, hi), w in zip(shape, bounds, window, strict=True)))


def tiles(shape: Sequence[int], window: Window, tile: Sequence[int]) -> Iterator[Window]:
    """The tiles of a grid that meet `window`, each whole, in C order.

    Tiles are anchored at index 0 of the grid, whatever the window: a sample is always evaluated among the same neighbours, so that
    a region has the same bits as the crop of the whole.
    """
    counts = []
    for m, (start, stop), t in zip(shape, window, tile, strict=True):
        counts.append([(i * t, min(m, (i + 1) * t)) for i in range(start // t, (stop - 1) // t + 1)])
    for index in np.ndindex(*(len(c) for c in counts)):
        yield tuple(c[i] for c, i in zip(counts, index, strict=True))


def strided(axis: NDArray[np.float64], stride: int) -> list[NDArray[np.float64]]:
    """The `stride` sub-axes of an axis, one per phase; phases beyond its length are left out."""
    return [axis[phase::stride] for phase in range(min(stride, len(axis)))]
