"""Distortion and gradients of several fits of one architecture in one pass: products of stacks in place of one product each."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inrcodec.backends.torch_group_tape import NETWORKS, GroupTape, Sines, features_backward, features_of, grouped_layers, sines_of
from inrcodec.fit.data import Batch, Data, LatticePart, TrainingData
from inrcodec.fit.gradients import Lane
from inrcodec.fit.plan import Plan
from inrcodec.fit.quantized import FlatLayout

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class Share:
    """What the pass reads of one fit and leaves there, in memory that stays the same from step to step: p values, n samples.

    features_grad gets the gradient of `features`, grads that of all values but the tables.
    """

    values: Tensor  # (p,)
    frozen: dict[str, Tensor]
    grads: Tensor  # (p,)
    targets: Tensor  # (c, n)
    weights: Tensor | None  # (c, n)
    features: Tensor | None  # (f, n) of the grid
    features_grad: Tensor | None
    sines: tuple[Sines, ...]  # piece by piece


def architecture(plan: Plan, data: Data, layout: FlatLayout, layers: Any) -> Hashable | None:
    """What fits have in common that can make steps together; None where a fit cannot."""
    if plan.network.id not in NETWORKS or type(data) is not TrainingData:
        return None
    if any(one.parts != 1 for one in (data, data.finer) if one is not None):
        return None
    what = (plan.network.id, plan.config, layout.params, plan.schedule.mask_sparsity, grouped_layers(layers), layout.group.device)
    return (*what, data.shape, data.stride, data.channels, data.weights is None, data.finer is None)


def pass_key(batch: Batch, scale: float) -> Hashable:
    """Batches of fits of one architecture can share a pass where theirs are equal."""
    return (_part(batch).coords.shape, batch.weights is None, batch.count, scale)


def new_share(lane: Lane, values: Tensor, plan: Plan, batch: Batch) -> Share:
    """The share of a fit whose values (p,) the lane's parameters are views of, filled as `fill` does it."""
    found = _form(lane, plan, batch)
    return Share(
        values=values,
        frozen={param.name: lane.params[0][param.name] for param in plan.network.params(plan.config) if not param.trainable},
        grads=lane.grads,
        targets=batch.targets.clone(),
        weights=None if batch.weights is None else batch.weights.clone(),
        features=found[0],
        features_grad=None if found[0] is None else torch.empty_like(found[0]),
        # Those that are remembered belong to one batch.
        sines=tuple(tuple(part.clone() for part in sines) for sines in found[1]),
    )


def fill(share: Share, lane: Lane, plan: Plan, batch: Batch) -> None:
    """Bring what belongs to a batch, and what its coordinates make of the values as they are, into the share."""
    features, pieces = _form(lane, plan, batch)
    share.targets.copy_(batch.targets)
    if share.weights is not None and batch.weights is not None:
        share.weights.copy_(batch.weights)
    if share.features is not None and features is not None:
        share.features.copy_(features)
    for places, sines in zip(share.sines, pieces, strict=True):
        for place, part in zip(places, sines, strict=True):
            place.copy_(part)


def finish_gradients(share: Share, lane: Lane, plan: Plan, batch: Batch) -> None:
    """Add the gradients of the tables, after the pass."""
    if share.features_grad is None:
        return
    with torch.no_grad():
        features_backward(lane.ops, plan.network, plan.config, lane.params[0], _part(batch).coords, share.features_grad)


def grouped_gradients(shares: Sequence[Share], lane: Lane, layout: FlatLayout, plan: Plan, *, scale: float, count: int) -> Tensor:
    """Leave the gradients of each share's distortion in its grads and features_grad; return sums of squared errors of outputs (m,).

    As gradients.batch_gradients has them, with its scale, for a batch of `count` values; lane: of any of the fits.
    """
    network, config, ops = plan.network, plan.config, lane.ops
    factor = 2 * scale * scale / count
    with torch.no_grad():
        values = torch.stack([share.values for share in shares])
        grads = torch.zeros_like(values)
        params: dict[str, Any] = {name: tuple(share.frozen[name] for share in shares) for name in shares[0].frozen}
        places = layout.stacks(grads)
        for name, stack in layout.stacks(values).items():
            params[name] = stack.detach()
            params[name].grad = places[name]
        targets, weights = _stacked([share.targets for share in shares]), _stacked([share.weights for share in shares])
        features = _stacked([share.features for share in shares])
        assert targets is not None
        before, features_grad, modulation, modulation_grad = GroupTape(ops), None, None, None
        if features is not None:
            features_grad = before.watch(features)
            modulation = network.modulate(before, config, params, features)
            modulation_grad = torch.empty_like(modulation)
        total, start = torch.zeros(len(shares), device=values.device), 0
        for sines in zip(*(share.sines for share in shares), strict=True):
            tape, stop = GroupTape(ops), start + sines[0][0].shape[1] * sines[0][2].shape[1]
            held = None if modulation is None else modulation[:, :, start:stop].contiguous()
            held_grad = None if held is None else tape.watch(held)
            output = network.trunk(tape, config, params, sines, held)
            error, grad = grouped_layers(ops.layers).squared_error(output, targets, weights, start, factor)
            total += error
            tape.backward(output, grad)
            if held_grad is not None and modulation_grad is not None:
                modulation_grad[:, :, start:stop] = held_grad
            start = stop
        if modulation is not None and modulation_grad is not None:
            if plan.schedule.mask_sparsity:
                modulation_grad[:, : config.masks] += plan.schedule.mask_sparsity / (config.masks * targets.shape[2])
            before.backward(modulation, modulation_grad)
        for i, share in enumerate(shares):
            share.grads.copy_(grads[i])
            if share.features_grad is not None and features_grad is not None:
                share.features_grad.copy_(features_grad[i])
    return total


def _form(lane: Lane, plan: Plan, batch: Batch) -> tuple[Tensor | None, list[Sines]]:
    """Features of the batch, and the sines of its pieces."""
    part, network, config, params = _part(batch), plan.network, plan.config, lane.params[0]
    with torch.no_grad():
        features = features_of(lane.ops, network, config, params, part.coords)
        return features, [sines_of(lane.ops, network, config, params, coords) for coords, _ in part.pieces()]


def _part(batch: Batch) -> LatticePart:
    (part,) = batch.parts
    assert isinstance(part, LatticePart)
    return part


def _stacked(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """One tensor (m, ...), or None where there is none of any."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(there) if there else None
