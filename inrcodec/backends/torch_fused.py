"""The functions of torch_layers.py on a CPU: PyTorch's matrix products, and one compiled pass over the activations each way.

The same numbers within class F32. See cpu_kernels.py and cpu_points.py for the passes.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends import cpu_kernels as kernels
from inrcodec.backends import cpu_points
from inrcodec.backends.torch_layers import SinePair
from inrcodec.networks.hashgrid import Level
from inrcodec.ops import Activation

Tensor = torch.Tensor
Array = NDArray[np.float32]


class SavedSine(NamedTuple):
    x: Tensor
    w: Tensor
    slope: Tensor
    out: Tensor
    mask: Array
    group: NDArray[np.int32]


class SavedLattice(NamedTuple):
    sines: tuple[Array, Array, Array, Array]
    phase: Array
    amplitude: Array
    mask: Array
    group: NDArray[np.int32]
    out: Tensor


class SavedPoints(NamedTuple):
    slope: Tensor
    out: Tensor
    mask: Array
    group: NDArray[np.int32]


class SavedGrid(NamedTuple):
    x: Array  # (d, n), in [0, 1]
    levels: Sequence[Level]


class SavedLinear(NamedTuple):
    x: Tensor
    w: Tensor
    y: Tensor
    activation: Activation


@lru_cache(maxsize=256)
def _groups(rows: int, widths: tuple[int, ...]) -> NDArray[np.int32]:
    """Mask of each of `rows` neurons, the last sum(widths) of which are masked: -1 for none."""
    masked = np.repeat(np.arange(len(widths)), widths)
    return np.concatenate([np.full(rows - len(masked), -1), masked]).astype(np.int32)


@lru_cache(maxsize=256)
def _filled(rows: int, value: float) -> Array:
    return np.full(rows, value, dtype=np.float32)


def _array(mask: Tensor | None, samples: int) -> Array:
    return np.empty((0, samples), dtype=np.float32) if mask is None else mask.contiguous().numpy()


def _into(mask: Tensor | None, h: Tensor) -> Array:
    """Where the mask's gradient is added, of no rows where it is not asked for."""
    return np.empty((0, h.shape[1]), dtype=np.float32) if mask is None else mask.numpy()


