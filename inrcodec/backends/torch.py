"""The PyTorch engine: fits and decodes, on a CPU or a CUDA device."""

import math
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch_grid import GridOnLattice, PreparedLevel, prepare_level
from inrcodec.backends.torch_layers import Linear, MaskedSine, SineOnLattice, row_groups
from inrcodec.coordinates import Lattice, Points
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.networks.hashgrid import Level, corners
from inrcodec.ops import Activation, Constant, Coordinates

Tensor = torch.Tensor
DECODE_MEMO_ENTRIES = 64  # a decode uses an axis for one row of tiles only


class TorchOps:
    """The operations of ops.py on float32 tensors of one device, all held as (features, samples): see torch_layers.py.

    Sines, interpolation matrices and table rows of an axis do not change while it is used again and again, so they are kept by
    the identity of the axis (the entry holds the axis, so that an identity is never reused).
    """

    def __init__(self, device: torch.device, *, memo_entries: int = 4096) -> None:
        self.device = device
        self._memo: dict[Any, Any] = {}
        self._memo_entries = memo_entries

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
        phase = b * self._constant(bias_scale)
        if isinstance(coords, Points):
            h = self._sine_at_points(coords, w, phase, weight_scale)
            if mask is not None:
                h = scale_rows(h, mask, widths)
        elif w.requires_grad:
            axes = [torch.as_tensor(axis, device=self.device) for axis in coords.axes]
            scaled = w.double() * self._constant(weight_scale, torch.float64).reshape(-1, 1)
            h = _sine_by_addition([scaled[:, k : k + 1] * axis for k, axis in enumerate(axes)], phase)
            if mask is not None:
                h = scale_rows(h, mask, widths)
        else:
            sines = [self._axis_sines(axis, k, w, weight_scale) for k, axis in enumerate(coords.axes)]
            h = cast(Tensor, SineOnLattice.apply(sines, phase, mask, widths))
        if isinstance(amplitude, float) and amplitude == 1.0:
            return h
        return cast(Tensor, h * self._constant(amplitude).reshape(-1, 1))

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        h = cast(Tensor, MaskedSine.apply(x, w, b, self._constant(omega), mask))
        if isinstance(amplitude, float) and amplitude == 1.0:
            return h
        return cast(Tensor, h * self._constant(amplitude).reshape(-1, 1))

    def hash_grid(self, coords: Coordinates, tables: list[Tensor], levels: tuple[Level, ...]) -> Tensor:
        if isinstance(coords, Points):
            return torch.cat(
                [self._features_at_points(coords, t, level) for t, level in zip(tables, levels, strict=True)], dim=1
            ).T.contiguous()
        prepared = [self._level(coords, level) for level in levels]
        features: Tensor = GridOnLattice.apply(prepared, *tables)
        return features

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        return cast(Tensor, Linear.apply(x, w, b, activation))

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        return x[start:stop]

    def _remember(self, axis: NDArray[Any], key: Any, make: Any) -> Any:
        entry = self._memo.get((id(axis), key))
        if entry is None:
            if len(self._memo) >= self._memo_entries:
                self._memo.clear()
            entry = self._memo[(id(axis), key)] = (axis, make())
        return entry[1]

    def _constant(self, value: Constant, dtype: torch.dtype = torch.float32) -> Any:
        if isinstance(value, float):
            return torch.tensor(value, dtype=dtype, device=self.device)
        return self._remember(value, ("constant", dtype), lambda: torch.as_tensor(value, dtype=dtype, device=self.device))

    def _axis_sines(self, axis: NDArray[np.float64], k: int, w: Tensor, weight_scale: Constant) -> tuple[Tensor, Tensor]:
        def make() -> tuple[Tensor, Tensor]:
            frequency = w[:, k].double() * self._constant(weight_scale, torch.float64)
            angle = reduced(frequency.reshape(-1, 1) * torch.as_tensor(axis, device=self.device))
            return torch.sin(angle), torch.cos(angle)

        return self._remember(axis, ("sines", k, id(w)), make)  # type: ignore[no-any-return]

    def _level(self, coords: Lattice, level: Level) -> PreparedLevel:
        # Keyed by the first axis, which holds the entry alive; the others are part of the key and held by the entry itself.
        key = ("level", level, tuple(id(axis) for axis in coords.axes))
        return self._remember(coords.axes[0], key, lambda: prepare_level(coords, level, self.device))  # type: ignore[no-any-return]

    def _sine_at_points(self, coords: Points, w: Tensor, phase: Tensor, weight_scale: Constant) -> Tensor:
        x = coords.values if isinstance(coords.values, torch.Tensor) else torch.as_tensor(coords.values, device=self.device)
        scale = self._constant(weight_scale, torch.float64)
        return torch.sin(reduced((w.double() * scale.reshape(-1, 1)) @ x.T + phase.double().unsqueeze(1)))

    def _features_at_points(self, coords: Points, table: Tensor, level: Level) -> Tensor:
        if isinstance(coords.values, torch.Tensor):
            return _differentiable_features(coords.values, table, level)
        rows, weights = corners(coords.values, level)
        result = torch.zeros((coords.n, table.shape[1]), device=self.device)
        for row, weight in zip(rows, weights, strict=True):
            picked = table.index_select(0, torch.as_tensor(row, device=self.device))
            result = result + torch.as_tensor(weight, device=self.device)[:, None] * picked
        return result


