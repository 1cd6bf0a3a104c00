"""Distortion of one batch and its gradients, with the trunk run in pieces that stay in a core's cache."""

from collections.abc import Mapping
from typing import Any

import torch

from inrcodec.fit.data import Batch
from inrcodec.networks.base import Network
from inrcodec.ops import Ops

Tensor = torch.Tensor


def batch_gradients(
    ops: Ops,
    network: Network,
    config: Any,
    params: Mapping[str, Tensor],
    batch: Batch,
    *,
    scale: float,
    mask_sparsity: float,
) -> Tensor:
    """Add the gradients of the mean squared error (of values, not of outputs) to params[...].grad; return that error.

    scale: value per unit of output. mask_sparsity: weight of mean |M| in what is differentiated (the returned error is without it).
    """
    modulation = network.modulate(ops, config, params, batch.lattice)
    held = None if modulation is None else modulation.detach()
    modulation_grad = None if held is None else torch.empty_like(held)
    total = batch.targets.new_zeros(())
    count = batch.targets.numel()
    for lattice, part in batch.pieces():
        leaf = None if held is None else held[:, part].contiguous().requires_grad_()
        output = network.trunk(ops, config, params, lattice, leaf)
        error = output.detach() - batch.targets[:, part]
        weighted = error if batch.weights is None else error * batch.weights[:, part]
        total += torch.dot(weighted.reshape(-1), error.reshape(-1))
        output.backward(weighted.mul_(2 * scale * scale / count))
        if leaf is not None and modulation_grad is not None:
            modulation_grad[:, part] = leaf.grad
    if modulation is not None and modulation_grad is not None:
        if mask_sparsity:
            modulation_grad += mask_sparsity / modulation_grad.numel()
        modulation.backward(modulation_grad)
    return total * (scale * scale / count)
