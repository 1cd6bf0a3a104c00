"""The functions of torch_layers.py on a CUDA device: sine layers, embeddings and grids at points by Triton, the rest as there.

The same numbers within class F32, unless `precision` says otherwise. See triton_sine.py, triton_embedding.py and triton_grid.py.
"""

import warnings
from dataclasses import dataclass

import torch

from inrcodec.backends import torch_grouped, torch_layers, triton_embedding, triton_grid
from inrcodec.backends.triton_sine import (
    TILE,
    Precision,
    SavedSine,
    Tile,
    sine_layer,
    sine_layer_backward,
    sine_layer_forward,
    sine_layers_backward,
    sine_layers_forward,
)

Tensor = torch.Tensor


@dataclass(frozen=True)
class TritonGrouped:
    """The functions of torch_grouped.py: sine layers by Triton, as those of TritonLayers."""

    precision: Precision
    tile: Tile

    linear_forward = staticmethod(torch_grouped.linear_forward)
    linear_backward = staticmethod(torch_grouped.linear_backward)
    squared_error = staticmethod(torch_grouped.squared_error)
    sine_layer_backward = staticmethod(sine_layers_backward)

    def sine_layer_forward(
        self, x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, SavedSine]:
        return sine_layers_forward(x, w, b, mask, omega, amplitude, self.precision, self.tile)


@dataclass(frozen=True)
class TritonLayers:
    """precision: of the sine layers' matrix products, "ieee" (float32), "tf32x3" (forward three of TF32 for one) or "tf32" (class fast)."""

    precision: Precision = "ieee"
    tile: Tile = TILE

    linear = staticmethod(torch_layers.linear)
    linear_forward = staticmethod(torch_layers.linear_forward)
    linear_backward = staticmethod(torch_layers.linear_backward)
    squared_error = staticmethod(torch_layers.squared_error)
    sine_layer_backward = staticmethod(sine_layer_backward)
    sine_at_points = staticmethod(triton_embedding.sine_at_points)
    sine_at_points_forward = staticmethod(triton_embedding.sine_at_points_forward)
    sine_at_points_backward = staticmethod(triton_embedding.sine_at_points_backward)
    sine_on_lattice = staticmethod(triton_embedding.sine_on_lattice)
    sine_on_lattice_forward = staticmethod(triton_embedding.sine_on_lattice_forward)
    sine_on_lattice_backward = staticmethod(triton_embedding.sine_on_lattice_backward)
    grid_at_points = staticmethod(triton_grid.grid_at_points)
    grid_at_points_forward = staticmethod(triton_grid.grid_at_points_forward)
    grid_at_points_backward = staticmethod(triton_grid.grid_at_points_backward)

    @property
    def grouped(self) -> TritonGrouped:
        """The same for several networks at once."""
        return TritonGrouped(self.precision, self.tile)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None) -> Tensor:
        return sine_layer(x, w, b, omega, amplitude, mask, self.precision, self.tile)

    def sine_layer_forward(
        self, x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, SavedSine]:
        return sine_layer_forward(x, w, b, omega, amplitude, mask, self.precision, self.tile)


def working_layers(device: torch.device) -> TritonLayers | None:
    """The layers of a device on which a kernel runs; None, with a warning that says why, where it does not.

    Triton comes with PyTorch for CUDA, and needs more than that: a C compiler, Python's headers and a device it knows.
    """
    layers = TritonLayers()
    try:
        one, zero = torch.ones(1, 1, device=device), torch.zeros(1, 1, device=device)
        found = float(layers.sine_on_lattice((0.5 * one, one), (zero, one), zero[0], None, None, ()))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        if found == 0.5:
            return layers
        reason = f"a kernel gives {found}, expected 0.5"
    warnings.warn(
        f"device {device}: Triton is installed but does not run, the plain layers are used ({reason})", RuntimeWarning, stacklevel=2
    )
    return None
