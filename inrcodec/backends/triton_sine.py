"""Masked sine layers on a GPU: one Triton kernel forward, one back beside two matrix products.

The kernels read the neurons' mask rows where they need them and form sine and cosine together, so an activation is written once forward
(twice where its angle is kept) and read and written once back. Sums are formed in a fixed order: no result depends on how blocks are
scheduled. Accurate to class F32 with precision "ieee"; "tf32" is class fast. Layout (neurons, samples), float32 in C order.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Literal, NamedTuple

import torch
import triton
import triton.language as tl

Tensor = torch.Tensor
Precision = Literal["ieee", "tf32x3", "tf32"]  # of the matrix products in a kernel

# pi in four parts, the first three short enough that a multiple of them is exact (Cody and Waite, 1980).
PI_1, PI_2 = tl.constexpr(3.140625), tl.constexpr(0.0009670257568359375)
PI_3, PI_4 = tl.constexpr(6.2771141529083252e-07), tl.constexpr(1.2154201256553421e-10)
INVERSE_PI = tl.constexpr(1 / math.pi)
# Near-minimax polynomials on [-pi/2, pi/2].
S3, S5, S7, S9 = (tl.constexpr(v) for v in (-0.16666657, 0.008333016, -0.00019806548, 2.5999038e-06))
C4, C6, C8, C10 = (tl.constexpr(v) for v in (0.04166664, -0.0013888403, 2.4761808e-05, -2.6075662e-07))

BACK_ROWS, BACK_SAMPLES, BACK_WARPS = 16, 256, 8  # of a block on the way back
SEGMENT = 64  # neurons without a mask that one program goes through
_SETTING = Lock()
FORM_AGAIN_UP_TO = 32  # inputs of a neuron for which a second product costs less than to write and read its angle


@dataclass(frozen=True)
class Tile:
    """Of the matrix product: the block of outputs of one program, the inputs it takes at a time, and how the compiler runs it."""

    rows: int = 64
    samples: int = 128
    inner: int = 16
    warps: int = 8
    stages: int = 3


TILE = Tile()


class SavedSine(NamedTuple):
    """Stacks of m members, which are 1 where a network is alone."""

    x: Tensor  # (m, k, n)
    w: Tensor  # (m, h, k)
    b: Tensor  # (m, h)
    omega: Tensor
    amplitude: Tensor | None
    mask: Tensor | None  # (m, g, n)
    angle: Tensor | None  # (m, h, n), omega * (w x + b), where it is kept
    precision: Precision
    tile: Tile


@triton.jit
def sine_cosine(z):
    """Sine and cosine of z, to 2e-7 for |z| up to 3e4. Infinities and NaN give NaN."""
    k = tl.floor(z * INVERSE_PI + 0.5)
    r = z - k * PI_1
    r = r - k * PI_2
    r = r - k * PI_3
    r = r - k * PI_4
    # Far outside the accurate range the polynomials must not grow. NaN fails both comparisons and stays.
    r = tl.where(r > 2.0, 2.0, r)
    r = tl.where(r < -2.0, -2.0, r)
    q = r * r
    s = r + r * q * (S3 + q * (S5 + q * (S7 + q * S9)))
    c = 1.0 + q * (-0.5 + q * (C4 + q * (C6 + q * (C8 + q * C10))))
    half = k * 0.5
    sign = 1.0 - 4.0 * (half - tl.floor(half))
    return sign * s, sign * c


@triton.jit
def product(w, x, rows, columns, h, k, n, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr):
    """The block (rows, columns) of w x: w (h, k), x (k, n)."""
    total = tl.zeros((BLOCK_H, BLOCK_N), dtype=tl.float32)
    inner = tl.arange(0, BLOCK_K)
    left = w + rows[:, None] * k + inner[None, :]
    right = x + inner.to(tl.int64)[:, None] * n + columns[None, :]
    step = tl.full((), BLOCK_K, dtype=tl.int64) * n
    for start in range(0, k, BLOCK_K):
        there = start + inner < k
        p = tl.load(left, mask=(rows < h)[:, None] & there[None, :], other=0.0)
        q = tl.load(right, mask=there[:, None] & (columns < n)[None, :], other=0.0)
        total = tl.dot(p, q, total, input_precision=PRECISION)
        left += BLOCK_K
        right += step
    return total


@triton.jit
def own_segment(segments, BLOCK_N: tl.constexpr):
    """What a program on the way back goes through: its block of samples, neurons first to stop, their row of the mask, its samples."""
    block = tl.program_id(0).to(tl.int64)
    segment = segments + 3 * tl.program_id(1)
    columns = block * BLOCK_N + tl.arange(0, BLOCK_N)
    return block, tl.load(segment), tl.load(segment + 1), tl.load(segment + 2), columns


@triton.jit
def mask_row(mask, group, columns, n):
    """The samples `columns` of row `group` of mask (g, n), ones where that is -1."""
    return tl.load(mask + group.to(tl.int64) * n + columns, mask=(columns < n) & (group >= 0), other=1.0)


@triton.jit
def block_backward(sine, slope, grad, scale, rows, columns, stop, n, dz, partial, KEEP: tl.constexpr):
    """For a block, with `scale` of its mask: grad * slope * scale to dz (h, n), and its sums over the samples to `partial` (h).

    Returns the sums over the rows of grad * sine.
    """
    inside = (rows < stop)[:, None] & (columns < n)[None, :]
    place = rows.to(tl.int64)[:, None] * n + columns[None, :]
    found = tl.load(grad + place, mask=inside, other=0.0)
    # Outside the other factors may be anything, NaN too.
    change = tl.where(inside, found * slope * scale[None, :], 0.0)
    if KEEP:
        tl.store(dz + place, change, mask=inside)
    tl.store(partial + rows, tl.sum(change, axis=1), mask=rows < stop)
    return tl.sum(tl.where(inside, found * sine, 0.0), axis=0)


@triton.jit
def add_to_mask(into, sums, group, columns, n):
    """Add `sums` to the samples `columns` of row `group` of into (g, n); nowhere where that is -1. No other program has that row."""
    inside = (columns < n) & (group >= 0)
    place = into + group.to(tl.int64) * n + columns
    tl.store(place, tl.load(place, mask=inside, other=0.0) + sums, mask=inside)


@triton.jit
def _forward(
    x, w, b, omega, amplitude, mask, group, out, angle, h, k, n, w_step, b_step, mask_step,
    SCALED: tl.constexpr, MASKED: tl.constexpr, KEEP: tl.constexpr, BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    # Steps lead from one member's part of a stack to the next.
    member = tl.program_id(1).to(tl.int64)
    x += member * k * n
    w += member * w_step
    b += member * b_step
    mask += member * mask_step
    out += member * h * n
    angle += member * h * n
    # Programs of the same samples are neighbours, so that x is read from memory once.
    across = tl.cdiv(h, BLOCK_H)
    pid = tl.program_id(0)
    rows = (pid % across) * BLOCK_H + tl.arange(0, BLOCK_H)
    columns = (pid // across).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    z = product(w, x, rows, columns, h, k, n, BLOCK_H, BLOCK_N, BLOCK_K, PRECISION)
    z = (z + tl.load(b + rows, mask=rows < h)[:, None]) * tl.load(omega + rows, mask=rows < h)[:, None]
    inside = (rows < h)[:, None] & (columns < n)[None, :]
    place = rows.to(tl.int64)[:, None] * n + columns[None, :]
    if KEEP:
        tl.store(angle + place, z, mask=inside)
    s, _ = sine_cosine(z)
    if SCALED:
        s = s * tl.load(amplitude + rows, mask=rows < h)[:, None]
    if MASKED:
        of = tl.load(group + rows, mask=rows < h, other=0).to(tl.int64)
        s = s * tl.load(mask + of[:, None] * n + columns[None, :], mask=inside)
    tl.store(out + place, s, mask=inside)


@triton.jit
def _backward(
    x, w, b, omega, amplitude, mask, segments, angle, grad, dz, partial, into, h, k, n, w_step, b_step, mask_step, into_step,
    SCALED: tl.constexpr, KEPT: tl.constexpr, NEED_MASK: tl.constexpr, BLOCK_H: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    member = tl.program_id(2).to(tl.int64)
    x += member * k * n
    w += member * w_step
    b += member * b_step
    mask += member * mask_step
    angle += member * h * n
    grad += member * h * n
    dz += member * h * n
    partial += member * h * tl.num_programs(0)
    into += member * into_step
    block, first, stop, group, columns = own_segment(segments, BLOCK_N)
    scale = mask_row(mask, group, columns, n)
    sums = tl.zeros((BLOCK_N,), dtype=tl.float32)
    for start in range(first, stop, BLOCK_H):
        rows = start + tl.arange(0, BLOCK_H)
        factor = tl.load(omega + rows, mask=rows < stop)
        if KEPT:
            place = rows.to(tl.int64)[:, None] * n + columns[None, :]
            z = tl.load(angle + place, mask=(rows < stop)[:, None] & (columns < n)[None, :], other=0.0)
        else:
            z = product(w, x, rows, columns, stop, k, n, BLOCK_H, BLOCK_N, BLOCK_K, PRECISION)
            z = (z + tl.load(b + rows, mask=rows < stop)[:, None]) * factor[:, None]
        s, c = sine_cosine(z)
        if SCALED:
            size = tl.load(amplitude + rows, mask=rows < stop)
            s = s * size[:, None]
            factor = factor * size
        slope = c * factor[:, None]
        sums += block_backward(s, slope, grad, scale, rows, columns, stop, n, dz, partial + block * h, True)
    if NEED_MASK:
        add_to_mask(into, sums, group, columns, n)


def equal_widths(rows: int, mask: Tensor | None) -> tuple[int, ...]:
    return () if mask is None else (rows // len(mask),) * len(mask)


@cache
def groups(rows: int, widths: tuple[int, ...], device: torch.device) -> Tensor:
    """The mask's row of each of `rows` neurons, the last sum(widths) of which are masked, -1 for none: (rows,) int32."""
    numbers = [-1] * (rows - sum(widths)) + [i for i, width in enumerate(widths) for _ in range(width)]
    with torch.inference_mode(False):
        return torch.tensor(numbers, dtype=torch.int32, device=device)


