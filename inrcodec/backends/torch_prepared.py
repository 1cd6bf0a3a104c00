"""What belongs to coordinates and does not change while they are used again and again: sines, interpolation matrices, table rows."""

from collections.abc import Callable
from functools import cache, reduce
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch_grid import PreparedLevel, prepare_level
from inrcodec.backends.torch_layers import SinePair, reduced, sum_sines
from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Constant, Coordinates

Tensor = torch.Tensor
Value = TypeVar("Value")


class Prepared:
    """Kept by the identity of the arrays they are made of; an entry holds those arrays, so that an identity is never reused."""

    def __init__(self, device: torch.device, entries: int) -> None:
        self.device = device
        self._memo: dict[Any, tuple[tuple[Any, ...], Any]] = {}
        self._entries = entries

    def vector(self, value: Constant, h: int) -> Tensor:
        """One float32 per neuron."""
        if isinstance(value, float):
            return _filled(value, h, self.device)
        return self._remember((value,), "vector", lambda: torch.as_tensor(value, dtype=torch.float32, device=self.device))

    def amplitude(self, value: Constant, h: int) -> Tensor | None:
        return None if isinstance(value, float) and value == 1.0 else self.vector(value, h)

    def double(self, value: Constant) -> Tensor:
        """A float64 scalar () or column (h, 1)."""
        if isinstance(value, float):
            return _double(value, self.device)
        return self._remember((value,), "double", lambda: torch.as_tensor(value, dtype=torch.float64, device=self.device).reshape(-1, 1))

    def sines(self, coords: Lattice, w: Tensor, weight_scale: Constant, *, frozen: bool) -> tuple[SinePair, SinePair]:
        """Sines of the angles weight_scale * w x of all axes but the last together, and of the last; kept where w (h, d) is frozen."""

        def axis(k: int) -> SinePair:
            def make() -> SinePair:
                frequency = (w[:, k : k + 1].double() * self.double(weight_scale)).detach()
                # Sines that are kept spare the axis itself.
                along = torch.as_tensor(coords.axes[k], device=self.device) if frozen else self._axis(coords.axes[k])
                angle = reduced(frequency * along)
                return torch.sin(angle), torch.cos(angle)

            return self._remember((coords.axes[k], w), ("sines", k), make) if frozen else make()

        def leading() -> SinePair:
            if coords.d == 1:
                return w.new_zeros(len(w), 1), w.new_ones(len(w), 1)
            return reduce(sum_sines, (axis(k) for k in range(coords.d - 1)))

        first = self._remember((w, *(coords.axes[:-1] or coords.axes)), "leading", leading) if frozen else leading()
        return first, axis(coords.d - 1)

    def level(self, coords: Lattice, level: Level, stretch: tuple[float, ...]) -> PreparedLevel:
        return self._remember(coords.axes, ("level", level, stretch), lambda: prepare_level(coords, level, stretch, self.device))

    def points(self, coords: Coordinates) -> Tensor:
        """The samples' coordinates (n, d) float64; of a lattice they are kept."""
        if isinstance(coords, Points):
            return tensor_points(coords, self.device)
        return self._remember(coords.axes, "points", lambda: tensor_points(coords, self.device))

    def _axis(self, values: NDArray[np.float64]) -> Tensor:
        return self._remember((values,), "axis", lambda: torch.as_tensor(values, device=self.device))

    def _remember(self, arrays: tuple[Any, ...], key: Any, make: Callable[[], Value]) -> Value:
        full = (key, *map(id, arrays))
        entry = self._memo.get(full)
        if entry is None:
            if len(self._memo) >= self._entries:
                self._memo.clear()
            # Not under inference mode, where training could not use it later.
            with torch.inference_mode(False), torch.no_grad():
                entry = self._memo[full] = (arrays, make())
        value: Value = entry[1]
        return value


def tensor_points(coords: Coordinates, device: torch.device) -> Tensor:
    """Coordinates (n, d) float64; those given as a tensor keep their graph."""
    values: Any = coords.values if isinstance(coords, Points) else coords.points().values
    if isinstance(values, torch.Tensor):
        return values
    # PyTorch has no arrays that cannot be written, and warns of them.
    return torch.as_tensor(values if values.flags.writeable else values.copy(), dtype=torch.float64, device=device)


# A captured step reads these where they lie, so none is ever given up; they are few and small.
@cache
def _filled(value: float, h: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((h,), value, dtype=torch.float32, device=device)


@cache
def _double(value: float, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return torch.full((), value, dtype=torch.float64, device=device)


@cache
def row_of(values: tuple[float, ...], device: torch.device) -> Tensor:
    """The values (n,) float64."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=torch.float64, device=device)
