"""Parameters in one flat buffer, their quantization steps and their rate: what the trainer needs to fit for a file size.

Every group of values (a tensor, a row or a column: Param.axis) has one step d and one Laplace scale s, both learned, held as logarithms.
The rate of a value w is that of its symbol under the discretised Laplace distribution,

    bits(w) = -log2(F((w + d/2) / s) - F((w - d/2) / s))

which the integer models of the file follow (spec section "Symbol models"). Gradients are written out, so that a step costs few passes.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.networks.base import Param

SCALE_FLOOR = 0.2  # of a quantization step: below, zeros cost nothing less, and what has become zero could never come back
MOST_STEP = 2.5  # times the largest value of a group: all of it is 0 then, and would take long to come back if steps went on growing
LEAST_VALUE = 1e-6  # of which a step may still be a multiple, where a group is all 0

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class FlatLayout:
    """Where each trainable tensor lies in the flat buffer, and to which group each value belongs."""

    params: tuple[Param, ...]
    offsets: tuple[int, ...]
    group_offsets: tuple[int, ...]
    group: Tensor  # (p,) int64
    group_sizes: Tensor  # (g,) float32

    @property
    def size(self) -> int:
        return self.offsets[-1]

    @property
    def groups(self) -> int:
        return self.group_offsets[-1]

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The tensors by name, sharing the memory of `flat` (p,)."""
        return {
            param.name: flat[start : start + param.size].view(param.shape) for param, start in zip(self.params, self.offsets, strict=False)
        }

    def stacks(self, rows: Tensor) -> dict[str, Tensor]:
        """The tensors (m, *shape) by name of m flat buffers, sharing the memory of `rows` (m, p)."""
        return {
            param.name: rows[:, start : start + param.size].view(-1, *param.shape)
            for param, start in zip(self.params, self.offsets, strict=False)
        }


def flat_layout(params: tuple[Param, ...], device: torch.device, *, last: Collection[str] = ()) -> FlatLayout:
    """The layout of the trainable ones of `params` in their order, but with those named in `last` behind the others."""
    trainable = tuple(sorted((param for param in params if param.trainable), key=lambda param: param.name in last))
    offsets, group_offsets, group = [0], [0], []
    for param in trainable:
        count = param.shape[param.axis] if param.axis >= 0 else 1
        index = np.arange(count)
        if param.axis >= 0:
            index = index.reshape([-1 if k == param.axis else 1 for k in range(len(param.shape))])
        group.append(np.broadcast_to(index + group_offsets[-1], param.shape).reshape(-1))
        offsets.append(offsets[-1] + param.size)
        group_offsets.append(group_offsets[-1] + count)
    index = np.concatenate(group)
    sizes = np.bincount(index, minlength=group_offsets[-1])
    return FlatLayout(
        trainable,
        tuple(offsets),
        tuple(group_offsets),
        torch.as_tensor(index, device=device),
        torch.as_tensor(sizes, dtype=torch.float32, device=device),
    )


def leading(layout: FlatLayout, params: int) -> FlatLayout:
    """The layout of the first `params` tensors."""
    values, groups = layout.offsets[params], layout.group_offsets[params]
    return FlatLayout(
        layout.params[:params],
        layout.offsets[: params + 1],
        layout.group_offsets[: params + 1],
        layout.group[:values],
        layout.group_sizes[:groups],
    )


def group_sum(layout: FlatLayout, values: Tensor) -> Tensor:
    """Sums of values (p,) per group: (g,)."""
    return values.new_zeros(layout.groups).index_add_(0, layout.group, values)


def initial_scales(layout: FlatLayout, flat: Tensor, *, table_step: float, matrix_step: float) -> tuple[Tensor, Tensor]:
    """Logarithms of the first steps and Laplace scales (g,) from the values' mean size."""
    scale = (group_sum(layout, flat.abs()) / layout.group_sizes).clamp_min(1e-4)
    ratio = torch.empty_like(scale)
    tensor_scale = torch.empty_like(scale)
    for k, param in enumerate(layout.params):
        groups = slice(layout.group_offsets[k], layout.group_offsets[k + 1])
        ratio[groups] = table_step if param.role == "table" else matrix_step
        tensor_scale[groups] = scale[groups] if param.role == "table" else scale[groups].mean()
    return torch.log(tensor_scale * ratio), torch.log(scale)


