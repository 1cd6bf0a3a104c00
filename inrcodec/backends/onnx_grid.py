"""Hash grids as nodes: features (k, n) of a level at points or on a lattice. The definition is networks/hashgrid.py.

With bitwise operations a level's rows are looked up by table_index itself. Without, the table given is the dense block of all vertices
that the domain touches (`expanded_rows`), and coordinates beyond the borders count as the borders.
"""

import math
from dataclasses import dataclass
from typing import Any

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
    ends = [vertices(np.array(pair), level, factor)[0] for pair, factor in zip(bounds, stretch, strict=True)]
    return Block(tuple(int(e[0]) for e in ends), tuple(int(e[1] - e[0]) + level.taps for e in ends))


def expanded_rows(level: Level, block: Block) -> NDArray[np.int64]:
    """Table rows of a block's vertices, in C order."""
    d = len(block.size)
    grid = [np.arange(a, a + m).reshape([-1 if i == k else 1 for i in range(d)]) for k, (a, m) in enumerate(zip(*_both(block), strict=True))]
    return np.ascontiguousarray(np.broadcast_to(table_index(grid, level), block.size)).reshape(-1)


def _both(block: Block) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return block.start, block.size


def check_expanded(levels: tuple[Level, ...], stretch: tuple[float, ...], bounds: Bounds) -> None:
    """Raise LimitExceeded where tables without hashing would be too large."""
    total = sum(math.prod(block_of(level, stretch, bounds).size) for level in levels)
    if total > MAX_EXPANDED:
        raise LimitExceeded(f"grid: expected at most {MAX_EXPANDED} vertices without hashing, got {total}; use profile cpu")


@dataclass(frozen=True, eq=False)
class Place:
    """Where coordinates (n,) of one axis lie in a level: lower vertices, integers or in a block floats, and weights (n,) per tap."""

    lower: Value
    weights: list[Value]


def places(axis: Value, levels: tuple[Level, ...], factor: float, blocks: tuple[Block, ...] | None, k: int, profile: Profile) -> list[Place]:
    """Per level, of network coordinates along axis k of a grid that sees them times `factor`."""
    wide = np.float64 if profile.double else np.float32
    x = ((axis.cast(wide) * factor + 1.0) * 0.5).cast(np.float32)
    scales = np.array([[level.scale] for level in levels])
    position = (x.cast(wide).unsqueeze(0) * scales.astype(wide) + 0.5).cast(np.float32)
    lower = position.floor()
    if blocks is not None:
        # Clip takes scalars only.
        first = np.array([[block.start[k]] for block in blocks], dtype=np.float32)
        last = np.array([[block.start[k] + block.size[k] - level.taps] for block, level in zip(blocks, levels, strict=True)], dtype=np.float32)
        lower = _between(lower, first, last)
    weight = position - lower
    if blocks is not None:
        weight = _between(weight, np.float32([0]), np.float32([1]))
        lower = lower - first
    else:
        lower = lower.cast(np.int64)
    return [Place(lower.at(i, 0), tap_weights(weight.at(i, 0), level.taps)) for i, level in enumerate(levels)]


def _between(value: Value, low: NDArray[Any], high: NDArray[Any]) -> Value:
    graph = value.graph
    return graph.apply("Min", graph.apply("Max", value, low), high)


def at_points(table: Value, level: Level, axes: list[Place], block: Block | None, profile: Profile) -> Value:
    """Features (k, n) of the rows table (entries, k)."""
    graph, d = table.graph, len(axes)
    ahead = [list(range(d))[:j] + list(range(d))[j + 1 :] for j in range(d)]
    taps = np.arange(level.taps, dtype=np.int64).reshape(-1, 1)
    rows: Value | Any = np.zeros((), dtype=profile.indices)
    if block is None:
        corners = [(place.lower.unsqueeze(0) + taps).unsqueeze(*ahead[j]) if d > 1 else place.lower + taps for j, place in enumerate(axes)]
        rows = table_index(corners, level)  # type: ignore[arg-type]
    else:
        for j, place in enumerate(axes):
            along = place.lower.cast(profile.indices).unsqueeze(0) + taps.astype(profile.indices)
            step = math.prod(block.size[j + 1 :])
            rows = rows + (along.unsqueeze(*ahead[j]) if d > 1 else along) * step
    found = table.take(rows).transpose(d + 1, *range(d + 1))  # (k, taps, ..., n)
    for j in reversed(range(d)):
        weights = graph.concat([w.unsqueeze(0) for w in axes[j].weights], 0)
        found = graph.apply("ReduceSum", found * weights, graph.integers(j + 1), attributes={"keepdims": 0})
    return found


def on_lattice(table: Value, level: Level, axes: list[Place], block: Block | None) -> Value:
    """Features (k, n) on the lattice of these axes: the block of touched vertices, contracted axis by axis from the last on."""
    graph, d = table.graph, len(axes)
    if block is None:
        touched = [_touched(place, level) for place in axes]
        grid = [v.unsqueeze(*(i for i in range(d) if i != k)) if d > 1 else v for k, (v, _) in enumerate(touched)]
        rows = table_index(grid, level)  # type: ignore[arg-type]
        values = table.take(rows).transpose(d, *range(d))  # type: ignore[arg-type]
        matrices = [_scattered(place, lower, v) for place, (v, lower) in zip(axes, touched, strict=True)]
    else:
        values = table.transpose(1, 0).reshape(0, *block.size)
        matrices = [_compared(place, size) for place, size in zip(axes, block.size, strict=True)]
    values = values @ matrices[-1]
    for k in reversed(range(d - 1)):
        if k < d - 2:
            values = values.reshape(*[0] * (k + 2), -1)
        values = matrices[k].transpose(1, 0) @ values
    return values.reshape(0, -1)


def _touched(place: Place, level: Level) -> tuple[Value, Value]:
    """Vertices (v,) from the lowest touched one to the highest, and the lower ones counted from the first of them."""
    graph = place.lower.graph
    start = graph.apply("ReduceMin", place.lower, attributes={"keepdims": 0})
    stop = graph.apply("ReduceMax", place.lower, attributes={"keepdims": 0}) + level.taps
    return graph.apply("Range", start, stop, 1), place.lower - start


def _scattered(place: Place, lower: Value, touched: Value) -> Value:
    """The interpolation matrix (v, m) of integer lower vertices."""
    graph, taps = lower.graph, len(place.weights)
    weights = graph.concat([w.unsqueeze(0) for w in place.weights], 0)
    rows = lower.unsqueeze(0) + np.arange(taps, dtype=np.int64).reshape(-1, 1)
    zero = graph.apply("Expand", graph.constant(0, np.float32), graph.concat([touched.shape(), lower.shape()], 0))
    return graph.apply("ScatterElements", zero, rows, weights, attributes={"axis": 0})


def _compared(place: Place, size: int) -> Value:
    """The same for lower vertices as floats, of all `size` vertices."""
    graph = place.lower.graph
    vertex = np.arange(size, dtype=np.float32).reshape(-1, 1)
    total: Value | None = None
    for tap, weight in enumerate(place.weights):
        here = graph.apply("Equal", place.lower.unsqueeze(0), vertex - np.float32(tap), dtype=np.dtype(bool))
        part = graph.apply("Where", here, weight.unsqueeze(0), graph.constant(0, np.float32), dtype=np.dtype(np.float32))
        total = part if total is None else total + part
    assert total is not None
    return total


def features(
    coords: PointsOf | LatticeOf, tables: list[Value], levels: tuple[Level, ...], stretch: tuple[float, ...], bounds: Bounds, profile: Profile
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


