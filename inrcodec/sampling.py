"""How a grid is cut for evaluation: tiles, slabs of whole tiles, and the means of what is evaluated finer than asked for."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from inrcodec.coordinates import Lattice, Window, full_window, nearest_samples, sample_centres, tiles
from inrcodec.errors import UsageError
from inrcodec.networks.base import Array
from inrcodec.validity import Mask

TILE_SAMPLES = 1 << 16  # samples evaluated at once; tiles are anchored to the grid, so a region has the bits of the whole
SLAB_BYTES = 1 << 26  # of samples at a time where they are written as they are evaluated


def averaged(nominal: Sequence[float], shape: Sequence[int], most: int | None = None) -> tuple[int, ...]:
    """How many samples per axis, at most `most`, are evaluated for one of `shape`: a grid smaller than the nominal one would alias."""
    if most is not None and most < 1:
        raise UsageError(f"averaged: expected at least 1, got {most}")
    needed = (max(1, int(-(-n // m))) for n, m in zip(nominal, shape, strict=True))
    return tuple(needed if most is None else (min(each, most) for each in needed))


def slab_rows(tile: int, row_bytes: int) -> int:
    """Rows of a slab of about SLAB_BYTES at most: whole tiles of `tile` rows, so that none is evaluated twice."""
    return tile * max(1, SLAB_BYTES // (tile * row_bytes))


def tile_shape(shape: tuple[int, ...], over: tuple[int, ...], channels: int) -> tuple[int, ...]:
    """A tile of about TILE_SAMPLES evaluated samples, long along the last axis, and no longer along the first than a slab.

    Depends on the grid alone, so that every region of it has the same tiles.
    """
    left = max(1, TILE_SAMPLES // math.prod(over))
    most = max(1, SLAB_BYTES // (8 * channels * math.prod(shape[1:])))
    d = len(shape)
    first = [most] if d > 1 and most < min(shape[0], round(left ** (1 / d))) else []
    left //= math.prod(first)
    tile: list[int] = []
    for i, m in enumerate(reversed(shape[len(first) :])):
        share = max(1, round(left ** (1 / (d - len(first) - i)))) * (2 if i == 0 and d > 1 else 1)
        tile.append(min(m, share))
        left = max(1, left // tile[-1])
    return (*first, *reversed(tile))


@dataclass(frozen=True)
class Grid:
    """The samples `window` of a grid of `shape`, each the mean of `over` evaluated ones per axis.

    The grid covers `region` of the signal, one (start, stop) per axis in nominal samples, whose borders have the coordinates `bounds`.
    """

    shape: tuple[int, ...]
    window: Window
    over: tuple[int, ...]
    region: tuple[tuple[float, float], ...]
    bounds: tuple[tuple[float, float], ...]
    channels: int

    @property
    def extent(self) -> tuple[int, ...]:
        """Samples per axis of the window."""
        return tuple(stop - start for start, stop in self.window)

    @property
    def evaluated(self) -> int:
        return math.prod(self.extent) * math.prod(self.over)


def region_grid(
    region: Sequence[tuple[float, float]],
    size: tuple[int, ...],
    nominal: Sequence[int],
    bounds: Sequence[tuple[float, float]],
    channels: int,
    *,
    most: int | None = None,
) -> Grid:
    """`size` samples per axis of a region of a signal of `nominal` samples between `bounds`: the region's own grid."""
    borders = []
    for (start, stop), n, (lo, hi) in zip(region, nominal, bounds, strict=True):
        borders.append((lo + start / n * (hi - lo), lo + stop / n * (hi - lo)))
    # Of borders that are no whole numbers, the difference is one but for rounding.
    extent = [round(stop - start, 9) for start, stop in region]
    return Grid(size, full_window(size), averaged(extent, size, most), tuple(region), tuple(borders), channels)