def _layer_groups(rows: int, mask: Tensor | None) -> NDArray[np.int32]:
    return _groups(rows, () if mask is None else (rows // len(mask),) * len(mask))


def _scale(amplitude: Tensor | None, rows: int) -> Array:
    return _filled(rows, 1.0) if amplitude is None else amplitude.numpy()


def sine_layer(x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None) -> Tensor:
    z = torch.mm(w, x)
    rows, samples = z.shape
    kernels.sine(z.numpy(), b.numpy(), omega.numpy(), _scale(amplitude, rows), _array(mask, samples), _layer_groups(rows, mask))
    return z


def sine_layer_forward(
    x: Tensor, w: Tensor, b: Tensor, omega: Tensor, amplitude: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, SavedSine]:
    z = torch.mm(w, x)
    rows, samples = z.shape
    out, mask_array, group = torch.empty_like(z), _array(mask, samples), _layer_groups(rows, mask)
    kernels.sine_and_slope(z.numpy(), b.numpy(), omega.numpy(), _scale(amplitude, rows), mask_array, group, out.numpy())
    return out, SavedSine(x, w, z, out, mask_array, group)


def sine_layer_backward(saved: SavedSine, grad: Tensor, *, w: Tensor, b: Tensor, mask: Tensor | None, need_x: bool) -> Tensor | None:
    dz = saved.slope
    kernels.sine_backward(dz.numpy(), saved.out.numpy(), grad.numpy(), saved.mask, saved.group, _into(mask, dz), b.numpy())
    w.addmm_(dz, saved.x.T)
    return torch.mm(saved.w.T, dz) if need_x else None


def sine_on_lattice(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    return sine_on_lattice_forward(leading, last, phase, amplitude, mask, widths)[0]


def sine_on_lattice_forward(
    leading: SinePair, last: SinePair, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedLattice]:
    rows, samples = len(phase), leading[0].shape[1] * last[0].shape[1]
    out = phase.new_empty((rows, samples))
    saved = SavedLattice(
        (leading[0].numpy(), leading[1].numpy(), last[0].numpy(), last[1].numpy()),
        phase.numpy(),
        _scale(amplitude, rows),
        _array(mask, samples),
        _groups(rows, () if mask is None else widths),
        out,
    )
    kernels.sine_of_sums(*saved.sines, saved.phase, saved.amplitude, saved.mask, saved.group, out.numpy())
    return out, saved


def sine_on_lattice_backward(saved: SavedLattice, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    constants = (*saved.sines, saved.phase, saved.amplitude, saved.mask, saved.group)
    kernels.sine_of_sums_backward(*constants, saved.out.numpy(), grad.numpy(), _into(mask, saved.out), phase.numpy(), need_angle)
    return saved.out if need_angle else None


def sine_at_points(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> Tensor:
    z = _angles(x, frequency, phase)
    rows, samples = z.shape
    zero, one = _filled(rows, 0.0), _filled(rows, 1.0)
    kernels.sine(z.numpy(), zero, one, _scale(amplitude, rows), _array(mask, samples), _groups(rows, () if mask is None else widths))
    return z


def sine_at_points_forward(
    x: Tensor, frequency: Tensor, phase: Tensor, amplitude: Tensor | None, mask: Tensor | None, widths: tuple[int, ...]
) -> tuple[Tensor, SavedPoints]:
    z = _angles(x, frequency, phase)
    rows, samples = z.shape
    saved = SavedPoints(z, torch.empty_like(z), _array(mask, samples), _groups(rows, () if mask is None else widths))
    zero, one = _filled(rows, 0.0), _filled(rows, 1.0)
    kernels.sine_and_slope(z.numpy(), zero, one, _scale(amplitude, rows), saved.mask, saved.group, saved.out.numpy())
    return saved.out, saved


def sine_at_points_backward(saved: SavedPoints, grad: Tensor, *, phase: Tensor, mask: Tensor | None, need_angle: bool) -> Tensor | None:
    dz = saved.slope
    kernels.sine_backward(dz.numpy(), saved.out.numpy(), grad.numpy(), saved.mask, saved.group, _into(mask, dz), phase.numpy())
    return dz if need_angle else None


def grid_at_points(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> Tensor:
    return grid_at_points_forward(x, tables, levels)[0]


def grid_at_points_forward(x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> tuple[Tensor, SavedGrid]:
    saved = SavedGrid(((x + 1.0) * 0.5).float().T.contiguous().numpy(), levels)
    out = torch.empty((sum(table.shape[1] for table in tables), len(x)))
    for level, table, part in zip(levels, tables, out.split([table.shape[1] for table in tables]), strict=True):
        cpu_points.grid(*_grid_arguments(saved.x, level, table, part))
    return out, saved


def grid_at_points_backward(saved: SavedGrid, grad: Tensor, tables: Sequence[Tensor]) -> None:
    for level, table, part in zip(saved.levels, tables, grad.split([table.shape[1] for table in tables]), strict=True):
        cpu_points.grid_backward(*_grid_arguments(saved.x, level, table, part))


def _grid_arguments(x: Array, level: Level, table: Tensor, features: Tensor) -> tuple[Array, float, int, bool, int, Array, Array]:
    return x, level.scale, level.resolution, level.dense(len(x)), level.taps, table.detach().numpy(), features.numpy()


def _angles(x: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    z = torch.empty((len(frequency), len(x)))
    cpu_points.angles(x.T.contiguous().numpy(), frequency.contiguous().numpy(), phase.double().numpy(), z.numpy())
    return z


def linear(x: Tensor, w: Tensor, b: Tensor, activation: Activation) -> Tensor:
    if activation == "relu":
        y = torch.mm(w, x)
        kernels.relu(y.numpy(), b.numpy())
        return y
    y = torch.addmm(b.unsqueeze(1), w, x)
    return y.sigmoid_() if activation == "sigmoid" else y


def linear_forward(x: Tensor, w: Tensor, b: Tensor, activation: Activation) -> tuple[Tensor, SavedLinear]:
    y = linear(x, w, b, activation)
    return y, SavedLinear(x, w, y, activation)


def linear_backward(saved: SavedLinear, grad: Tensor, *, w: Tensor, b: Tensor, need_x: bool) -> Tensor | None:
    dz = grad
    if saved.activation == "none":
        b.add_(dz.sum(1))
    else:
        dz = saved.y
        backward = kernels.relu_backward if saved.activation == "relu" else kernels.sigmoid_backward
        backward(dz.numpy(), grad.numpy(), b.numpy())
    w.addmm_(dz, saved.x.T)
    return torch.mm(saved.w.T, dz) if need_x else None


def squared_error(output: Tensor, targets: Tensor, weights: Tensor | None, start: int, factor: float) -> tuple[float, Tensor]:
    grad = torch.empty_like(output)
    weight_array = _array(weights, targets.shape[1])
    return kernels.squared_error(output.numpy(), targets.numpy(), weight_array, start, factor, grad.numpy()), grad
