"""Hash grids as nodes: features (k, n) of a level at points or on a lattice. The definition is networks/hashgrid.py.

With bitwise operations a level's rows are looked up by table_index itself. Without, the table given is the dense block of all vertices
that the domain touches (`expanded_rows`), and coordinates beyond the borders count as the borders.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from inrcodec.backends.onnx_graph import Value
from inrcodec.backends.onnx_profile import Bounds, LatticeOf, PointsOf, Profile
from inrcodec.errors import LimitExceeded
from inrcodec.networks.hashgrid import Level, table_index, tap_weights, vertices

MAX_EXPANDED = 1 << 25  # vertices of all levels of a model without hashing


@dataclass(frozen=True)
class Block:
    """The vertices of a level that a domain touches: along axis k those from start[k] on, size[k] of them."""

    start: tuple[int, ...]
    size: tuple[int, ...]


def block_of(level: Level, stretch: tuple[float, ...], bounds: Bounds) -> Block:
    with np.errstate(over="ignore", invalid="ignore"):
        ends = [vertices(np.array(pair), level, factor)[0] for pair, factor in zip(bounds, stretch, strict=True)]
    return Block(tuple(int(e[0]) for e in ends), tuple(int(e[1] - e[0]) + level.taps for e in ends))


def expanded_rows(level: Level, block: Block) -> NDArray[np.int64]:
    """Table rows of a block's vertices, in C order."""
    d = len(block.size)
    along = [np.arange(a, a + m) for a, m in zip(block.start, block.size, strict=True)]
    grid = [axis.reshape([-1 if i == k else 1 for i in range(d)]) for k, axis in enumerate(along)]
    return np.ascontiguousarray(np.broadcast_to(table_index(grid, level), block.size)).reshape(-1)


def check_expanded(levels: tuple[Level, ...], stretch: tuple[float, ...], bounds: Bounds) -> None:
    """Raise LimitExceeded where tables without hashing would be too large."""
    total = sum(math.prod(block_of(level, stretch, bounds).size) for level in levels)
    if total > MAX_EXPANDED:
        raise LimitExceeded(f"grid: expected at most {MAX_EXPANDED} vertices without hashing, got {total}; use profile cpu")


@dataclass(frozen=True, eq=False)
class Place:
    """Where coordinates (n,) of one axis lie in a level: vertices and their weights (taps, n). In a block vertices are floats; without
    one, `span` is the lowest vertex and how many there are from it to the highest.
    """

    vertices: Value
    weights: Value
    span: tuple[Value, Value] | None


def places(
    axis: Value, levels: tuple[Level, ...], factor: float, blocks: tuple[Block, ...] | None, k: int, profile: Profile
) -> list[Place]:
    """Per level, of network coordinates along axis k of a grid that sees them times `factor`. Levels of equal taps share the nodes."""
    graph, wide = axis.graph, np.float64 if profile.double else np.float32
    x = ((axis.cast(wide) * factor + 1.0) * 0.5).cast(np.float32)
    found: dict[int, Place] = {}
    for taps in sorted({level.taps for level in levels}):
        chosen = [i for i, level in enumerate(levels) if level.taps == taps]
        scales = np.array([[levels[i].scale] for i in chosen], dtype=wide)
        position = (x.cast(wide).unsqueeze(0) * scales + 0.5).cast(np.float32)
        lower = position.floor()
        if blocks is not None:
            first = np.array([[blocks[i].start[k]] for i in chosen], dtype=np.float32)
            last = np.array([[blocks[i].size[k] - taps] for i in chosen], dtype=np.float32)
            # Max and Min, which WebGPU has not.
            lower = last - graph.apply("Relu", last - graph.apply("Relu", lower - first))
            zero, one = (graph.constant(v, np.float32) for v in (0, 1))
            weight = graph.apply("Clip", position - (lower + first), zero, one)
        else:
            weight, lower = position - lower, lower.cast(np.int64)
        weights = graph.concat([w.unsqueeze(0) for w in tap_weights(weight, taps)], 0)  # (taps, l, n)
        number = np.arange(taps).astype(lower.dtype).reshape(-1, 1, 1)
        every = lower.unsqueeze(0) + number
        lowest = graph.apply("ReduceMin", lower, graph.integers(1)) if blocks is None else None
        count = None if lowest is None else graph.apply("ReduceMax", lower, graph.integers(1)) - lowest + taps
        for row, i in enumerate(chosen):
            span = None if lowest is None or count is None else (lowest.at(row, 0).reshape(), count.at(row, 0).reshape())
            found[i] = Place(every.at(row, 1), weights.at(row, 1), span)
    return [found[i] for i in range(len(levels))]


