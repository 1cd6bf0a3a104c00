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
Wave = Literal["gaussian", "finer", "sines", "gabor", "complex-gabor"]
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

    def coordinates(self, coords: Coordinates) -> Tensor:
        """The samples' coordinates (n, d)."""
        ...

    def fourier(self, coords: Coordinates, w: Tensor, *, weight_scale: float) -> Tensor:
        """Sines of weight_scale * (x w^T), then their cosines: (n, 2 h); w (h, d), a tensor or an array. Angles as in sine_embedding."""
        ...

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
        """wave(x w^T + b) on coordinates or on x (n, k); w (h, k), b (h). The waves: networks/waves.py.

        In float64, and what is returned is float64 too where no gradients are asked for: these functions are so steep that what is
        rounded between the layers would show. `linear` takes it, and returns the usual precision.
        """
        ...

    def complex_matrix(self, w: Tensor) -> Tensor:
        """[[R, -I], [I, R]] (2 h, 2 k) of w = [R, I] (2 h, k), one above the other: a matrix for real parts, then imaginary ones."""
        ...

    def radial(self, coords: Coordinates, centres: Tensor, scales: Tensor) -> Tensor:
        """1 / (1 + sum_k (scales_jk (x_k - centres_jk))^2): (n, h); centres and scales (h, d). In float64 up to the result."""
        ...

    def ramps(self, t: Tensor, count: int) -> Tensor:
        """clip(count * t - j, 0, 1) for j = 0 .. count - 1: (n, count); t (n, 1)."""
        ...

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        """x * y, both (n, k)."""
        ...
