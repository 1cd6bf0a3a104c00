"""PyTorch in float64, made of differentiable operations alone: for derivatives of any order, by coordinates and by parameters."""

import torch

from inrcodec.backends.torch import TorchOps, scale_rows
from inrcodec.backends.torch_layers import equal_widths
from inrcodec.backends.torch_prepared import tensor_points
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.waves import activate
from inrcodec.ops import Activation, Constant, Coordinates, Wave

Tensor = torch.Tensor


class DoubleOps(TorchOps):
    """The operations of ops.py on float64 tensors (features, samples); what is not here is as in TorchOps, positions in grids float32."""

    def sine_embedding(
        self,
        coords: Coordinates,
        w: Tensor,
        b: Tensor,
        *,
        weight_scale: Constant,
        bias_scale: Constant,
        amplitude: Constant,
        mask: Tensor | None,
        widths: tuple[int, ...],
    ) -> Tensor:
        angle = self._column(weight_scale) * (w @ tensor_points(coords, self.device).T) + self._column(bias_scale) * b.unsqueeze(1)
        out = self._column(amplitude) * torch.sin(angle)
        return out if mask is None else scale_rows(out, mask, widths)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        out = self._column(amplitude) * torch.sin(self._column(omega) * (w @ x + b.unsqueeze(1)))
        return out if mask is None else scale_rows(out, mask, equal_widths(len(w), mask))

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        y = w @ x + b.unsqueeze(1)
        return torch.relu(y) if activation == "relu" else torch.sigmoid(y) if activation == "sigmoid" else y

    def coordinates(self, coords: Coordinates) -> Tensor:
        return tensor_points(coords, self.device).T

    def fourier(self, coords: Coordinates, w: Tensor, *, weight_scale: float) -> Tensor:
        angle = weight_scale * (torch.as_tensor(w, dtype=torch.float64, device=self.device) @ tensor_points(coords, self.device).T)
        return torch.cat([torch.sin(angle), torch.cos(angle)])

    def activated(
        self,
        x: Tensor | Coordinates,
        w: Tensor,
        b: Tensor,
        *,
        wave: Wave,
        constants: tuple[float, ...] = (),
        tensors: tuple[Tensor, ...] = (),
    ) -> Tensor:
        values = tensor_points(x, self.device).T if isinstance(x, Points | Lattice) else x
        found: Tensor = activate(torch, w @ values + b.unsqueeze(1), wave, constants, tensors, 0)
        return found

    def _column(self, value: Constant) -> Tensor:
        """A scalar () or a column (h, 1)."""
        return self.prepared.double(value)
