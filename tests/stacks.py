"""Networks of one shape in one pass, for the tests of layers and tapes of stacks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_group_tape import GroupTape, features_backward, features_of, sines_of
from inrcodec.backends.torch_tape import Tape
from inrcodec.coordinates import Lattice
from inrcodec.networks.base import Network

Tensor = torch.Tensor


def ops_with(layers: Any) -> TorchOps:
    ops = TorchOps(torch.device("cpu"))
    ops.layers = layers
    return ops


def uniform(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> Tensor:
    return torch.as_tensor(np.random.default_rng([seed, *shape]).uniform(low, high, shape), dtype=torch.float32)


def ramp(like: Tensor) -> Tensor:
    """A gradient of both signs."""
    return torch.linspace(-1, 1.5, like.numel()).view_as(like)


def within(*shape: int, low: float = -1.0, high: float = 1.0, seed: int = 0) -> Tensor:
    """A stack (m, *shape) each of whose members is in C order, with something between them: a part of other stacks."""
    m, size = shape[0], int(np.prod(shape[1:]))
    return uniform(m, size + 7, low=low, high=high, seed=seed)[:, 3 : 3 + size].view(shape)


def trained_tensors(network: Network, config: Any, initial: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Parameters, with gradients of 1 where they are trained."""
    tensors = {name: torch.tensor(value) for name, value in initial.items()}
    for param in network.params(config):
        if param.trainable:
            tensors[param.name].grad = torch.ones_like(tensors[param.name])
    return tensors


def pass_alone(layers: Any, network: Network, config: Any, initial: dict[str, np.ndarray], coords: Lattice) -> dict[str, Tensor]:
    """What the tape gives for the gradient `ramp`: the output, and gradients by name, added to 1."""
    tensors, tape = trained_tensors(network, config, initial), Tape(ops_with(layers))
    with torch.no_grad():
        out = network.forward(tape, config, tensors, coords)
        tape.backward(out, ramp(out))
    return {"out": out} | {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}


def pass_together(
    layers: Any, network: Network, config: Any, initials: Sequence[dict[str, np.ndarray]], coords: Sequence[Lattice]
) -> list[dict[str, Tensor]]:
    """The same for each of several networks in one pass."""
    ops, each = ops_with(layers), [trained_tensors(network, config, initial) for initial in initials]
    params: dict[str, Any] = {}
    for name, tensor in each[0].items():
        params[name] = tuple(tensors[name] for tensors in each)
        if tensor.grad is not None:
            params[name] = torch.stack(params[name])
            params[name].grad = torch.ones_like(params[name])
    tape = GroupTape(ops)
    with torch.no_grad():
        features = [features_of(ops, network, config, tensors, grid) for tensors, grid in zip(each, coords, strict=True)]
        sines = [sines_of(ops, network, config, tensors, grid) for tensors, grid in zip(each, coords, strict=True)]
        stacked = None if features[0] is None else torch.stack([one for one in features if one is not None])
        grad = None if stacked is None else tape.watch(stacked)
        out = network.trunk(tape, config, params, sines, None if stacked is None else network.modulate(tape, config, params, stacked))
        tape.backward(out, torch.stack([ramp(out[0])] * len(each)))
        for i, tensors in enumerate(each):
            if grad is not None:
                features_backward(ops, network, config, tensors, coords[i], grad[i])
    found = []
    for i, tensors in enumerate(each):
        grads = {n: t.grad if n.startswith("grid.") else params[n].grad[i] for n, t in tensors.items() if t.grad is not None}
        found.append({"out": out[i], **grads})
    return found
