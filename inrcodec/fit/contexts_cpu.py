"""The rate of dense table levels on a CPU: the same as fit/contexts.py by compiled passes, planes and rows shared among threads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends import cpu_contexts
from inrcodec.backends.threads import Team
from inrcodec.context import Padded, parents

F32 = NDArray[np.float32]
SPLIT_FROM = 1 << 15  # vertices of a plane whose rows are shared
NOTHING: F32 = np.zeros(0, dtype=np.float32)


@dataclass(eq=False)
class Plane:
    """One feature of one level: symbols with margins of zeros, flat, what they become, and the gradients gathered."""

    level: int
    feature: int
    padded: Padded
    v: F32
    compressed: F32
    box: F32  # (vertices,) compressed sums of magnitudes within 1
    grad_v: F32 = field(init=False)
    grad_compressed: F32 = field(init=False)
    grad_box: F32 = field(init=False)

    def __post_init__(self) -> None:
        self.grad_v, self.grad_compressed, self.grad_box = (np.zeros_like(a) for a in (self.v, self.v, self.box))

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.padded.sizes

    @property
    def rows(self) -> int:
        """Lines of vertices along the last axis."""
        return math.prod(self.sizes[:-1])

    def inner(self, flat: F32) -> F32:
        """The vertices of a padded array: a view of `sizes`."""
        return flat.reshape(self.padded.shape)[self.padded.inner]


@dataclass(frozen=True, eq=False)
class Piece:
    """What one thread finds out about rows of a plane."""

    grads: tuple[F32, ...]  # v, compressed, parent, box, before
    weights: tuple[F32, ...]
    bits: float


def context_rate(
    symbols: Sequence[tuple[int, F32]], weights: tuple[F32, F32, F32, F32], threads: Team
) -> tuple[float, list[F32], tuple[F32, ...]]:
    """Bits of the levels (number, symbols (*sizes, k)), from the coarsest on; slopes of the symbols and of the weights."""
    planes = [[_plane(level, f, v[..., f]) for f in range(v.shape[-1])] for level, v in symbols]
    work = []
    for i, level in enumerate(planes):
        for f, plane in enumerate(level):
            parent = planes[i - 1][f] if i else None
            before = level[f - 1] if f else None
            parts = threads.size if math.prod(plane.sizes) >= SPLIT_FROM else 1
            bounds = [plane.rows * part // parts for part in range(parts + 1)]
            work += [(plane, parent, before, slice(a, b)) for a, b in pairwise(bounds)]
    work.sort(key=lambda item: -math.prod(item[0].sizes))
    pieces = threads.map(lambda item: _run(*item, weights, len(planes[0])), work)
    sums = tuple(np.zeros_like(w) for w in weights)
    for piece, (plane, parent, before, rows) in zip(pieces, work, strict=True):
        _gather(piece, plane, parent, before, rows)
        for total, part in zip(sums, piece.weights, strict=True):
            total += part
    slopes = [np.stack([_slope(plane) for plane in level], axis=-1) for level in planes]
    return sum(piece.bits for piece in pieces), slopes, sums


def _plane(level: int, feature: int, v: F32) -> Plane:
    padded = Padded(v.shape)
    flat = np.pad(v, [(2, 1)] * v.ndim).reshape(-1)
    compressed, box = np.empty_like(flat), np.empty(v.size, dtype=np.float32)
    cpu_contexts.compress(flat, compressed)
    cpu_contexts.compress(_box(np.abs(v)).reshape(-1), box)
    return Plane(level, feature, padded, flat, compressed, box)


def _box(values: F32) -> F32:
    """Sums over what lies within 1 on every axis: its own adjoint."""
    for k in range(values.ndim):
        total = values.copy()
        low = tuple(slice(None, -1) if j == k else slice(None) for j in range(values.ndim))
        high = tuple(slice(1, None) if j == k else slice(None) for j in range(values.ndim))
        total[high] += values[low]
        total[low] += values[high]
        values = total
    return values


def _row_bases(padded: Padded, rows: slice) -> NDArray[np.int64]:
    """Where rows begin in a padded array, flat."""
    starts = np.arange(math.prod(padded.shape)).reshape(padded.shape)[padded.inner][..., 0]
    return np.ascontiguousarray(starts.reshape(-1)[rows])


def _run(plane: Plane, parent: Plane | None, before: Plane | None, rows: slice, weights: tuple[F32, F32, F32, F32], features: int) -> Piece:
    sizes, r = plane.sizes, plane.sizes[-1]
    distances, bases = plane.padded.distances(), _row_bases(plane.padded, rows)
    parent_bases, last = np.zeros(len(bases), dtype=np.int64), np.zeros(r, dtype=np.int64)
    compressed = box = NOTHING
    if parent is not None:
        nearest = [parents(n, m) for n, m in zip(sizes, parent.sizes, strict=True)]
        numbers, last = np.arange(rows.start, rows.stop), nearest[-1]
        for k, n in enumerate(sizes[:-1]):
            parent_bases = (parent_bases + nearest[k][numbers // math.prod(sizes[k + 1 : -1]) % n]) * parent.sizes[k + 1]
        compressed, box = np.ascontiguousarray(parent.inner(parent.compressed)).reshape(-1), parent.box
    seen = NOTHING
    if before is not None:
        inner = np.ascontiguousarray(before.inner(before.compressed)).reshape(-1, r)
        seen = inner[rows].reshape(-1)
    grads = tuple(np.zeros_like(a) for a in (plane.v, plane.v, compressed, box, seen))
    found = tuple(np.zeros_like(w) for w in (*weights[:3], weights[3][:, 0]))
    bits = cpu_contexts.rate(
        *(plane.v, plane.compressed, bases, distances, len(distances) - len(sizes), compressed, box, parent_bases, last, seen),
        *(*weights, plane.level * features + plane.feature, plane.level),
        *(*grads, *found),
    )
    bias = np.zeros_like(weights[3])
    bias[:, plane.level * features + plane.feature] = found[3]
    return Piece(grads, (*found[:3], bias), bits)


def _gather(piece: Piece, plane: Plane, parent: Plane | None, before: Plane | None, rows: slice) -> None:
    """Add what a piece found to the planes it looked at."""
    grad_v, grad_compressed, grad_parent, grad_box, grad_before = piece.grads
    plane.grad_v += grad_v
    plane.grad_compressed += grad_compressed
    if parent is not None:
        parent.inner(parent.grad_compressed)[...] += grad_parent.reshape(parent.sizes)
        parent.grad_box += grad_box
    if before is not None:
        into = before.inner(before.grad_compressed)
        whole = np.zeros((plane.rows, plane.sizes[-1]), dtype=np.float32)
        whole[rows] = grad_before.reshape(-1, plane.sizes[-1])
        into += whole.reshape(into.shape)


def _slope(plane: Plane) -> F32:
    cpu_contexts.compress_backward(plane.v, plane.grad_compressed, plane.grad_v)
    # The derivative of log2(1 + x) by its value.
    spread = _box((plane.grad_box * np.exp2(-plane.box) * np.float32(1 / np.log(2.0))).reshape(plane.sizes))
    result: F32 = plane.inner(plane.grad_v) + spread * np.sign(plane.inner(plane.v))
    return result
