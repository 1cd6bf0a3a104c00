"""A grid of samples that is evaluated where it is indexed."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Window
from inrcodec.sampling import slices_of

Samples = NDArray[Any]


@dataclass(frozen=True, eq=False)
class LazyGrid:
    """Samples of `shape` (*axes, c) and `dtype`, of which `decode` evaluates a window of the axes: as an array, without its memory.

    Slices and integers evaluate the region they touch, with the bits of the whole; of steps beyond 1, all between. Any other index
    evaluates everything.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    decode: Callable[[Window], Samples]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Samples]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Samples:
        if copy is False:
            raise ValueError("samples are evaluated into a new array: copy=False is impossible")
        result = self.decode(tuple((0, n) for n in self.shape[:-1]))
        return result if dtype is None else result.astype(dtype, copy=False)

    def __getitem__(self, key: Any) -> Samples:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(_is_simple(part) for part in parts):
            return np.asarray(self.__array__()[key])
        full = _without_ellipsis(parts, len(self.shape))
        *axes, channels = full
        if not isinstance(channels, slice):
            range(self.shape[-1])[channels]  # an index out of range is told before anything is evaluated
        touched = slices_of(axes, self.shape[:-1])
        if touched is None:
            return np.array(np.broadcast_to(np.zeros((), dtype=self.dtype), self.shape)[tuple(full)])
        region, local = touched
        return np.asarray(self.decode(tuple(region))[(*local, channels)])


def _is_simple(part: Any) -> bool:
    return part is Ellipsis or (isinstance(part, slice | int | np.integer) and not isinstance(part, bool))


def _without_ellipsis(parts: tuple[Any, ...], d: int) -> list[Any]:
    """One slice or integer per axis. Raises IndexError as NumPy does."""
    dots = [k for k, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can have one ellipsis ('...') only")
    given = len(parts) - len(dots)
    if given > d:
        raise IndexError(f"too many indices: expected at most {d}, got {given}")
    rest = [slice(None)] * (d - given)
    at = dots[0] if dots else len(parts)
    return [*parts[:at], *rest, *parts[at + len(dots) :]]