@dataclass(frozen=True, eq=False)
class Rate:
    """Bits of all values and their gradients."""

    bits: Tensor  # ()
    grad_values: Tensor  # (p,)
    grad_log_step: Tensor  # (g,)
    grad_log_scale: Tensor  # (g,)


def rate(layout: FlatLayout, values: Tensor, log_step: Tensor, log_scale: Tensor) -> Rate:
    """The Laplace rate of `values` (p,), quantized or noisy, with steps and scales (g,)."""
    ln2 = math.log(2.0)
    r = torch.exp(log_step - log_scale)[layout.group]  # step over scale
    inverse_scale = torch.exp(-log_scale)[layout.group]
    x = values.abs() * inverse_scale  # |w| / s
    half = 0.5 * r
    tail = x >= half
    # Tail: p = exp(-x) sinh(r / 2). Centre: p = 1 - exp(-r / 2) cosh(x).
    log_sinh = half + torch.log1p(-torch.exp(-r).clamp_max(1 - 1e-7)) - ln2
    inner = torch.minimum(x, half)
    rising, falling = torch.exp(inner - half), torch.exp(-inner - half)
    p = (1 - 0.5 * (rising + falling)).clamp_min(1e-9)
    bits = torch.where(tail, x - log_sinh, -torch.log(p)) / ln2
    grad_x = torch.where(tail, torch.ones_like(x), 0.5 * (rising - falling) / p) / ln2
    coth = 1 / torch.tanh(half.clamp_min(1e-6))
    grad_r = torch.where(tail, -0.5 * coth, -0.25 * (rising + falling) / p) / ln2
    grad_step = group_sum(layout, grad_r * r)
    grad_scale = group_sum(layout, -grad_r * r - grad_x * x)
    return Rate(bits.sum(), grad_x * inverse_scale * torch.sign(values), grad_step, grad_scale)


def quantize_flat(layout: FlatLayout, flat: Tensor, step: Tensor, generator: torch.Generator | None, *, reads: bool = True) -> Tensor:
    """u with w + u d the noisy (uniform noise from `generator`) or, without one, the rounded values: (p,), |u| <= 1/2.

    Noise stands for what rounding does to values of many steps. A group of which every value rounds to 0 has none: it is 0.
    reads: whether to look first if there is such a group, which a GPU would have to be waited for.
    """
    if generator is None:
        scaled = flat / step[layout.group]
        return torch.round(scaled).sub_(scaled)
    u = torch.rand(flat.shape, generator=generator, device=flat.device).sub_(0.5)
    silent = group_max(layout, flat) < 0.5 * step
    if reads and not silent.any():
        return u
    return torch.where(silent[layout.group], -flat / step[layout.group], u)


def group_max(layout: FlatLayout, flat: Tensor) -> Tensor:
    """The largest magnitude of values (p,) per group: (g,)."""
    views = layout.views(flat.abs())
    whole = ((param.axis, views[param.name]) for param in layout.params)
    return torch.cat([(v.reshape(1, -1) if axis < 0 else v.movedim(axis, 0).reshape(v.shape[axis], -1)).amax(dim=1) for axis, v in whole])


def bound_scales(layout: FlatLayout, flat: Tensor, log_step: Tensor, log_scale: Tensor, *, steps_fixed: bool) -> None:
    """Keep the steps of values (p,) below where they mean nothing, and Laplace scales above."""
    if not steps_fixed:
        most = torch.log(MOST_STEP * group_max(layout, flat).clamp_min(LEAST_VALUE))
        torch.minimum(log_step, most, out=log_step)
    torch.maximum(log_scale, log_step + math.log(SCALE_FLOOR), out=log_scale)


def to_arrays(layout: FlatLayout, flat: Tensor) -> dict[str, NDArray[np.float32]]:
    return {name: view.detach().cpu().numpy().copy() for name, view in layout.views(flat).items()}
