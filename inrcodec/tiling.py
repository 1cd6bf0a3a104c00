"""Boxes that a grid is cut into, each with a network of its own, and how these are blended (spec section "Tiles").

With q_a = n_a (x_a - lo_a) / (hi_a - lo_a) the position on axis a of n_a nominal samples, a tile is a box of whole samples A_a .. B_a. Its
weight is the product over the axes of r((q_a - A_a) / V_a + 1/2) - r((q_a - B_a) / V_a + 1/2), r(t) = t^2 (3 - 2t) clipped to 0 .. 1; the
first term is 1 at the beginning of the axis and the second 0 at its end. That is the indicator of the box, smoothed by one kernel for all
tiles: the weights of boxes that cut the grid, of whatever sizes, sum to 1. The network of a tile sees the coordinates
(q_a - (A_a + B_a) / 2) * 2 / (B_a - A_a + V_a), which are -1 and 1 where its weight ends.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Lattice, Points

Floats = NDArray[np.float64]
Box = tuple[tuple[int, int], ...]  # per axis: first sample, sample after the last
Evaluate = Callable[[Points | Lattice], NDArray[Any]]  # local coordinates of n samples -> (n, c)


@dataclass(frozen=True)
class Split:
    """A box in two: along `axis`, before the sample `at` of the whole grid and from there on. A part is a Split or a tile's number."""

    axis: int
    at: int
    parts: "tuple[Split | int, Split | int]"


@dataclass(frozen=True, eq=False)
class Tiling:
    """A grid of `shape` nominal samples between `bounds` (lo, hi), its tree of splits, the boxes of the tiles by number."""

    shape: tuple[int, ...]
    bounds: tuple[tuple[float, float], ...]
    overlap: tuple[int, ...]
    root: Split | int
    boxes: tuple[Box, ...]

    def position(self, x: Floats, axis: int) -> Floats:
        """q of coordinates x."""
        lo, hi = self.bounds[axis]
        return self.shape[axis] * ((x - lo) / (hi - lo))

    def local(self, q: Floats, tile: int, axis: int) -> Floats:
        """The coordinate that the network of a tile sees."""
        a, b = self.boxes[tile][axis]
        return (q - (a + b) / 2) * (2 / (b - a + self.overlap[axis]))

    def local_slope(self, tile: int, axis: int) -> float:
        """Its change per change of the coordinate of the axis."""
        a, b = self.boxes[tile][axis]
        lo, hi = self.bounds[axis]
        return 2 / (b - a + self.overlap[axis]) * (self.shape[axis] / (hi - lo))

    def weight(self, q: Floats, tile: int, axis: int) -> Floats:
        """The factor of an axis in the weight of a tile."""
        a, b = self.boxes[tile][axis]
        v = self.overlap[axis]
        first = _smooth((q - a) / v + 0.5) if a > 0 else 1.0
        last = _smooth((q - b) / v + 0.5) if b < self.shape[axis] else 0.0
        return np.asarray(np.broadcast_to(np.subtract(first, last), q.shape))

    def weight_slope(self, q: Floats, tile: int, axis: int) -> Floats:
        """Its derivative by the coordinate of the axis."""
        a, b = self.boxes[tile][axis]
        v, (lo, hi) = self.overlap[axis], self.bounds[axis]
        found = np.zeros(q.shape)
        if a > 0:
            found += _smooth_slope((q - a) / v + 0.5)
        if b < self.shape[axis]:
            found -= _smooth_slope((q - b) / v + 0.5)
        return found * (self.shape[axis] / (hi - lo) / v)

    def of_lattice(self, q: Sequence[Floats]) -> Iterator[tuple[int, tuple[NDArray[np.intp], ...]]]:
        """By number each tile with a weight on the outer product of positions, one vector per axis: which of every axis it has."""
        pending: list[tuple[Split | int, tuple[NDArray[np.intp], ...]]] = [(self.root, tuple(np.arange(len(part)) for part in q))]
        while pending:
            node, chosen = pending.pop()
            if any(len(part) == 0 for part in chosen):
                continue
            if isinstance(node, int):
                yield node, chosen
                continue
            for side, part in reversed(list(enumerate(node.parts))):
                kept = _on_side(q[node.axis][chosen[node.axis]], node.at, self.overlap[node.axis], side)
                pending.append((part, tuple(c[kept] if k == node.axis else c for k, c in enumerate(chosen))))

    def of_points(self, q: Floats) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """By number each tile that has a weight at some of the positions q (n, d), and at which of them."""
        pending: list[tuple[Split | int, NDArray[np.intp]]] = [(self.root, np.arange(len(q)))]
        while pending:
            node, chosen = pending.pop()
            if len(chosen) == 0:
                continue
            if isinstance(node, int):
                yield node, chosen
                continue
            for side, part in reversed(list(enumerate(node.parts))):
                kept = _on_side(q[chosen, node.axis], node.at, self.overlap[node.axis], side)
                pending.append((part, chosen[kept]))


