"""Derivatives of a network's outputs by its coordinates, through PyTorch's automatic differentiation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch import TorchOps
from inrcodec.coordinates import Points
from inrcodec.networks.base import Network

PIECE = 1 << 14


def input_gradient(network: Network, config: Any, params: Mapping[str, NDArray[np.float32]], coords: Points) -> NDArray[np.float32]:
    """d output / d coordinate at `coords` (n, d), one or more: (n, c, d)."""
    ops = TorchOps(torch.device("cpu"))
    tensors = {name: torch.as_tensor(value) for name, value in params.items()}
    result = []
    for start in range(0, coords.n, PIECE):
        rows = []
        for channel in range(config.out_features):
            # One forward pass per channel: the layers form gradients in the buffers of the forward pass, so a graph serves once.
            x = torch.tensor(coords.values[start : start + PIECE], requires_grad=True)
            output = network.forward(ops, config, tensors, Points(x))  # type: ignore[arg-type]
            rows.append(torch.autograd.grad(output[channel].sum(), x)[0])
        result.append(torch.stack(rows, dim=1).float().numpy())
    return np.concatenate(result)
