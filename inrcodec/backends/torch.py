"""The PyTorch engine: decodes and, with torch_tape.py, fits, on a CPU or a CUDA device."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends import torch_layers
from inrcodec.backends.base import PIECE, Evaluate, compile_eagerly
from inrcodec.backends.threads import Team, team
from inrcodec.backends.torch_grid import corners_at_points, features_at_points, grid_on_lattice
from inrcodec.backends.torch_layers import reduced, row_groups
from inrcodec.backends.torch_prepared import Prepared, row_of, tensor_points
from inrcodec.coordinates import Lattice, Points
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.waves import activate
from inrcodec.ops import Activation, Constant, Coordinates, Wave

Tensor = torch.Tensor
MAX_THREADS = 8  # side by side; more wait for each other, since what is between two operations runs under Python's lock
DEVICE_PIECE = 1 << 17  # samples of one pass on a CUDA device: launches cost more there than a cache saves
PRECISIONS = {"float32": "ieee", "tf32x3": "tf32x3", "tf32": "tf32"}  # as torch_triton.TritonLayers has them
DECODE_MEMO_ENTRIES = 64  # a decode uses an axis for one row of tiles only


class TorchOps:
    """The operations of ops.py on float32 tensors of one device, all held as (features, samples): see `layers_of`.

    Where autograd is to follow (grad mode is on and something requires a gradient) they are composed of PyTorch's differentiable
    operations, and a lattice is its points: exact, and slow beside torch_tape.py. Coordinates given as a tensor are followed too.
    """

    def __init__(self, device: torch.device, *, memo_entries: int = 4096) -> None:
        self.device = device
        self.layers: Any = layers_of(device)
        self.prepared = Prepared(device, memo_entries)

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
        h = len(w)
        scale = self.prepared.amplitude(amplitude, h)
        phase = b * self.prepared.vector(bias_scale, h)
        if isinstance(coords, Lattice) and not _followed(w, b, mask):
            leading, last = self.prepared.sines(coords, w, weight_scale, frozen=True)
            return cast(Tensor, self.layers.sine_on_lattice(leading, last, phase, scale, mask, widths))
        x = tensor_points(coords, self.device)
        frequency = w.double() * self.prepared.double(weight_scale)
        if not _followed(x, w, b, mask):
            return cast(Tensor, self.layers.sine_at_points(x, frequency, phase, scale, mask, widths))
        out = torch.sin(reduced(frequency @ x.T + phase.double().unsqueeze(1)))
        if scale is not None:
            out = out * scale.unsqueeze(1)
        return out if mask is None else scale_rows(out, mask, widths)

    def sine_layer(self, x: Tensor, w: Tensor, b: Tensor, *, omega: Constant, amplitude: Constant, mask: Tensor | None) -> Tensor:
        h = len(w)
        factor, scale = self.prepared.vector(omega, h), self.prepared.amplitude(amplitude, h)
        if not _followed(x, w, b, mask):
            return cast(Tensor, self.layers.sine_layer(x, w, b, factor, scale, mask))
        out = torch.sin(factor.unsqueeze(1) * (w @ x + b.unsqueeze(1)))
        if scale is not None:
            out = out * scale.unsqueeze(1)
        return out if mask is None else scale_rows(out, mask, torch_layers.equal_widths(h, mask))

    def hash_grid(self, coords: Coordinates, tables: list[Tensor], levels: tuple[Level, ...], stretch: tuple[float, ...]) -> Tensor:
        if isinstance(coords, Lattice) and not _followed(*tables):
            return grid_on_lattice([self.prepared.level(coords, level, stretch) for level in levels], tables)
        x = stretched(tensor_points(coords, self.device), stretch)
        if _followed(x, *tables):
            return torch.cat([_followed_features(x, table, level) for table, level in zip(tables, levels, strict=True)])
        return cast(Tensor, self.layers.grid_at_points(x, tables, levels))

    def linear(self, x: Tensor, w: Tensor, b: Tensor, *, activation: Activation = "none") -> Tensor:
        if x.dtype == w.dtype and not _followed(x, w, b):
            return cast(Tensor, self.layers.linear(x, w, b, activation))
        y = (w.to(x.dtype) @ x).to(w.dtype) + b.unsqueeze(1)
        return torch.relu(y) if activation == "relu" else torch.sigmoid(y) if activation == "sigmoid" else y

    def columns(self, x: Tensor, start: int, stop: int) -> Tensor:
        return x[start:stop]

    def join(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x, y])

    def coordinates(self, coords: Coordinates) -> Tensor:
        return self.prepared.points(coords).T.float()

    def fourier(self, coords: Coordinates, w: Tensor, *, weight_scale: float) -> Tensor:
        frequency = torch.as_tensor(w, device=self.device).double() * weight_scale
        angle = reduced(frequency @ self.prepared.points(coords).T)
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
        values = self.prepared.points(x).T if isinstance(x, Points | Lattice) else x
        if _followed(values, w, b, *tensors):
            # In training speed counts for more; the first layer's argument is formed in float64 even then.
            z = (w.to(values.dtype) @ values).to(w.dtype) + b.unsqueeze(1)
            return cast(Tensor, activate(torch, z, wave, constants, tensors, 0))
        z = w.double() @ values.double() + b.double().unsqueeze(1)
        return cast(Tensor, activate(torch, z, wave, constants, [t.double() for t in tensors], 0))

    def complex_matrix(self, w: Tensor) -> Tensor:
        real, imaginary = w.chunk(2)
        return torch.cat([torch.cat([real, -imaginary], 1), torch.cat([imaginary, real], 1)])

    def radial(self, coords: Coordinates, centres: Tensor, scales: Tensor) -> Tensor:
        x = self.prepared.points(coords).T
        apart = scales.double().unsqueeze(2) * (x.unsqueeze(0) - centres.double().unsqueeze(2))
        return (1 / (1 + (apart**2).sum(1))).to(centres.dtype)

    def ramps(self, t: Tensor, count: int) -> Tensor:
        return (count * t - torch.arange(count, dtype=t.dtype, device=t.device).unsqueeze(1)).clamp(0, 1)

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        return x * y


def _followed(*tensors: Tensor | None) -> bool:
    """Whether autograd is to follow an operation on these."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def stretched(x: Tensor, stretch: tuple[float, ...]) -> Tensor:
    """Points x (n, d) float64 as a grid sees them."""
    return x if all(factor == 1.0 for factor in stretch) else x * row_of(stretch, x.device)


