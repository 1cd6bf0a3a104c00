"""The closed list of operations a network may use. Every engine implements these and nothing else.

Letters: n samples, d coordinates, h neurons, g groups, c channels, k features, l levels. `coords` is Points or Lattice.
Constants (omega, amplitude, scales) are floats or float64 vectors with one value per neuron; they are no tensors of the network.
Arithmetic is float32 unless an operation says otherwise.
"""

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Lattice, Points

if TYPE_CHECKING:
    from inrcodec.networks.hashgrid import Level

Tensor = Any
Activation = Literal["none", "relu", "sigmoid"]
Constant = float | NDArray[np.float64]
Coordinates = Points | Lattice


class Ops(Protocol):
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
        """amplitude * sin(weight_scale * (x w^T) + bias_scale * b): (n, h), a sine layer on coordinates x (n, d); w (h, d), b (h).

        The argument is formed in float64 and reduced modulo 2 pi, since it is large. `mask` (n, g) then scales the last sum(widths)
        columns group by group, group j being widths[j] columns wide; the columns before them are not scaled.
        """
        ...

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        """amplitude * sin(omega * (x w^T + b)): (n, h); x (n, k), w (h, k), b (h). `mask` (n, g) scales g equal groups of neurons."""
        ...

    def hash_grid(self, coords: Coordinates, tables: list[Tensor], levels: "tuple[Level, ...]", stretch: tuple[float, ...]) -> Tensor:
        """Multiresolution grid features (n, l * k) at coordinates times `stretch` (d), level by level; tables[i] (entries, k).

        Definition: networks/hashgrid.py.
        """
        ...

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        """activation(x w^T + b): (n, h); "relu" is max(z, 0), "sigmoid" 1 / (1 + exp(-z))."""
        ...

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        """x[:, start:stop]."""
        ...

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        """The columns of x (n, k), then those of y (n, l): (n, k + l)."""
        ...
