"""The layers of several networks of one shape at once: torch_layers.py with a leading axis, one product of stacks for all members.

Letters: m members, the others as there. The numbers of a member are those that torch_layers gives it alone, but for rounding: a library may
choose by size and by where a matrix lies in memory how it sums.
"""

from typing import NamedTuple

import torch

from inrcodec.backends.torch_layers import before_activation
from inrcodec.ops import Activation

Tensor = torch.Tensor


class SavedSines(NamedTuple):
    x: Tensor  # (m, k, n)
    w: Tensor  # (m, h, k)
    slope: Tensor  # (m, h, n), derivative of what follows by w x
    sine: Tensor | None  # (m, h, n), before the mask
    mask: Tensor | None  # (m, g, n)


class SavedLinears(NamedTuple):
    x: Tensor
    w: Tensor
    y: Tensor | None
    activation: Activation


def sine_layer_forward(
    x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, SavedSines]:
    """torch_layers.sine_layer_forward: x (m, k, n), w (m, h, k), b (m, h), mask (m, g, n); omega, amplitude (h) of all members."""
    z = torch.bmm(w, x).add_(b.unsqueeze(2)).mul_(omega.unsqueeze(1))
    sine = torch.sin(z)
    slope = z.cos_().mul_((omega if amplitude is None else omega * amplitude).unsqueeze(1))
    if amplitude is not None:
        sine.mul_(amplitude.unsqueeze(1))
    if mask is None:
        return sine, SavedSines(x, w, slope, None, None)
    by_group(slope, mask).mul_(mask.unsqueeze(2))
    out = (by_group(sine, mask) * mask.unsqueeze(2)).view_as(sine)
    return out, SavedSines(x, w, slope, sine, mask)


def sine_layer_backward(saved: SavedSines, grad: Tensor, *, w: Tensor, b: Tensor, mask: Tensor | None, need_x: bool) -> Tensor | None:
    """torch_layers.sine_layer_backward: add the gradients of parameters and mask to `w`, `b`, `mask`; return that of x (m, k, n)."""
    if mask is not None and saved.sine is not None:
        mask.add_(by_group(saved.sine.mul_(grad), mask).sum(2))
    return products_backward(saved.x, saved.w, saved.slope.mul_(grad), w_grad=w, b_grad=b, need_x=need_x)


def linear_forward(x: Tensor, w: Tensor, b: Tensor, activation: Activation) -> tuple[Tensor, SavedLinears]:
    """torch_layers.linear_forward: x (m, k, n), w (m, h, k), b (m, h)."""
    y = torch.bmm(w, x).add_(b.unsqueeze(2))
    if activation == "relu":
        y.relu_()
    elif activation == "sigmoid":
        y.sigmoid_()
    return y, SavedLinears(x, w, None if activation == "none" else y, activation)


def linear_backward(saved: SavedLinears, grad: Tensor, *, w: Tensor, b: Tensor, need_x: bool) -> Tensor | None:
    """torch_layers.linear_backward: add the gradients of the parameters to `w`, `b`; return that of x (m, k, n)."""
    dz = before_activation(saved.y, grad, saved.activation)
    return products_backward(saved.x, saved.w, dz, w_grad=w, b_grad=b, need_x=need_x)


def squared_error(output: Tensor, targets: Tensor, weights: Tensor | None, start: int, factor: float) -> tuple[Tensor, Tensor]:
    """torch_layers.squared_error of every member (m,), and its gradients: output (m, c, n), targets and weights (m, c, N)."""
    stop = start + output.shape[2]
    error = output - targets[:, :, start:stop]
    weighted = error if weights is None else error * weights[:, :, start:stop]
    # By the sum that a fit alone forms: its steps are decided by it.
    sums = [torch.dot(a.reshape(-1), b.reshape(-1)) for a, b in zip(weighted, error, strict=True)]
    return torch.stack(sums), weighted * factor


def products_backward(x: Tensor, w: Tensor, dz: Tensor, *, w_grad: Tensor, b_grad: Tensor, need_x: bool) -> Tensor | None:
    """From the gradient dz (m, h, n) of w x + b, add those of w and b; return that of x (m, k, n)."""
    b_grad.add_(dz.sum(2))
    w_grad.baddbmm_(dz, x.transpose(1, 2))
    return torch.bmm(w.transpose(1, 2), dz) if need_x else None


def by_group(h: Tensor, mask: Tensor) -> Tensor:
    """h (m, f, n) by the equal groups of rows of mask (m, g, n): (m, g, f / g, n), a view."""
    m, g, n = mask.shape
    return h.view(m, g, h.shape[1] // g, n)