def reduced(angle: Tensor) -> Tensor:
    """A float64 angle modulo 2 pi, in [-pi, pi], as float32; the gradient passes through."""
    turns = torch.round(angle.detach() * (0.5 / math.pi))
    return (angle - turns * (2 * math.pi)).float()


def _sine_by_addition(angles: list[Tensor], phase: Tensor) -> Tensor:
    """sin(sum of per-axis angles (h, m_k) + phase) on the lattice of the axes: (h, n), differentiable in the angles."""
    first = reduced(angles[0] + phase.double().unsqueeze(1))
    sine, cosine = torch.sin(first), torch.cos(first)
    for angle in angles[1:]:
        a = reduced(angle).unsqueeze(1)
        s, c, sine, cosine = torch.sin(a), torch.cos(a), sine.unsqueeze(2), cosine.unsqueeze(2)
        sine, cosine = (sine * c + cosine * s).flatten(1), (cosine * c - sine * s).flatten(1)
    return sine


def scale_rows(h: Tensor, mask: Tensor, widths: tuple[int, ...]) -> Tensor:
    """The last sum(widths) rows of h (f, n), group by group, times mask (g, n)."""
    head = h[: h.shape[0] - sum(widths)]
    return torch.cat([head, *(group * row for group, row in zip(row_groups(h, widths), mask, strict=True))])


def _differentiable_features(points: Tensor, table: Tensor, level: Level) -> Tensor:
    """Corner interpolation with weights that carry the gradient of the coordinates."""
    rows, _ = corners(points.detach().cpu().numpy(), level)
    position = (points + 1.0) * (0.5 * level.scale) + 0.5
    weight = (position - torch.floor(position.detach())).float()
    d = points.shape[1]
    result = torch.zeros((len(points), table.shape[1]), device=table.device)
    for corner, row in enumerate(rows):
        product = torch.ones(len(points), device=table.device)
        for k in reversed(range(d)):
            product = product * (weight[:, k] if (corner >> (d - 1 - k)) & 1 else 1 - weight[:, k])
        result = result + product[:, None] * table.index_select(0, torch.as_tensor(row, device=table.device))
    return result


class TorchEngine:
    """PyTorch on one device; used for decoding without gradients."""

    name = "torch"

    def __init__(self, device: torch.device) -> None:
        self.ops = TorchOps(device, memo_entries=DECODE_MEMO_ENTRIES)
        self.device = device

    def tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def array(self, result: Tensor) -> NDArray[np.float32]:
        return result.detach().cpu().numpy()

    def evaluating(self) -> torch.inference_mode:
        return torch.inference_mode()

    def samples(self, x: Tensor, start: int, stop: int) -> Tensor:
        return x[:, start:stop]


def torch_device(name: str) -> torch.device:
    """The device `name`: "auto" (CUDA where it is there, else the CPU), "cpu", "cuda", "cuda:1" ... Raises BackendMissing, UsageError."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(f"device: expected auto, cpu or cuda[:index], got {name}") from error
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise UsageError(f"device: expected auto, cpu or cuda[:index], got {name}")
    if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
        raise BackendMissing(f"device {name}: no such CUDA device; {torch.cuda.device_count()} are there")
    return device


def device_names() -> list[str]:
    """The CPU and the CUDA devices that are there."""
    return ["cpu", *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count()))]