@cache
def segments(rows: int, widths: tuple[int, ...], device: torch.device) -> Tensor:
    """Neurons as `groups` has them, in runs of one row of the mask: first neuron, the one after the last, row: (s, 3) int32."""
    head = rows - sum(widths)
    result = [(start, min(start + SEGMENT, head), -1) for start in range(0, head, SEGMENT)]
    for i, width in enumerate(widths):
        result.append((head, head + width, i))
        head += width
    with torch.inference_mode(False):
        return torch.tensor(result, dtype=torch.int32, device=device)


def sine_layer(
    x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None, precision: Precision, tile: Tile
) -> Tensor:
    """torch_layers.sine_layer."""
    return _run_forward(*_as_stacks(x, w, b, mask), omega, amplitude, precision, tile, keep=False)[0][0]


def sine_layer_forward(
    x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None, precision: Precision, tile: Tile
) -> tuple[Tensor, SavedSine]:
    """torch_layers.sine_layer_forward."""
    out, saved = sine_layers_forward(*_as_stacks(x, w, b, mask), omega, amplitude, precision, tile)
    return out[0], saved


def sine_layer_backward(saved: SavedSine, grad: Tensor, *, w: Tensor, b: Tensor, mask: Tensor | None, need_x: bool) -> Tensor | None:
    """torch_layers.sine_layer_backward."""
    dz, sums = _run_backward(saved, grad.unsqueeze(0), None if mask is None else mask.unsqueeze(0))
    b.add_(sums[0])
    with products_in(saved.precision):
        w.addmm_(dz[0], saved.x[0].T)
        return torch.mm(saved.w[0].T, dz[0]) if need_x else None