def tiling(shape: Sequence[int], bounds: Sequence[tuple[float, float]], overlap: Sequence[int], root: Split | int) -> Tiling:
    """The tiles of a tree whose tiles are numbered as they come, depth first. Raises ValueError for one cut narrower than the overlap."""
    boxes: list[Box] = []
    pending: list[tuple[Split | int, Box]] = [(root, tuple((0, n) for n in shape))]
    while pending:
        node, box = pending.pop()
        if isinstance(node, int):
            # Then no place has weights of more than 2^d tiles: each of them has a corner of the box of q +- V / 2.
            for axis, ((a, b), v) in enumerate(zip(box, overlap, strict=True)):
                if b - a < v and (a, b) != (0, shape[axis]):
                    raise ValueError(f"tile {len(boxes)}: axis {axis}: expected at least the {v} samples of the overlap, got {b - a}")
            boxes.append(box)
            continue
        a, b = box[node.axis]
        if not a < node.at < b:
            raise ValueError(f"a split of axis {node.axis} at {node.at}: expected one within {a} .. {b}")
        for part, cut in zip(reversed(node.parts), ((node.at, b), (a, node.at)), strict=True):
            pending.append((part, tuple(cut if k == node.axis else edge for k, edge in enumerate(box))))
    return Tiling(tuple(shape), tuple(bounds), tuple(overlap), root, tuple(boxes))


def blended(tiles: Tiling, evaluators: Callable[[int], Evaluate], coords: Points | Lattice) -> NDArray[Any]:
    """Outputs (n, c) at coordinates; evaluators(k) is the network of tile k."""
    if isinstance(coords, Lattice):
        return _blended_lattice(tiles, evaluators, coords)
    q = np.stack([tiles.position(x, axis) for axis, x in enumerate(coords.values.T)], axis=1)
    result: NDArray[Any] | None = None
    for tile, chosen in tiles.of_points(q):
        own = q[chosen]
        local = np.stack([tiles.local(own[:, axis], tile, axis) for axis in range(coords.d)], axis=1)
        y = evaluators(tile)(Points(local))
        weight = math.prod(tiles.weight(own[:, axis], tile, axis) for axis in range(coords.d))
        if result is None:
            result = np.zeros((coords.n, y.shape[1]), dtype=y.dtype)
        result[chosen] += np.asarray(weight).astype(y.dtype)[:, None] * y
    return np.zeros((0, 0), dtype=np.float32) if result is None else result


def blended_slopes(tiles: Tiling, evaluators: Callable[[int], tuple[Evaluate, Evaluate]], coords: Points) -> NDArray[Any]:
    """Derivatives (n, c, d) of `blended` by the coordinates; evaluators(k) gives outputs (n, c) and local slopes (n, c, d)."""
    axes = range(coords.d)
    q = np.stack([tiles.position(x, axis) for axis, x in enumerate(coords.values.T)], axis=1)
    result: NDArray[Any] | None = None
    for tile, chosen in tiles.of_points(q):
        own = q[chosen]
        local = Points(np.stack([tiles.local(own[:, axis], tile, axis) for axis in axes], axis=1))
        y, dy = (np.array(evaluate(local)) for evaluate in evaluators(tile))
        factors = [tiles.weight(own[:, axis], tile, axis) for axis in axes]
        if result is None:
            result = np.zeros((coords.n, y.shape[1], coords.d), dtype=dy.dtype)
        for axis in axes:
            others = math.prod((factors[k] for k in axes if k != axis), start=np.ones(len(chosen)))
            rise = np.asarray(others * tiles.weight_slope(own[:, axis], tile, axis)).astype(dy.dtype)
            weight = np.asarray(others * factors[axis] * tiles.local_slope(tile, axis)).astype(dy.dtype)
            result[chosen, :, axis] += rise[:, None] * y + weight[:, None] * dy[:, :, axis]
    return np.zeros((0, 0, coords.d), dtype=np.float32) if result is None else result


def _blended_lattice(tiles: Tiling, evaluators: Callable[[int], Evaluate], coords: Lattice) -> NDArray[Any]:
    q = [tiles.position(x, axis) for axis, x in enumerate(coords.axes)]
    result: NDArray[Any] | None = None
    for tile, chosen in tiles.of_lattice(q):
        if coords.needed is not None and not all(
            ((part.start <= index) & (index < part.stop)).any() for part, index in zip(coords.needed, chosen, strict=True)
        ):
            continue
        own = [part[index] for part, index in zip(q, chosen, strict=True)]
        y = evaluators(tile)(Lattice(tuple(tiles.local(part, tile, axis) for axis, part in enumerate(own))))
        if result is None:
            result = np.zeros((*coords.shape, y.shape[1]), dtype=y.dtype)
        y = y.reshape(*(len(index) for index in chosen), -1)
        weight: NDArray[Any] = np.ones(())
        for axis, part in enumerate(own):
            weight = weight[..., None] * tiles.weight(part, tile, axis)
        result[np.ix_(*chosen)] += weight.astype(y.dtype)[..., None] * y
    return np.zeros((0, 0), dtype=np.float32) if result is None else result.reshape(coords.n, -1)


def _on_side(q: Floats, at: int, overlap: int, side: int) -> NDArray[np.bool_]:
    """Whether tiles on the first or the second side of a split may have a weight at positions."""
    return np.asarray(q > at - overlap / 2 if side else q < at + overlap / 2)


def _smooth(t: Floats) -> Floats:
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _smooth_slope(t: Floats) -> Floats:
    t = np.clip(t, 0.0, 1.0)
    return np.asarray(6 * t * (1 - t))