def at_points(table: Value, level: Level, axes: list[Place], block: Block | None, profile: Profile) -> Value:
    """Features (k, n) of the rows table (entries, k)."""
    graph, d = table.graph, len(axes)
    corners = [place.vertices.unsqueeze(*(i for i in range(d) if i != j)) if d > 1 else place.vertices for j, place in enumerate(axes)]
    if block is None:
        rows = _rows(corners, level)
    else:
        steps = [math.prod(block.size[j + 1 :]) for j in range(d)]
        parts = [corner.cast(profile.indices) * step for corner, step in zip(corners, steps, strict=True)]
        rows = reduce(lambda a, b: a + b, parts)
    found = table.take(rows).transpose(d + 1, *range(d + 1))  # (k, taps, ..., n)
    for j in reversed(range(d)):
        found = graph.apply("ReduceSum", found * axes[j].weights, graph.integers(j + 1), attributes={"keepdims": 0})
    return found


def on_lattice(table: Value, level: Level, axes: list[Place], block: Block | None) -> Value:
    """Features (k, n) on the lattice of these axes: the block of touched vertices, contracted axis by axis from the last on."""
    d = len(axes)
    if block is None:
        touched = [_touched(place) for place in axes]
        grid = [v.unsqueeze(*(i for i in range(d) if i != k)) if d > 1 else v for k, v in enumerate(touched)]
        values = table.take(_rows(grid, level)).transpose(d, *range(d))
        matrices = [_scattered(place) for place in axes]
    else:
        values = table.transpose(1, 0).reshape(0, *block.size)
        matrices = [_compared(place, size, level.taps) for place, size in zip(axes, block.size, strict=True)]
    values = values @ matrices[-1]
    for k in reversed(range(d - 1)):
        if k < d - 2:
            values = values.reshape(*[0] * (k + 2), -1)
        values = matrices[k].transpose(1, 0) @ values
    return values.reshape(0, -1)


def _rows(corners: list[Value], level: Level) -> Value:
    """table_index works on whatever has its operators."""
    found: Any = table_index(cast(Any, corners), level)
    assert isinstance(found, Value)
    return found


def _touched(place: Place) -> Value:
    """Vertices (v,) of the span."""
    assert place.span is not None
    start, count = place.span
    # From 0: ONNX Runtime counts in float64.
    return start.graph.apply("Range", count.graph.constant(0, np.int64), count, 1) + start


def _scattered(place: Place) -> Value:
    """The interpolation matrix (v, n) of the v vertices of its span."""
    assert place.span is not None
    graph, (start, count) = place.vertices.graph, place.span
    samples = graph.apply("Shape", place.vertices, attributes={"start": 1}, dtype=np.dtype(np.int64))
    zero = graph.apply("Expand", graph.constant(0, np.float32), graph.concat([count.reshape(1), samples], 0))
    return graph.apply("ScatterElements", zero, place.vertices - start, place.weights, attributes={"axis": 0})


def _compared(place: Place, size: int, taps: int) -> Value:
    """The same of all `size` vertices of a block, without scattering."""
    graph = place.vertices.graph
    numbers, nothing = np.arange(size, dtype=np.float32).reshape(-1, 1), graph.constant(0, np.float32)
    parts = []
    for tap in range(taps):
        here = graph.apply("Equal", place.vertices.at(tap, 0).unsqueeze(0), numbers, dtype=np.dtype(bool))
        weight = place.weights.at(tap, 0).unsqueeze(0)
        parts.append(graph.apply("Where", here, weight, nothing, dtype=np.dtype(np.float32)))
    return reduce(lambda a, b: a + b, parts)


def features(
    coords: PointsOf | LatticeOf,
    tables: list[Value],
    levels: tuple[Level, ...],
    stretch: tuple[float, ...],
    bounds: Bounds,
    profile: Profile,
) -> list[Value]:
    """Features (k, n) level by level. tables[i]: rows (entries, k), without bitwise operations those of `expanded_rows`."""
    blocks = None if profile.bitwise else tuple(block_of(level, stretch, bounds) for level in levels)
    vectors = coords.columns if isinstance(coords, PointsOf) else coords.axes
    every = [places(axis, levels, stretch[k], blocks, k, profile) for k, axis in enumerate(vectors)]
    result = []
    for i, (table, level) in enumerate(zip(tables, levels, strict=True)):
        axes, block = [axis[i] for axis in every], None if blocks is None else blocks[i]
        found = at_points(table, level, axes, block, profile) if isinstance(coords, PointsOf) else on_lattice(table, level, axes, block)
        result.append(found)
    return result
