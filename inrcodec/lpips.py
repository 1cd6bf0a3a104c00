"""LPIPS (Zhang et al., 2018) with AlexNet, from a file of weights that the user has: the project ships none.

The file is the state dict of the reference implementation's module, as `torch.save(lpips.LPIPS(net="alex").state_dict(), path)` writes it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, UsageError

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of inputs in [-1, 1]
# Name, shape, stride and padding of each convolution, and whether a maximum over 3x3, every second, stands before it.
CONVOLUTIONS = (
    ("net.slice1.0", (64, 3, 11, 11), 4, 2, False),
    ("net.slice2.3", (192, 64, 5, 5), 1, 2, True),
    ("net.slice3.6", (384, 192, 3, 3), 1, 1, True),
    ("net.slice4.8", (256, 384, 3, 3), 1, 1, False),
    ("net.slice5.10", (256, 256, 3, 3), 1, 1, False),
)
LEAST = 35  # samples along a side, below which a maximum has nothing to look at
TINY = 1e-10


def read_lpips(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The tensors of a file of weights by name. Raises InputError where the file cannot be read or is of another network."""
    import torch

    try:
        found: Mapping[str, Any] = torch.load(Path(path), map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{path}: expected the state dict of an LPIPS module, got {type(error).__name__}") from error
    for name, shape in lpips_shapes().items():
        got = tuple(found[name].shape) if isinstance(found, Mapping) and name in found else None
        if got != shape:
            raise InputError(f"{path}: expected LPIPS weights with AlexNet, {name} of shape {shape}, got {'none' if got is None else got}")
    return found


def lpips_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that are used."""
    shapes: dict[str, tuple[int, ...]] = {}
    for i, (name, shape, *_) in enumerate(CONVOLUTIONS):
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1], f"lin{i}.model.1.weight": (1, shape[0], 1, 1)}
    return shapes


def lpips(a: NDArray[Any], b: NDArray[Any], weights: Mapping[str, Any]) -> float:
    """Distance of two images (h, w, 3) in [0, 1], 0 for equal ones. Raises UsageError for other or different shapes."""
    import torch

    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or min(a.shape[:2]) < LEAST:
        raise UsageError(
            f"lpips: expected two images of one shape (h, w, 3) of at least {LEAST} pixels a side, got {a.shape} and {b.shape}"
        )
    with torch.inference_mode():
        both = torch.as_tensor(np.stack([a, b]), dtype=torch.float32).permute(0, 3, 1, 2)
        shift, scale = (torch.tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        x, total = (2 * both - 1 - shift) / scale, 0.0
        for i, (name, _, stride, padding, pooled) in enumerate(CONVOLUTIONS):
            if pooled:
                x = torch.nn.functional.max_pool2d(x, 3, 2)
            x = torch.relu(torch.nn.functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride, padding))
            unit = x / (x.square().sum(1, keepdim=True).sqrt() + TINY)
            apart = (unit[0] - unit[1]).square() * weights[f"lin{i}.model.1.weight"][0]
            total += float(apart.sum(0).mean())
    return total
