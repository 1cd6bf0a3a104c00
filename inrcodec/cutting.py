"""Where a large signal is cut into tiles: about as much in each, as far as its samples tell what a fit will find."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inrcodec.tiling import Box, Split

CELL = 32  # samples along an axis, of which the bits are estimated together
MORE = 1.5  # times the mean of tiles of the usual size, which a tile may hold
LEAST_SIDE = 16  # samples, of tiles
OVERLAPS = (8, 64)  # least and most; between them a 25th of a side


@dataclass(frozen=True, eq=False)
class Detail:
    """Estimated bits of the samples of a grid, for cells of CELL samples per axis: (*cells)."""

    shape: tuple[int, ...]
    bits: NDArray[np.float64]

    def of(self, box: Box) -> float:
        """Bits in a box: of the cells whose middle lies in it."""
        part = tuple(slice(_first(a), _first(b) if b < n else None) for (a, b), n in zip(box, self.shape, strict=True))
        return float(self.bits[part].sum())


def _first(sample: int) -> int:
    """The first cell whose middle is not before a sample."""
    return max(0, -(-(2 * sample - CELL) // (2 * CELL)))


def estimate(shape: Sequence[int], read: Callable[[Box], NDArray[np.floating]], distortion: float) -> Detail:
    """Bits of a signal whose samples (*sides, c) in [0, 1] are read box by box, at a mean squared error of `distortion`.

    Of a sample 1/2 log2(1 + e / distortion), e the mean over the axes of its squared second difference over 6, whose mean is the variance
    of white noise: no bits for what is smooth, half a bit a doubling for what is not.
    """
    cells = [-(-n // CELL) for n in shape]
    bits = np.zeros(cells)
    rows = max(1, (1 << 22) // (CELL * math.prod(shape[1:])))
    for first in range(0, cells[0], rows):
        last = min(first + rows, cells[0])
        a, b = max(0, first * CELL - 1), min(shape[0], last * CELL + 1)
        found = _sample_bits(read(((a, b), *((0, n) for n in shape[1:]))), distortion)
        part = found[first * CELL - a : min(last * CELL, shape[0]) - a]
        for axis, n in enumerate(part.shape):
            part = np.add.reduceat(part, range(0, n, CELL), axis=axis)
        bits[first:last] = part
    return Detail(tuple(shape), bits)


def _sample_bits(values: NDArray[np.floating], distortion: float) -> NDArray[np.float64]:
    """(*sides, c) -> (*sides)"""
    d = values.ndim - 1
    energy = np.zeros(values.shape)
    for axis in range(d):
        if values.shape[axis] > 2:
            inner = np.diff(values.astype(np.float64), 2, axis=axis) ** 2
            energy += np.pad(inner, [(1, 1) if k == axis else (0, 0) for k in range(d + 1)], mode="edge") / (6 * d)
    return np.asarray(0.5 * np.log2(1 + energy / distortion).sum(axis=-1))


def usual_overlap(side: int) -> int:
    """V of tiles of about `side` samples."""
    least, most = OVERLAPS
    return min(most, max(least, 2 * round(side / 50)))


def cut(detail: Detail, side: int) -> Split | int:
    """The tree of tiles: from half of `side` to twice as long along every axis, with not much more bits than the mean of `side`.

    Tiles are numbered depth first.
    """
    usual = math.prod(n / min(n, side) for n in detail.shape)
    most = MORE * max(float(detail.bits.sum()), 1e-9) / usual
    count = 0

    def node(box: Box) -> Split | int:
        nonlocal count
        lengths = [b - a for a, b in box]
        axis = int(np.argmax(lengths))
        if lengths[axis] < side or (lengths[axis] <= 2 * side and detail.of(box) <= most):
            count += 1
            return count - 1
        a, b = box[axis]
        at = a + (b - a + 1) // 2
        first, second = (tuple(part if k == axis else edge for k, edge in enumerate(box)) for part in ((a, at), (at, b)))
        before = node(first)
        return Split(axis, at, (before, node(second)))

    return node(tuple((0, n) for n in detail.shape))