def fill_grid(
    grid: Grid,
    evaluate: Callable[[Lattice], Array],
    missing: Mask | None,
    store: Callable[[Array, tuple[slice, ...]], None],
    run: Callable[[Callable[[Window], None], Iterable[Window]], Any],
) -> None:
    """Give the outputs (c, *tile) of every tile of `grid`, and its place in the window, to `store`; `run` is the map of a crew."""
    fine_shape = tuple(m * k for m, k in zip(grid.shape, grid.over, strict=True))
    # Tiles of one row or column share the vectors of their axes, by identity, so that an engine can keep what belongs to them.
    axis_part = lru_cache(maxsize=256)(sample_centres)

    def fill(tile: Window) -> None:
        fine: Window = tuple((a * k, b * k) for (a, b), k in zip(tile, grid.over, strict=True))
        axes = tuple(axis_part(m, lo, hi, part) for m, (lo, hi), part in zip(fine_shape, grid.bounds, fine, strict=True))
        lost = None
        if missing is not None:
            places = []
            for (start, stop), m, part in zip(grid.region, fine_shape, fine, strict=True):
                places.append(nearest_samples(stop - start, m, part, begin=start))
            lost = missing[np.ix_(*places)]
        source = tuple(slice(max(a, s) - a, min(b, e) - a) for (a, b), (s, e) in zip(tile, grid.window, strict=True))
        needed = tuple(slice(part.start * k, part.stop * k) for part, k in zip(source, grid.over, strict=True))
        values = block_mean(evaluate(Lattice(axes, needed)), [b - a for a, b in tile], grid.over, lost)
        place = tuple(slice(max(a, s) - s, min(b, e) - s) for (a, b), (s, e) in zip(tile, grid.window, strict=True))
        store(values[(slice(None), *source)], place)

    run(fill, tiles(grid.shape, grid.window, tile_shape(grid.shape, grid.over, grid.channels)))


def fill_lattice(
    coords: Lattice, values: Callable[[Lattice], Array], result: Array, run: Callable[[Callable[[Window], None], Iterable[Window]], Any]
) -> None:
    """Set `result` (*coords.shape, c) to the `values` (n, c) of coords, tile by tile; `run` is the map of a crew."""
    axis_part = lru_cache(maxsize=256)(lambda k, a, b: coords.axes[k][a:b].copy())

    def fill(tile: Window) -> None:
        place = result[tuple(slice(a, b) for a, b in tile)]
        place[...] = values(Lattice(tuple(axis_part(k, a, b) for k, (a, b) in enumerate(tile)))).reshape(place.shape)

    run(fill, tiles(coords.shape, full_window(coords.shape), tile_shape(coords.shape, (1,) * coords.d, result.shape[-1])))


def slices_of(parts: Sequence[Any], sizes: Sequence[int]) -> tuple[list[tuple[int, int]], list[slice | int]] | None:
    """The region that slices and integers of the first axes touch, and what they are within it; None where they touch nothing."""
    region: list[tuple[int, int]] = []
    local: list[slice | int] = []
    for part, n in zip([*parts, *[slice(None)] * (len(sizes) - len(parts))], sizes, strict=True):
        if isinstance(part, slice):
            indices = range(n)[part]
            if not indices:
                return None
            low, high = min(indices[0], indices[-1]), max(indices[0], indices[-1])
            stop = indices[-1] - low + (1 if indices.step > 0 else -1)
            local.append(slice(indices[0] - low, None if stop < 0 else stop, indices.step))
        else:
            low = high = range(n)[part]
            local.append(0)
        region.append((low, high + 1))
    return region, local


def block_mean(values: Array, shape: Sequence[int], over: Sequence[int], missing: Mask | None) -> Array:
    """Mean over blocks of `over` samples: (prod(shape * over), c) -> (c, *shape); of those not `missing` (*shape * over), NaN of none."""
    split = [part for m, k in zip(shape, over, strict=True) for part in (m, k)]
    blocks = values.T.reshape(-1, *split)
    inner = tuple(range(2, 2 * len(shape) + 1, 2))
    if missing is not None:
        kept = ~missing.reshape(1, *split)
        counts = kept.sum(axis=inner, dtype=values.dtype)
        with np.errstate(invalid="ignore"):
            blocks = np.where(kept, blocks, values.dtype.type(0)).sum(axis=inner, dtype=values.dtype) / counts
    elif any(k > 1 for k in over):
        blocks = blocks.mean(axis=inner, dtype=values.dtype)
    return np.asarray(blocks, dtype=values.dtype).reshape(-1, *shape)
