"""Sine layers on coordinates, on a GPU: one Triton kernel forward, one back, that form angles anew in place of keeping them.

At points an angle is formed in float64 and reduced modulo 2 pi in it; on a lattice the sine of a sum is put together from sines of the
axes. Layout (neurons, samples), float32 in C order.
"""

import math
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from inrcodec.backends.torch_layers import SinePair, turned
from inrcodec.backends.triton_sine import (
    BACK_ROWS,
    BACK_SAMPLES,
    BACK_WARPS,
    add_to_mask,
    block_backward,
    groups,
    mask_row,
    or_any,
    own_segment,
    segments,
    sine_cosine,
)

Tensor = torch.Tensor

TURN, TURNS = tl.constexpr(2 * math.pi), tl.constexpr(0.5 / math.pi)
ROWS, SAMPLES, WARPS = 8, 512, 8  # of a block forward


class SavedPoints(NamedTuple):
    x: Tensor  # (n, d) float64
    frequency: Tensor  # (h, d) float64
    phase: Tensor  # (h,)
    amplitude: Tensor | None
    mask: Tensor | None
    widths: tuple[int, ...]


class SavedLattice(NamedTuple):
    sine: Tensor  # (h, r), of all axes but the last, phase and amplitude in them
    cosine: Tensor
    last: SinePair  # (h, m)
    mask: Tensor | None
    widths: tuple[int, ...]


@triton.jit
def waves_at_points(x, frequency, phase, amplitude, rows, columns, stop, n, D: tl.constexpr, SCALED: tl.constexpr):
    """amplitude * (sin, cos) of frequency x + phase for a block: x (n, d), frequency (h, d), float64 both."""
    angle = tl.load(phase + rows, mask=rows < stop, other=0.0).to(tl.float64)[:, None]
    for k in tl.static_range(D):
        f = tl.load(frequency + rows * D + k, mask=rows < stop, other=0.0)
        p = tl.load(x + columns * D + k, mask=columns < n, other=0.0)
        angle = angle + f[:, None] * p[None, :]
    s, c = sine_cosine((angle - tl.floor(angle * TURNS + 0.5) * TURN).to(tl.float32))
    if SCALED:
        size = tl.load(amplitude + rows, mask=rows < stop, other=0.0)[:, None]
        s, c = s * size, c * size
    return s, c


@triton.jit
def places_on_lattice(start, m, BLOCK_N: tl.constexpr):
    """Of the samples from `start` on, the numbers on the leading axes (int64) and on the last, which has m."""
    # One division of 64 bits for all.
    leading = start // m
    rest = (start - leading * m).to(tl.int32) + tl.arange(0, BLOCK_N)
    return leading + rest // m, rest % m


@triton.jit
def waves_on_lattice(sine, cosine, last_sine, last_cosine, rows, columns, leading, last, stop, n, r, m):
    """(sin, cos) of sums of angles for a block: sine, cosine (h, r) of the first, last_sine, last_cosine (h, m) of the second."""
    inside = (rows < stop)[:, None] & (columns < n)[None, :]
    first = rows.to(tl.int64)[:, None] * r + leading[None, :]
    second = rows.to(tl.int64)[:, None] * m + last[None, :]
    p, q = tl.load(sine + first, mask=inside, other=0.0), tl.load(cosine + first, mask=inside, other=0.0)
    s, c = tl.load(last_sine + second, mask=inside, other=0.0), tl.load(last_cosine + second, mask=inside, other=0.0)
    return p * c + q * s, q * c - p * s


@triton.jit
def write_masked(value, mask, group, out, rows, columns, h, n, MASKED: tl.constexpr):
    """Write a block to out (h, n), neurons of group >= 0 scaled by that row of mask (g, n)."""
    inside = (rows < h)[:, None] & (columns < n)[None, :]
    if MASKED:
        of = tl.load(group + rows, mask=rows < h, other=-1).to(tl.int64)
        value = value * tl.load(mask + of[:, None] * n + columns[None, :], mask=inside & (of >= 0)[:, None], other=1.0)
    tl.store(out + rows.to(tl.int64)[:, None] * n + columns[None, :], value, mask=inside)


