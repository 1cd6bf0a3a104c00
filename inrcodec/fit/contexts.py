"""The rate of dense table levels by their context network, in floats: what inrcodec/context.py does in integers, with gradients."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn import functional

from inrcodec.backends import torch_layers
from inrcodec.backends.threads import Team
from inrcodec.backends.torch import layers_of
from inrcodec.context import LOG2_SCALES, OUTPUTS, UNIT, ContextNet, inputs, neighbours, parents
from inrcodec.fit.optim import BETAS, held_adam
from inrcodec.fit.quantized import FlatLayout, Rate
from inrcodec.networks.hashgrid import Level

Tensor = torch.Tensor
WEIGHTS = ("a1", "a2", "b", "bias")


@dataclass(frozen=True, eq=False)
class Table:
    """A dense level in the flat buffers: values [start, stop), steps [group, group + k)."""

    level: int
    resolution: int
    start: int
    stop: int
    group: int


@dataclass(eq=False)
class Contexts:
    """Tables coded with contexts, and the network's weights with their optimizer."""

    d: int
    k: int
    tables: tuple[Table, ...]
    weights: dict[str, Tensor]
    optimizer: torch.optim.Optimizer

    def integers(self) -> ContextNet:
        rounded = {name: torch.round(UNIT * weight.detach()).cpu().numpy().astype(np.int64) for name, weight in self.weights.items()}
        return ContextNet(**rounded)


def make_contexts(
    layout: FlatLayout,
    levels: tuple[Level, ...],
    names: tuple[str, ...],
    *,
    d: int,
    hidden: int,
    learning_rate: float,
    seed: int,
    halt: Tensor | None = None,
) -> Contexts:
    """A context network that knows nothing yet, for the tables `names`, the levels from the first on."""
    index = {param.name: i for i, param in enumerate(layout.params)}
    tables = tuple(
        Table(number, levels[number].resolution, layout.offsets[index[n]], layout.offsets[index[n] + 1], layout.group_offsets[index[n]])
        for number, n in enumerate(names)
    )
    k = layout.params[index[names[0]]].shape[1]
    weights = new_weights(d, k * len(levels), hidden, torch.Generator().manual_seed(seed), layout.group.device)
    trained = list(weights.values())
    optimizer = torch.optim.Adam(trained, lr=learning_rate, betas=BETAS) if halt is None else held_adam(trained, learning_rate, BETAS, halt)
    return Contexts(d, k, tables, weights, optimizer)