def _followed_features(x: Tensor, table: Tensor, level: Level) -> Tensor:
    """Corner by corner, so that a table's gradient is a sum of sums, which rounds less than one of all."""
    rows, weights = corners_at_points(x, level)
    features = [features_at_points((row.unsqueeze(0), weight.unsqueeze(0)), table) for row, weight in zip(rows, weights, strict=True)]
    return torch.stack(features).sum(0)


def scale_rows(h: Tensor, mask: Tensor, widths: tuple[int, ...]) -> Tensor:
    """The last sum(widths) rows of h (f, n), group by group, times mask (g, n)."""
    head = h[: h.shape[0] - sum(widths)]
    return torch.cat([head, *(group * row for group, row in zip(row_groups(h, widths), mask, strict=True))])


def layers_of(device: torch.device) -> Any:
    """torch_fused on a CPU with Numba installed, torch_triton on a CUDA device where Triton runs, else torch_layers."""
    return _layers_for(device.type)


@lru_cache(maxsize=4)
def _layers_for(kind: str) -> Any:
    try:
        if kind == "cpu":
            from inrcodec.backends import torch_fused

            return torch_fused
        if kind == "cuda":
            from inrcodec.backends.torch_triton import working_layers

            return working_layers(torch.device(kind)) or torch_layers
    except ImportError:
        pass
    return torch_layers


def layers_in(device: torch.device, precision: str) -> Any:
    """`layers_of` a device with the products of sine layers in a precision of PRECISIONS: all but float32 are of Triton's kernels.

    Raises UsageError for what is not a CUDA device, BackendMissing where Triton does not run.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision}")
    layers = layers_of(device)
    if PRECISIONS[precision] == "ieee":
        return layers
    if device.type != "cuda":
        raise UsageError(f"precision: {precision} is of CUDA devices, expected float32 on {device}")
    if layers is torch_layers:
        raise BackendMissing(f"precision {precision}: is of Triton's kernels, which do not run here; pip install 'inrcodec[triton]'")
    return replace(layers, precision=PRECISIONS[precision])


def threads_of(device: torch.device) -> int:
    """How many threads work best side by side on `device`: see threads.py. Plain layers cut every operation among the cores instead."""
    if device.type != "cpu" or layers_of(device) is torch_layers:
        return 1
    return min(torch.get_num_threads(), MAX_THREADS)


def piece_of(device: torch.device, usual: int) -> int:
    """Samples of one pass through the trunk, `usual` on a CPU."""
    return usual if device.type == "cpu" else DEVICE_PIECE


class TorchEngine:
    """PyTorch on one device; used for decoding without gradients."""

    name = "torch"

    def __init__(self, device: torch.device) -> None:
        self.ops = TorchOps(device, memo_entries=DECODE_MEMO_ENTRIES)
        self.device = device

    def crew(self) -> AbstractContextManager[Team]:
        return team(threads_of(self.device))

    def compile(self, network: Network, config: Any, params: Mapping[str, NDArray[np.float32]]) -> Evaluate:
        return compile_eagerly(self, network, config, params, piece=piece_of(self.device, PIECE))

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
