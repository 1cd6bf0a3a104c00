"""Layers with hand-written gradients, in PyTorch's operations, on any device. Layout (neurons, samples).

A layer is a function for evaluation alone, and a pair for training: `..._forward` also returns what `..._backward` needs, and the latter
adds the gradients of parameters to the buffers it is given and returns that of the input. Gradients are formed in the buffers of the
forward pass, so a pass serves once. torch_fused.py has the same functions for the CPU.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from inrcodec.backends.torch_grid import corners_at_points, features_at_points, features_at_points_backward
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Activation

Tensor = torch.Tensor
SinePair = tuple[Tensor, Tensor]  # sines and cosines (h, m) of angles
SavedGrid = list[tuple[Tensor, Tensor]]  # rows and weights of corners, level by level


class SavedSine(NamedTuple):
    x: Tensor  # (k, n)
    w: Tensor  # (h, k)
    slope: Tensor  # (h, n), derivative of what follows by w x
    sine: Tensor | None  # (h, n), before the mask
    mask: Tensor | None  # (g, n)


class SavedEmbedding(NamedTuple):
    slope: Tensor  # (h, n)
    sine: Tensor | None  # of the masked rows
    mask: Tensor | None
    widths: tuple[int, ...]


class SavedLinear(NamedTuple):
    x: Tensor
    w: Tensor
    y: Tensor | None
    activation: Activation


def row_groups(h: Tensor, widths: tuple[int, ...]) -> list[Tensor]:
    """Views of the last sum(widths) rows of h, one per group."""
    return list(h[h.shape[0] - sum(widths) :].split(widths))


def scale_rows_(h: Tensor, mask: Tensor, widths: tuple[int, ...]) -> None:
    """Multiply, in place, the last sum(widths) rows of h (f, n), group by group, by mask (g, n)."""
    for group, row in zip(row_groups(h, widths), mask, strict=True):
        group.mul_(row)


def add_row_sums(into: Tensor, h: Tensor, widths: tuple[int, ...]) -> None:
    """Add the sums over the groups of rows to `into` (g, n)."""
    for row, group in zip(into, row_groups(h, widths), strict=True):
        row.add_(group.sum(0))


def equal_widths(rows: int, mask: Tensor) -> tuple[int, ...]:
    return (rows // mask.shape[0],) * mask.shape[0]


def sine_layer(x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None) -> Tensor:
    """amplitude * sin(omega * (w x + b)), groups of neurons scaled by a mask: x (k, n), w (h, k), b, omega, amplitude (h), mask (g, n)."""
    h = torch.mm(w, x).add_(b.unsqueeze(1)).mul_(omega.unsqueeze(1)).sin_()
    if amplitude is not None:
        h.mul_(amplitude.unsqueeze(1))
    if mask is not None:
        scale_rows_(h, mask, equal_widths(len(h), mask))
    return h


def sine_layer_forward(
    x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, SavedSine]:
    z = torch.mm(w, x).add_(b.unsqueeze(1)).mul_(omega.unsqueeze(1))
    sine = torch.sin(z)
    slope = z.cos_().mul_((omega if amplitude is None else omega * amplitude).unsqueeze(1))
    if amplitude is not None:
        sine.mul_(amplitude.unsqueeze(1))
    if mask is None:
        return sine, SavedSine(x, w, slope, None, None)
    widths = equal_widths(len(z), mask)
    scale_rows_(slope, mask, widths)
    out = sine.clone()
    scale_rows_(out, mask, widths)
    return out, SavedSine(x, w, slope, sine, mask)


def sine_layer_backward(saved: SavedSine, grad: Tensor, *, w: Tensor, b: Tensor, mask: Tensor | None, need_x: bool) -> Tensor | None:
    """Add the gradients of parameters and mask to `w`, `b`, `mask`; return that of x."""
    if mask is not None and saved.sine is not None:
        add_row_sums(mask, saved.sine.mul_(grad), equal_widths(len(grad), mask))
    dz = saved.slope.mul_(grad)
    b.add_(dz.sum(1))
    w.addmm_(dz, saved.x.T)
    return torch.mm(saved.w.T, dz) if need_x else None


def sine_on_lattice(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    """amplitude * sin(angles + phase) on a lattice, given the sines of the angles of all axes but the last (h, r) and of the last (h, m);
    the last sum(widths) rows are scaled, group by group, by mask (g, r * m): (h, r * m)."""
    h, _ = _sines_on_lattice(leading, last, phase, amplitude)
    if mask is not None:
        scale_rows_(h, mask, widths)
    return h


def sine_on_lattice_forward(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedEmbedding]:
    h, (sine, cosine) = _sines_on_lattice(leading, last, phase, amplitude)
    return _masked(h, _combine(cosine, last[1], -sine, last[0]), mask, widths)


def sine_on_lattice_backward(saved: SavedEmbedding, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    """Add the gradients to `phase` and `mask`; return that of the angles (h, n)."""
    if mask is not None and saved.sine is not None:
        add_row_sums(mask, saved.sine.mul_(grad[len(grad) - len(saved.sine) :]), saved.widths)
    dz = saved.slope.mul_(grad)
    phase.add_(dz.sum(1))
    return dz if need_angle else None


def sine_at_points(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    """amplitude * sin(frequency x + phase) with masks as in `sine_on_lattice`: x (n, d), frequency (h, d), float64 both -> (h, n)."""
    h = _angles(x, frequency, phase).sin_()
    if amplitude is not None:
        h.mul_(amplitude.unsqueeze(1))
    if mask is not None:
        scale_rows_(h, mask, widths)
    return h


def sine_at_points_forward(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedEmbedding]:
    angle = _angles(x, frequency, phase)
    h, slope = torch.sin(angle), angle.cos_()
    if amplitude is not None:
        h.mul_(amplitude.unsqueeze(1))
        slope.mul_(amplitude.unsqueeze(1))
    return _masked(h, slope, mask, widths)


def sine_at_points_backward(saved: SavedEmbedding, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    return sine_on_lattice_backward(saved, grad, phase=phase, mask=mask, need_angle=need_angle)


def grid_at_points(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> Tensor:
    """Hash-grid features (l * k, n) at x (n, d) float64; tables[i] (entries, k)."""
    return torch.cat([features_at_points(corners_at_points(x, level), table) for table, level in zip(tables, levels, strict=True)])


def grid_at_points_forward(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> tuple[Tensor, SavedGrid]:
    saved = [corners_at_points(x, level) for level in levels]
    return torch.cat([features_at_points(corners, table) for corners, table in zip(saved, tables, strict=True)]), saved


def grid_at_points_backward(saved: SavedGrid, grad: Tensor, tables: Sequence[Tensor]) -> None:
    """Add the gradients to `tables`, shaped as the levels' tables."""
    parts = grad.split([table.shape[1] for table in tables])
    for corners, part, table in zip(saved, parts, tables, strict=True):
        features_at_points_backward(corners, part, table)