def sine_layers_forward(
    x: Tensor, w: Tensor, b: Tensor, mask: Tensor | None, omega: Tensor, amplitude: Tensor | None, precision: Precision, tile: Tile
) -> tuple[Tensor, SavedSine]:
    """torch_grouped.sine_layer_forward, in one launch."""
    x, w, b, mask = x.contiguous(), rows_in_order(w), rows_in_order(b), None if mask is None else rows_in_order(mask)
    # Neurons of a narrow group do not fill a block of the product.
    narrow = mask is not None and w.shape[1] // mask.shape[1] < BACK_ROWS
    out, angle = _run_forward(x, w, b, mask, omega, amplitude, precision, tile, keep=narrow or x.shape[1] > FORM_AGAIN_UP_TO)
    return out, SavedSine(x, w, b, omega, amplitude, mask, angle, precision, tile)


def sine_layers_backward(saved: SavedSine, grad: Tensor, *, w: Tensor, b: Tensor, mask: Tensor | None, need_x: bool) -> Tensor | None:
    """torch_grouped.sine_layer_backward, in one launch and a product of stacks or two; samples of `mask` must lie in order."""
    dz, sums = _run_backward(saved, grad, mask)
    b.add_(sums)
    with products_in(saved.precision):
        w.baddbmm_(dz, saved.x.transpose(1, 2))
        return torch.bmm(saved.w.transpose(1, 2), dz) if need_x else None


