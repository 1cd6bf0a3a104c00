"""Distortion of one batch and its gradients, with the trunk run in pieces that stay in a core's cache."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray

from inrcodec.backends.threads import Team
from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_tape import Tape
from inrcodec.fit.data import Batch, Part
from inrcodec.fit.quantized import FlatLayout
from inrcodec.networks.base import Network

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Lane:
    """What one thread needs of its own: the operations, the parameters of each window, and the buffer of their gradients (p,)."""

    ops: TorchOps
    params: tuple[Mapping[str, Tensor], ...]
    grads: Tensor


def make_lanes(
    layout: FlatLayout,
    values: Tensor,
    grads: Tensor,
    frozen: Mapping[str, NDArray[Any]],
    device: torch.device,
    count: int,
    windows: int | None = None,
) -> tuple[Lane, ...]:
    """Lanes over the parameters `values` (p,), read where they lie; the first leaves its gradients in `grads` (p,).

    windows: how many the parameters are stacked for, None where they are not.
    """
    constants = {name: torch.as_tensor(value, device=device) for name, value in frozen.items()}
    lanes = []
    for number in range(count):
        own = grads if number == 0 else torch.zeros_like(grads)
        views, grad_views = layout.views(values), layout.views(own)
        each = []
        for w in range(windows or 1):
            params = {name: (view if windows is None else view[w]).detach() for name, view in views.items()}
            for name, view in params.items():
                view.grad = grad_views[name] if windows is None else grad_views[name][w]
            each.append({**params, **constants})
        # On a GPU captured steps read what is remembered, which is then never given up.
        ops = TorchOps(device) if device.type == "cpu" else TorchOps(device, memo_entries=sys.maxsize)
        lanes.append(Lane(ops, tuple(each), own))
    return tuple(lanes)


def batch_gradients(
    lanes: Sequence[Lane], team: Team, network: Network, config: Any, batch: Batch, *, scale: float, mask_sparsity: float
) -> float | Tensor:
    """Leave the gradients of the mean squared error (of values, not of outputs) in the first lane's grads; return that error.

    It is a number, or a tensor () float64 that has still to be read.

    scale: value per unit of output. mask_sparsity: weight of mean |M| in what is differentiated (the returned error is without it).
    """

    def run(work: tuple[Lane, tuple[Part, ...]]) -> float | Tensor:
        lane, parts = work
        lane.grads.zero_()
        return sum(_part_gradients(lane, network, config, batch, part, scale=scale, mask_sparsity=mask_sparsity) for part in parts)

    shares = _shares(batch.parts, len(lanes))
    errors = team.map(run, zip(lanes, shares, strict=False))
    for lane in lanes[1 : len(shares)]:
        lanes[0].grads.add_(lane.grads)
    total = sum(errors)
    return (total.double() if isinstance(total, Tensor) else total) * scale * scale / batch.count


def _shares(parts: Sequence[Part], count: int) -> list[tuple[Part, ...]]:
    """`parts` in `count` rows of about equal length, in order; fewer where there are fewer parts."""
    count = min(count, len(parts))
    bounds = [len(parts) * i // count for i in range(count + 1)]
    return [tuple(parts[a:b]) for a, b in pairwise(bounds)]


def _part_gradients(
    lane: Lane, network: Network, config: Any, batch: Batch, part: Part, *, scale: float, mask_sparsity: float
) -> float | Tensor:
    """Add the gradients of one part; return its sum of squared errors of outputs."""
    total: float | Tensor = 0.0
    factor = 2 * scale * scale / batch.count
    params = lane.params[part.window]
    with torch.no_grad():
        before = Tape(lane.ops)
        modulation = network.modulate(before, config, params, part.coords)
        modulation_grad = None if modulation is None else torch.empty_like(modulation)
        for coords, piece in part.pieces():
            tape = Tape(lane.ops)
            held = None if modulation is None else modulation[:, piece].contiguous()
            held_grad = None if held is None else tape.watch(held)
            output = network.trunk(tape, config, params, coords, held)
            start = part.samples.start + piece.start
            error, grad = lane.ops.layers.squared_error(output, batch.targets, batch.weights, start, factor)
            total += error
            tape.backward(output, grad)
            if held_grad is not None and modulation_grad is not None:
                modulation_grad[:, piece] = held_grad
        if modulation is not None and modulation_grad is not None:
            if mask_sparsity:
                modulation_grad[: config.masks] += mask_sparsity / (config.masks * (batch.targets.numel() // len(batch.targets)))
            before.backward(modulation, modulation_grad)
    return total
