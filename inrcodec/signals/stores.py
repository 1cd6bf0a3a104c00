"""Samples that are read box by box: arrays in memory, and plain samples in files. Stores can be pickled and hold nothing open."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError

Box = Sequence[tuple[int, int]]
PART = 1 << 20  # samples looked at together


class Store(Protocol):
    """Samples of `shape` and `dtype`."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def read(self, box: Box) -> NDArray[Any]:
        """The samples of a box within the grid, not to be written into. Raises InputError."""
        ...

    def boxes(self) -> Iterator[Box]:
        """Boxes that cover the grid once, in an order and of sizes that are quickly read."""
        ...


def slices(box: Box) -> tuple[slice, ...]:
    return tuple(slice(start, stop) for start, stop in box)


def covering(shape: Sequence[int], chunk: Sequence[int], order: Sequence[int] | None = None) -> Iterator[Box]:
    """Boxes of whole chunks, of about PART samples, that grow along the axes in `order`, the last first if None: then in C order."""
    step = [min(n, size) for n, size in zip(shape, chunk, strict=True)]
    for axis in reversed(range(len(shape))) if order is None else order:
        while step[axis] < shape[axis] and 2 * math.prod(step) <= PART:
            step[axis] = min(2 * step[axis], shape[axis])
    for start in product(*(range(0, n, size) for n, size in zip(shape, step, strict=True))):
        yield tuple((a, min(a + size, n)) for a, size, n in zip(start, step, shape, strict=True))


@dataclass(frozen=True, eq=False)
class ArrayStore:
    """An array, which may be mapped from a file."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def read(self, box: Box) -> NDArray[Any]:
        return np.asarray(self.array[slices(box)])

    def boxes(self) -> Iterator[Box]:
        return covering(self.shape, (1,) * self.array.ndim)


@dataclass(frozen=True)
class MappedStore:
    """Plain samples in a file from byte `offset` on, mapped for every box, so that pages do not stay in memory.

    stored  their type in the file's byte order
    order   "C" or "F"
    """

    path: str
    shape: tuple[int, ...]
    stored: str
    offset: int
    order: str = "C"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.stored)

    def read(self, box: Box) -> NDArray[Any]:
        needed = self.offset + math.prod(self.shape) * self.dtype.itemsize
        try:
            size = os.stat(self.path).st_size
            if size < needed:
                raise InputError(f"{self.path}: truncated: expected {needed} bytes, got {size}")
            order: Any = self.order
            mapped: NDArray[Any] = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)
            return np.array(mapped[slices(box)])
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def boxes(self) -> Iterator[Box]:
        axes = range(len(self.shape))
        return covering(self.shape, (1,) * len(axes), axes if self.order == "F" else None)


@dataclass(frozen=True)
class Rearranged:
    """A store with its axes in another order: axis k is `axes[k]` of the store."""

    store: Store
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.store.shape[axis] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.store.dtype

    def read(self, box: Box) -> NDArray[Any]:
        return self.store.read([box[self.axes.index(axis)] for axis in range(len(self.axes))]).transpose(self.axes)

    def boxes(self) -> Iterator[Box]:
        for box in self.store.boxes():
            yield tuple(box[axis] for axis in self.axes)