@triton.jit
def _points(
    x, frequency, phase, amplitude, mask, group, out, h, n,
    D: tl.constexpr, SCALED: tl.constexpr, MASKED: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    columns = tl.program_id(0).to(tl.int64) * BLOCK_N + tl.arange(0, BLOCK_N)
    s, _ = waves_at_points(x, frequency, phase, amplitude, rows, columns, h, n, D, SCALED)
    write_masked(s, mask, group, out, rows, columns, h, n, MASKED)


@triton.jit
def _points_backward(
    x, frequency, phase, amplitude, mask, segments, grad, dz, partial, into, h, n,
    D: tl.constexpr, SCALED: tl.constexpr, KEEP: tl.constexpr, NEED_MASK: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    block, first, stop, group, columns = own_segment(segments, BLOCK_N)
    scale = mask_row(mask, group, columns, n)
    sums = tl.zeros((BLOCK_N,), dtype=tl.float32)
    for start in range(first, stop, BLOCK_H):
        rows = start + tl.arange(0, BLOCK_H)
        s, c = waves_at_points(x, frequency, phase, amplitude, rows, columns, stop, n, D, SCALED)
        sums += block_backward(s, c, grad, scale, rows, columns, stop, n, dz, partial + block * h, KEEP)
    if NEED_MASK:
        add_to_mask(into, sums, group, columns, n)


@triton.jit
def _lattice(
    sine, cosine, last_sine, last_cosine, mask, group, out, h, n, r, m,
    MASKED: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    rows = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    begin = tl.program_id(0).to(tl.int64) * BLOCK_N
    columns = begin + tl.arange(0, BLOCK_N)
    leading, last = places_on_lattice(begin, m, BLOCK_N)
    s, _ = waves_on_lattice(sine, cosine, last_sine, last_cosine, rows, columns, leading, last, h, n, r, m)
    write_masked(s, mask, group, out, rows, columns, h, n, MASKED)


@triton.jit
def _lattice_backward(
    sine, cosine, last_sine, last_cosine, mask, segments, grad, dz, partial, into, h, n, r, m,
    KEEP: tl.constexpr, NEED_MASK: tl.constexpr, BLOCK_H: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    block, first, stop, group, columns = own_segment(segments, BLOCK_N)
    leading, last = places_on_lattice(block * BLOCK_N, m, BLOCK_N)
    scale = mask_row(mask, group, columns, n)
    sums = tl.zeros((BLOCK_N,), dtype=tl.float32)
    for start in range(first, stop, BLOCK_H):
        rows = start + tl.arange(0, BLOCK_H)
        s, c = waves_on_lattice(sine, cosine, last_sine, last_cosine, rows, columns, leading, last, stop, n, r, m)
        sums += block_backward(s, c, grad, scale, rows, columns, stop, n, dz, partial + block * h, KEEP)
    if NEED_MASK:
        add_to_mask(into, sums, group, columns, n)


def sine_at_points(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    """torch_layers.sine_at_points."""
    return sine_at_points_forward(x, frequency, phase, amplitude, mask, widths)[0]


def sine_at_points_forward(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedPoints]:
    """torch_layers.sine_at_points_forward."""
    saved = SavedPoints(x.contiguous(), frequency.contiguous(), phase, amplitude, _held(mask), () if mask is None else widths)
    (h, d), n = frequency.shape, len(x)
    out = phase.new_empty((h, n))
    with torch.cuda.device_of(out):
        _points[(triton.cdiv(n, SAMPLES), triton.cdiv(h, ROWS))](
            saved.x, saved.frequency, phase, or_any(amplitude, out), or_any(saved.mask, out), groups(h, saved.widths, out.device),
            out, h, n, D=d, SCALED=amplitude is not None, MASKED=mask is not None, BLOCK_H=ROWS, BLOCK_N=SAMPLES, num_warps=WARPS,
        )  # fmt: skip
    return out, saved


def sine_at_points_backward(saved: SavedPoints, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    """torch_layers.sine_at_points_backward."""
    runs, blocks, partial, dz, grad = _backward_buffers(grad, saved.widths, need_angle)
    (h, n), d = grad.shape, saved.x.shape[1]
    with torch.cuda.device_of(grad):
        _points_backward[(blocks, len(runs))](
            saved.x, saved.frequency, saved.phase, or_any(saved.amplitude, grad), or_any(saved.mask, grad), runs,
            grad, or_any(dz, grad), partial, or_any(mask, grad), h, n,
            D=d, SCALED=saved.amplitude is not None, KEEP=need_angle, NEED_MASK=mask is not None,
            BLOCK_H=BACK_ROWS, BLOCK_N=BACK_SAMPLES, num_warps=BACK_WARPS,
        )  # fmt: skip
    phase.add_(partial.sum(0))
    return dz


def sine_on_lattice(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    """torch_layers.sine_on_lattice."""
    return sine_on_lattice_forward(leading, last, phase, amplitude, mask, widths)[0]


def sine_on_lattice_forward(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedLattice]:
    """torch_layers.sine_on_lattice_forward."""
    sine, cosine = turned(leading, phase, amplitude)
    saved = SavedLattice(sine, cosine, (last[0].contiguous(), last[1].contiguous()), _held(mask), () if mask is None else widths)
    (h, r), m = sine.shape, last[0].shape[1]
    out = phase.new_empty((h, r * m))
    with torch.cuda.device_of(out):
        _lattice[(triton.cdiv(r * m, SAMPLES), triton.cdiv(h, ROWS))](
            sine, cosine, *saved.last, or_any(saved.mask, out), groups(h, saved.widths, out.device), out, h, r * m, r, m,
            MASKED=mask is not None, BLOCK_H=ROWS, BLOCK_N=SAMPLES, num_warps=WARPS,
        )  # fmt: skip
    return out, saved


def sine_on_lattice_backward(saved: SavedLattice, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    """torch_layers.sine_on_lattice_backward."""
    runs, blocks, partial, dz, grad = _backward_buffers(grad, saved.widths, need_angle)
    (h, n), (r, m) = grad.shape, (saved.sine.shape[1], saved.last[0].shape[1])
    with torch.cuda.device_of(grad):
        _lattice_backward[(blocks, len(runs))](
            saved.sine, saved.cosine, *saved.last, or_any(saved.mask, grad), runs,
            grad, or_any(dz, grad), partial, or_any(mask, grad), h, n, r, m,
            KEEP=need_angle, NEED_MASK=mask is not None, BLOCK_H=BACK_ROWS, BLOCK_N=BACK_SAMPLES, num_warps=BACK_WARPS,
        )  # fmt: skip
    phase.add_(partial.sum(0))
    return dz


def _held(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.contiguous()


def _backward_buffers(grad: Tensor, widths: tuple[int, ...], need_angle: bool) -> tuple[Tensor, int, Tensor, Tensor | None, Tensor]:
    """Runs of neurons, blocks of samples, where their sums go (blocks, h), where the gradient of the angles goes, and grad in C order."""
    h, n = grad.shape
    blocks, grad = triton.cdiv(n, BACK_SAMPLES), grad.contiguous()
    dz = torch.empty_like(grad) if need_angle else None
    return segments(h, widths, grad.device), blocks, grad.new_empty((blocks, h)), dz, grad