def rows_in_order(x: Tensor) -> Tensor:
    """A stack whose members lie anywhere, but each in C order."""
    return x if x[0].is_contiguous() else x.contiguous()


def _as_stacks(x: Tensor, w: Tensor, b: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The tensors of one network as those of a group of one."""
    return x.contiguous()[None], w.contiguous()[None], b[None], None if mask is None else mask.contiguous()[None]


@contextmanager
def products_in(precision: Precision) -> Iterator[None]:
    """PyTorch's own matrix products in TF32 where that is asked for."""
    if precision != "tf32":
        yield
        return
    # It is one setting for all threads.
    with _SETTING:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def _run_forward(
    x: Tensor,
    w: Tensor,
    b: Tensor,
    mask: Tensor | None,
    omega: Tensor,
    amplitude: Tensor | None,
    precision: Precision,
    tile: Tile,
    *,
    keep: bool,
) -> tuple[Tensor, Tensor | None]:
    """The layer's output and, if they are kept, its angles (m, h, n)."""
    (m, h, k), n = w.shape, x.shape[2]
    out = x.new_empty((m, h, n))
    angle = torch.empty_like(out) if keep else None
    with torch.cuda.device_of(x):
        _forward[(triton.cdiv(h, tile.rows) * triton.cdiv(n, tile.samples), m)](
            x, w, b, omega, or_any(amplitude, out), or_any(mask, out), groups(h, _widths(h, mask), x.device), out,
            or_any(angle, out), h, k, n, w.stride(0), b.stride(0), _step(mask),
            SCALED=amplitude is not None, MASKED=mask is not None, KEEP=keep, BLOCK_H=tile.rows, BLOCK_N=tile.samples,
            BLOCK_K=tile.inner, PRECISION=precision, num_warps=tile.warps, num_stages=tile.stages,
        )  # fmt: skip
    return out, angle


def _run_backward(saved: SavedSine, grad: Tensor, into: Tensor | None) -> tuple[Tensor, Tensor]:
    """The gradient of w x + b (m, h, n) and its sums over the samples (m, h), those of the mask added to `into` (m, g, n)."""
    (m, h, n), k = grad.shape, saved.x.shape[1]
    grad = grad.contiguous()
    dz = torch.empty_like(grad) if saved.angle is None else saved.angle
    runs = segments(h, _widths(h, saved.mask), grad.device)
    blocks = triton.cdiv(n, BACK_SAMPLES)
    partial = grad.new_empty((m, blocks, h))
    with torch.cuda.device_of(grad):
        _backward[(blocks, len(runs), m)](
            saved.x, saved.w, saved.b, saved.omega, or_any(saved.amplitude, grad), or_any(saved.mask, grad), runs, dz, grad, dz,
            partial, or_any(into, grad), h, k, n, saved.w.stride(0), saved.b.stride(0), _step(saved.mask), _step(into),
            SCALED=saved.amplitude is not None, KEPT=saved.angle is not None, NEED_MASK=into is not None, BLOCK_H=BACK_ROWS,
            BLOCK_N=BACK_SAMPLES, BLOCK_K=saved.tile.inner, PRECISION=saved.precision, num_warps=BACK_WARPS,
        )  # fmt: skip
    return dz, partial.sum(1)


def _widths(rows: int, mask: Tensor | None) -> tuple[int, ...]:
    return equal_widths(rows, None if mask is None else mask[0])


def _step(x: Tensor | None) -> int:
    return 0 if x is None else x.stride(0)


def or_any(x: Tensor | None, other: Tensor) -> Tensor:
    """x, or a pointer that the kernel will not follow."""
    return other if x is None else x