def new_weights(d: int, planes: int, hidden: int, generator: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    """Weights of a network that knows nothing yet."""
    x = inputs(d)
    a1 = torch.empty(hidden, x + 1).uniform_(-0.5, 0.5, generator=generator)
    a1[:, x - 1 :] *= 0.25  # the level's number, and the bias
    bias = torch.zeros(OUTPUTS, planes)
    bias[1] = 1.5
    started = {"a1": a1, "a2": torch.zeros(OUTPUTS, hidden), "b": torch.zeros(OUTPUTS, x), "bias": bias}
    return {name: weight.to(device).requires_grad_() for name, weight in started.items()}


def add_context_rate(contexts: Contexts, found: Rate, values: Tensor, residual: Tensor, log_step: Tensor, threads: Team) -> Rate:
    """`found`, of the other tensors, with the tables' bits and gradients behind; the network's own gradients are left with its weights.

    values (p,) are quantized or noisy, `residual` (p,) is what that added, in steps.
    """
    grad_values, grad_log_step = torch.empty_like(values), torch.empty_like(log_step)
    grad_values[: len(found.grad_values)] = found.grad_values
    grad_log_step[: len(found.grad_log_step)] = found.grad_log_step
    symbols = []
    for table in contexts.tables:
        step = torch.exp(log_step[table.group : table.group + contexts.k])
        symbols.append((values[table.start : table.stop].view(*(table.resolution,) * contexts.d, contexts.k) / step).detach())
    bits, slopes = rate_of(contexts, symbols, threads)
    for table, v, slope in zip(contexts.tables, symbols, slopes, strict=True):
        groups = slice(table.group, table.group + contexts.k)
        grad_values[table.start : table.stop] = (slope / torch.exp(log_step[groups])).reshape(-1)
        # At a value that stays a symbol falls as its step grows; the noise in it does not.
        kept = v.reshape(-1) - residual[table.start : table.stop]
        grad_log_step[groups] = -(slope.reshape(-1) * kept).view(-1, contexts.k).sum(0)
    grad_log_scale = torch.zeros_like(log_step)
    grad_log_scale[: len(found.grad_log_scale)] = found.grad_log_scale
    return Rate(found.bits + bits, grad_values, grad_log_step, grad_log_scale)


def rate_of(contexts: Contexts, symbols: list[Tensor], threads: Team) -> tuple[float | Tensor, list[Tensor]]:
    """Bits of the tables' symbols (*sizes, k) and slopes of these; the network's own are left with its weights."""
    return (_rate_compiled if _compiled(symbols[0]) else _rate_followed)(contexts, symbols, threads)


def _compiled(values: Tensor) -> bool:
    return values.device.type == "cpu" and layers_of(values.device) is not torch_layers


def _rate_compiled(contexts: Contexts, symbols: list[Tensor], threads: Team) -> tuple[float, list[Tensor]]:
    from inrcodec.fit.contexts_cpu import context_rate

    a1, a2, b, bias = (contexts.weights[name].detach().numpy() for name in WEIGHTS)
    levels = [(table.level, v.numpy()) for table, v in zip(contexts.tables, symbols, strict=True)]
    bits, slopes, gradients = context_rate(levels, (a1, a2, b, bias), threads)
    for name, gradient in zip(WEIGHTS, gradients, strict=True):
        contexts.weights[name].grad = torch.from_numpy(gradient)
    return bits, [torch.from_numpy(slope) for slope in slopes]


def _rate_followed(contexts: Contexts, symbols: list[Tensor], threads: Team) -> tuple[Tensor, list[Tensor]]:
    """By autograd, on any device."""
    for weight in contexts.weights.values():
        weight.grad = None
    leaves = [v.requires_grad_() for v in symbols]
    with torch.enable_grad():
        bits = context_bits(contexts, leaves)
        bits.backward()  # type: ignore[no-untyped-call]
    return bits.detach(), [v.grad for v in leaves if v.grad is not None]


def context_bits(contexts: Contexts, symbols: list[Tensor]) -> Tensor:
    """Bits of the tables' symbols (*sizes, k), differentiable; noisy ones are no integers."""
    total = symbols[0].new_zeros(())
    parent: Tensor | None = None
    for table, v in zip(contexts.tables, symbols, strict=True):
        before: Tensor | None = None
        for f in range(contexts.k):
            own = v[..., f]
            x = _inputs(own, None if parent is None else parent[..., f], before, contexts.d, table.level)
            total = total + _bits(contexts.weights, x, own.reshape(-1), table.level * contexts.k + f)
            before = own
        parent = v
    return total


def _inputs(own: Tensor, parent: Tensor | None, before: Tensor | None, d: int, level: int) -> Tensor:
    """(inputs, vertices)."""
    sizes, n = own.shape, own.numel()
    padded = functional.pad(own, (2, 1) * d)
    near = neighbours(d)
    compressed, size = _compressed(padded), padded.abs()
    seen = [_shifted(compressed, offset, sizes) for offset in near]
    total = torch.stack([_shifted(size, offset, sizes) for offset in near[:-d]]).sum(0)
    if parent is None:
        around = [own.new_zeros(n)] * 2
    else:
        rows = [_parents(n, m, own.device) for n, m in zip(sizes, parent.shape, strict=True)]
        box = parent.abs()[None, None]
        pool = functional.avg_pool2d if d == 2 else functional.avg_pool3d
        box = pool(box, 3, stride=1, padding=1, count_include_pad=True)[0, 0] * 3**d
        around = [_compressed(_taken(part, rows)).reshape(-1) for part in (parent, box)]
    previous = own.new_zeros(n) if before is None else _compressed(before).reshape(-1)
    return torch.stack([*(part.reshape(-1) for part in seen), _compressed(total).reshape(-1), *around, previous, own.new_full((n,), level)])


@cache  # a captured step reads them where they lie
def _parents(n: int, m: int, device: torch.device) -> Tensor:
    return torch.as_tensor(parents(n, m), device=device)


def _compressed(v: Tensor) -> Tensor:
    # As a product, so that the slope at 0 is that of the function and not of |v|.
    size = v.abs() + 1e-6
    return v * (torch.log1p(size) / (size * math.log(2.0)))


def _shifted(padded: Tensor, offset: tuple[int, ...], sizes: torch.Size) -> Tensor:
    return padded[tuple(slice(2 + o, 2 + o + n) for o, n in zip(offset, sizes, strict=True))]


def _taken(values: Tensor, rows: list[Tensor]) -> Tensor:
    for k, chosen in enumerate(rows):
        values = values.index_select(k, chosen)
    return values


def _bits(weights: dict[str, Tensor], x: Tensor, v: Tensor, plane: int) -> Tensor:
    a1 = weights["a1"]
    hidden = torch.relu(torch.addmm(a1[:, -1:], a1[:, :-1], x))
    out = weights["a2"] @ hidden + weights["b"] @ x + weights["bias"][:, plane, None]
    inverse = torch.exp2(-out[1].clamp(*LOG2_SCALES))
    a = (v - out[0]).abs()
    near = torch.exp(-(a - 0.5).abs() * inverse)
    far = torch.exp(-(a + 0.5) * inverse)
    centre = -torch.log((1 - 0.5 * (near + far)).clamp_min(1e-6))
    tail = (a - 0.5) * inverse - torch.log(0.5 - 0.5 * torch.exp(-inverse))
    return torch.where(a < 0.5, centre, tail).sum() / math.log(2.0)
