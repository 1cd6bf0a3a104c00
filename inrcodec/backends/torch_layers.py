"""Sine layers with hand-written gradients, in the layout (neurons, samples).

On a CPU most of a plain step's time beside its matrix products is memory traffic: here every pass over the activations is contiguous
(a group of neurons is a block of rows, its mask one row), and gradients are formed in the buffers of the forward pass.
"""

from typing import Any

import torch

Tensor = torch.Tensor


def row_groups(h: Tensor, widths: tuple[int, ...]) -> list[Tensor]:
    """Views of the last sum(widths) rows of h, one per group."""
    start = h.shape[0] - sum(widths)
    groups = []
    for width in widths:
        groups.append(h[start : start + width])
        start += width
    return groups


def scale_rows_(h: Tensor, mask: Tensor, widths: tuple[int, ...]) -> None:
    """Multiply, in place, the last sum(widths) rows of h (f, n), group by group, by mask (g, n)."""
    if len(set(widths)) == 1 and h.shape[0] == sum(widths):
        h.view(len(widths), widths[0], -1).mul_(mask.unsqueeze(1))
        return
    for group, row in zip(row_groups(h, widths), mask, strict=True):
        group.mul_(row)


def sum_rows(h: Tensor, widths: tuple[int, ...]) -> Tensor:
    """Sums over the groups of rows: (g, n)."""
    if len(set(widths)) == 1 and h.shape[0] == sum(widths):
        return h.view(len(widths), widths[0], -1).sum(1)
    return torch.stack([group.sum(0) for group in row_groups(h, widths)])


def equal_widths(rows: int, mask: Tensor) -> tuple[int, ...]:
    return (rows // mask.shape[0],) * mask.shape[0]


class MaskedSine(torch.autograd.Function):
    """sin(omega * (w x + b)), groups of neurons scaled by a mask: x (k, n), w (h, k), b (h), omega () or (h), mask (g, n) or None."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, omega: Tensor, mask: Tensor | None) -> Tensor:
        scaled = w * omega.reshape(-1, 1)
        z = torch.mm(scaled, x).add_((b * omega).unsqueeze(1))
        if not any(ctx.needs_input_grad):
            z.sin_()
            if mask is not None:
                scale_rows_(z, mask, equal_widths(len(z), mask))
            return z
        s = torch.sin(z)
        ctx.save_for_backward(x, scaled, omega, z, s, mask)
        if mask is None:
            return s
        return torch.mul(s.view(len(mask), -1, s.shape[1]), mask.unsqueeze(1)).view(s.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, scaled, omega, z, s, mask = ctx.saved_tensors
        grad = grads[0]
        grad_mask = None
        if mask is None:
            grad_z = z.cos_()
        else:
            if ctx.needs_input_grad[4]:
                grad_mask = sum_rows(s.mul_(grad), equal_widths(len(s), mask))
            grad_z = z.cos_()
            scale_rows_(grad_z, mask, equal_widths(len(s), mask))
        grad_z.mul_(grad)
        grad_x = scaled.T @ grad_z if ctx.needs_input_grad[0] else None
        grad_w = (grad_z @ x.T).mul_(omega.reshape(-1, 1))
        return grad_x, grad_w, grad_z.sum(1).mul_(omega), None, grad_mask


class SineOnLattice(torch.autograd.Function):
    """sin(sum of per-axis angles + phase), rows scaled by a mask: `sines` holds (sin, cos) (f, m_k) per axis; frequencies frozen."""

    @staticmethod
    def forward(ctx: Any, sines: list[tuple[Tensor, Tensor]], phase: Tensor, mask: Tensor | None, widths: tuple[int, ...]) -> Tensor:
        sp, cp = torch.sin(phase).unsqueeze(1), torch.cos(phase).unsqueeze(1)
        s, c = sines[0]
        sine, cosine = s * cp + c * sp, c * cp - s * sp
        for s, c in sines[1:-1]:
            s, c = s.unsqueeze(1), c.unsqueeze(1)
            sine, cosine = (
                (sine.unsqueeze(2) * c + cosine.unsqueeze(2) * s).flatten(1),
                (cosine.unsqueeze(2) * c - sine.unsqueeze(2) * s).flatten(1),
            )
        ctx.widths, ctx.single = widths, len(sines) == 1
        s, c = sines[-1]
        h = sine if ctx.single else _combine(sine, c, cosine, s)
        if not any(ctx.needs_input_grad):
            if mask is not None:
                scale_rows_(h, mask, widths)
            return h
        unmasked = None if mask is None else h[-sum(widths) :].clone()
        ctx.save_for_backward(sine, cosine, s, c, unmasked, mask)
        if mask is not None:
            scale_rows_(h, mask, widths)
        return h

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        sine, cosine, s, c, unmasked, mask = ctx.saved_tensors
        grad = grads[0]
        grad_mask = None
        slope = cosine.clone() if ctx.single else _combine(cosine, c, -sine, s)
        if mask is not None:
            if ctx.needs_input_grad[2]:
                grad_mask = sum_rows(unmasked.mul_(grad[-len(unmasked) :]), ctx.widths)
            scale_rows_(slope, mask, ctx.widths)
        return None, slope.mul_(grad).sum(1), grad_mask, None


def _combine(a: Tensor, c: Tensor, b: Tensor, s: Tensor) -> Tensor:
    """a c + b s as the outer product over two lattice axes: a, b (f, m0), c, s (f, m1) -> (f, m0 * m1)."""
    return torch.bmm(torch.stack([a, b], dim=2), torch.stack([c, s], dim=1)).flatten(1)


class Linear(torch.autograd.Function):
    """activation(w x + b): x (k, n), w (h, k), b (h); activation "none", "relu" or "sigmoid"."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, b: Tensor, activation: str) -> Tensor:
        y = torch.mm(w, x).add_(b.unsqueeze(1))
        if activation == "relu":
            y.relu_()
        elif activation == "sigmoid":
            y.sigmoid_()
        ctx.activation = activation
        ctx.save_for_backward(x, w, None if activation == "none" else y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, w, y = ctx.saved_tensors
        grad = grads[0]
        if ctx.activation == "relu":
            grad = y.sign_().mul_(grad)
        elif ctx.activation == "sigmoid":
            grad = y.addcmul_(y, y, value=-1).mul_(grad)
        grad_x = torch.mm(w.T, grad) if ctx.needs_input_grad[0] else None
        return grad_x, torch.mm(grad, x.T), grad.sum(1), None
