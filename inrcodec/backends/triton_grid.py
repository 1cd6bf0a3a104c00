"""Hash-grid features at scattered points on a GPU: one Triton kernel per level forward, one back.

A program has some samples and all vertices around each, as a tile (samples, taps^d), and forms rows and weights anew on the way back. Rows
are formed in uint32, positions in float64, rounded once: the numbers of networks/hashgrid.py. Gradients are added by atomics, in no fixed
order; those of a small table go to one of several copies of it, so that samples side by side seldom wait for the same row.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from inrcodec.networks.hashgrid import PRIMES, Level

Tensor = torch.Tensor

P0, P1, P2, P3 = (tl.constexpr(prime) for prime in PRIMES)
TILE = 1024  # samples times vertices of a program
SPREAD = 1 << 16  # values of all copies of a table
MAX_COPIES = 32


class SavedGrid(NamedTuple):
    x: Tensor  # (d, n), in [0, 1]
    levels: Sequence[Level]


@triton.jit
def tap_weight(f, tap, TAPS: tl.constexpr):
    """Weight of vertex number `tap` along an axis for the fraction f: hashgrid.tap_weights."""
    if TAPS == 2:
        return tl.where(tap == 0, 1.0 - f, f)
    square = f * f
    cube = square * f
    inner = tl.where(tap == 1, 1.0 - 2.5 * square + 1.5 * cube, 0.5 * f + 2.0 * square - 1.5 * cube)
    outer = tl.where(tap == 0, square - 0.5 * (f + cube), 0.5 * (cube - square))
    return tl.where((tap == 1) | (tap == 2), inner, outer)


@triton.jit
def corners(
    x, samples, scale, resolution, entries, n,
    D: tl.constexpr, TAPS: tl.constexpr, CORNERS: tl.constexpr, DENSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Table rows (int64) and weights (BLOCK, CORNERS) of the vertices around `samples` (BLOCK) of x (D, n)."""
    inside = samples < n
    corner = tl.arange(0, CORNERS)
    rows = tl.zeros((BLOCK, CORNERS), dtype=tl.uint32)
    weights = tl.full((BLOCK, CORNERS), 1.0, dtype=tl.float32)
    stride = tl.full((), 1, dtype=tl.uint32)
    for k in tl.static_range(D):
        coordinate = tl.load(x + (D - 1 - k) * tl.cast(n, tl.int64) + samples, mask=inside, other=0.0)
        position = (tl.cast(scale, tl.float64) * coordinate.to(tl.float64) + 0.5).to(tl.float32)
        low = tl.floor(position)
        tap = corner % TAPS
        corner = corner // TAPS
        # By way of int64: a vertex left of the grid is its value modulo 2^32.
        vertex = low.to(tl.int64).to(tl.uint32)[:, None] + tap.to(tl.uint32)[None, :]
        if DENSE:
            rows = rows + vertex * stride
            stride = stride * tl.cast(resolution, tl.uint32)
        elif k == 0:
            rows = rows ^ (vertex * P0)
        elif k == 1:
            rows = rows ^ (vertex * P1)
        elif k == 2:
            rows = rows ^ (vertex * P2)
        else:
            rows = rows ^ (vertex * P3)
        weights = weights * tap_weight((position - low)[:, None], tap[None, :], TAPS)
    return (rows % tl.cast(entries, tl.uint32)).to(tl.int64), weights


@triton.jit(do_not_specialize=["resolution", "entries"])
def _features(
    x, table, out, scale, resolution, entries, n,
    FEATURES: tl.constexpr, D: tl.constexpr, TAPS: tl.constexpr, CORNERS: tl.constexpr, DENSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    samples = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    rows, weights = corners(x, samples, scale, resolution, entries, n, D, TAPS, CORNERS, DENSE, BLOCK)
    inside = samples < n
    for feature in range(FEATURES):
        values = tl.load(table + rows * FEATURES + feature, mask=inside[:, None], other=0.0)
        tl.store(out + feature * tl.cast(n, tl.int64) + samples, tl.sum(weights * values, axis=1), mask=inside)


@triton.jit(do_not_specialize=["resolution", "entries", "copies"])
def _features_backward(
    x, grad, into, scale, resolution, entries, n, copies,
    FEATURES: tl.constexpr, D: tl.constexpr, TAPS: tl.constexpr, CORNERS: tl.constexpr, DENSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    samples = program.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    rows, weights = corners(x, samples, scale, resolution, entries, n, D, TAPS, CORNERS, DENSE, BLOCK)
    rows += (program % copies).to(tl.int64) * entries
    inside = samples < n
    for feature in range(FEATURES):
        change = tl.load(grad + feature * tl.cast(n, tl.int64) + samples, mask=inside, other=0.0)
        place = into + rows * FEATURES + feature
        tl.atomic_add(place, weights * change[:, None], mask=inside[:, None], sem="relaxed")


def grid_at_points(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> Tensor:
    """torch_layers.grid_at_points."""
    return grid_at_points_forward(x, tables, levels)[0]


def grid_at_points_forward(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> tuple[Tensor, SavedGrid]:
    """torch_layers.grid_at_points_forward."""
    saved = SavedGrid(((x + 1.0) * 0.5).float().T.contiguous(), levels)
    widths = [table.shape[1] for table in tables]
    d, n = saved.x.shape
    out = tables[0].new_empty((sum(widths), n))
    with torch.cuda.device_of(out):
        for level, table, part in zip(levels, tables, out.split(widths), strict=True):
            block = _block(level, d)
            _features[(triton.cdiv(n, block),)](
                saved.x, table.contiguous(), part, level.scale, level.resolution, level.entries, n,
                FEATURES=table.shape[1], D=d, TAPS=level.taps, CORNERS=level.taps**d, DENSE=level.dense(d), BLOCK=block,
            )  # fmt: skip
    return out, saved


def grid_at_points_backward(saved: SavedGrid, grad: Tensor, tables: Sequence[Tensor]) -> None:
    """torch_layers.grid_at_points_backward."""
    d, n = saved.x.shape
    parts = grad.contiguous().split([table.shape[1] for table in tables])
    with torch.cuda.device_of(grad):
        for level, table, part in zip(saved.levels, tables, parts, strict=True):
            block, copies = _block(level, d), copies_of(table)
            into = table if copies == 1 and table.is_contiguous() else table.new_zeros((copies, *table.shape))
            _features_backward[(triton.cdiv(n, block),)](
                saved.x, part, into, level.scale, level.resolution, level.entries, n, copies,
                FEATURES=table.shape[1], D=d, TAPS=level.taps, CORNERS=level.taps**d, DENSE=level.dense(d), BLOCK=block,
            )  # fmt: skip
            if into is not table:
                table.add_(into.sum(0))


def copies_of(table: Tensor) -> int:
    """How many copies of a table (entries, k) gradients are spread over."""
    return max(1, min(MAX_COPIES, SPREAD // table.numel()))


def _block(level: Level, d: int) -> int:
    return max(1, TILE // level.taps**d)