def linear(x: Tensor, w: Tensor, b: Tensor, activation: Activation) -> Tensor:
    """activation(w x + b): x (k, n), w (h, k), b (h)."""
    y = torch.mm(w, x).add_(b.unsqueeze(1))
    if activation == "relu":
        y.relu_()
    elif activation == "sigmoid":
        y.sigmoid_()
    return y


def linear_forward(x: Tensor, w: Tensor, b: Tensor, activation: Activation) -> tuple[Tensor, SavedLinear]:
    y = linear(x, w, b, activation)
    return y, SavedLinear(x, w, None if activation == "none" else y, activation)


def linear_backward(saved: SavedLinear, grad: Tensor, *, w: Tensor, b: Tensor, need_x: bool) -> Tensor | None:
    """Add the gradients of the parameters to `w`, `b`; return that of x."""
    dz = before_activation(saved.y, grad, saved.activation)
    b.add_(dz.sum(1))
    w.addmm_(dz, saved.x.T)
    return torch.mm(saved.w.T, dz) if need_x else None


def before_activation(y: Tensor | None, grad: Tensor, activation: Activation) -> Tensor:
    """The gradient of what a linear layer activates, from that of its result y, in whose memory it is formed (None: no activation)."""
    if y is None:
        return grad
    if activation == "relu":
        return y.sign_().mul_(grad)
    return y.addcmul_(y, y, value=-1).mul_(grad)


def squared_error(output: Tensor, targets: Tensor, weights: Tensor | None, start: int, factor: float) -> tuple[float | Tensor, Tensor]:
    """Weighted sum of squares of output (c, n) - targets (c, N) from sample `start` on, and factor * weight * difference."""
    stop = start + output.shape[1]
    error = output - targets[:, start:stop]
    weighted = error if weights is None else error * weights[:, start:stop]
    return torch.dot(weighted.reshape(-1), error.reshape(-1)), weighted * factor


def sum_sines(first: SinePair, second: SinePair) -> SinePair:
    """Sines and cosines of the sums of angles (h, m) and (h, n), each with each: (h, m * n)."""
    sine, cosine = first[0].unsqueeze(2), first[1].unsqueeze(2)
    s, c = second[0].unsqueeze(1), second[1].unsqueeze(1)
    return (sine * c + cosine * s).flatten(1), (cosine * c - sine * s).flatten(1)


def turned(leading: SinePair, phase: Tensor, amplitude: Tensor | None) -> SinePair:
    """amplitude * sines and cosines of angles (h, r) plus a phase (h)."""
    s, c = torch.sin(phase).unsqueeze(1), torch.cos(phase).unsqueeze(1)
    if amplitude is not None:
        s, c = s * amplitude.unsqueeze(1), c * amplitude.unsqueeze(1)
    return leading[0] * c + leading[1] * s, leading[1] * c - leading[0] * s


def _sines_on_lattice(leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None) -> tuple[Tensor, SinePair]:
    """The sines of all sums (h, r * m), and those of the leading axes with phase and amplitude in them."""
    sine, cosine = turned(leading, phase, amplitude)
    return _combine(sine, last[1], cosine, last[0]), (sine, cosine)


def _masked(h: Tensor, slope: Tensor, mask: Tensor | None, widths: tuple[int, ...]) -> tuple[Tensor, SavedEmbedding]:
    """Scale the last sum(widths) rows of h and of its slope by the mask, keeping what they were."""
    if mask is None:
        return h, SavedEmbedding(slope, None, None, widths)
    before = h[len(h) - sum(widths) :].clone()
    scale_rows_(h, mask, widths)
    scale_rows_(slope, mask, widths)
    return h, SavedEmbedding(slope, before, mask, widths)


def _angles(x: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    return reduced(frequency @ x.T + phase.double().unsqueeze(1))


def reduced(angle: Tensor) -> Tensor:
    """A float64 angle modulo 2 pi, in [-pi, pi], as float32; the gradient passes through."""
    turns = torch.round(angle.detach() * (0.5 / math.pi))
    return (angle - turns * (2 * math.pi)).float()


def _combine(a: Tensor, c: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """a c + b s as the outer product over two lattice axes: a, b (f, m0), c, s (f, m1) -> (f, m0 * m1)."""
    return torch.bmm(torch.stack([a, b], dim=2), torch.stack([c, s], dim=1)).flatten(1)
