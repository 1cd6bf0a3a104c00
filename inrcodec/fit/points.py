"""A shape as the trainer sees it: signed distances at points, from a pool or drawn afresh for every step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch import piece_of
from inrcodec.coordinates import Points
from inrcodec.fit.data import PIECE, Batch, Kept
from inrcodec.fit.plan import Sampling
from inrcodec.signals.shape_signal import ShapeSignal

Tensor = torch.Tensor
FINER_CYCLE = 50  # steps after which losses are compared
_NEAR_SHARE = 0.6  # of the pool


@dataclass(frozen=True, eq=False)
class PointPart:
    """What one thread works on: points of a batch, and which of its samples they are."""

    coords: Points
    samples: slice
    size: int  # samples of one pass
    window: int = 0

    def pieces(self) -> Iterator[tuple[Points, slice]]:
        for start in range(0, self.coords.n, self.size):
            stop = min(start + self.size, self.coords.n)
            yield self.coords.slice(start, stop), slice(start, stop)


def point_parts(coords: NDArray[np.float64] | Tensor, parts: int, device: torch.device) -> tuple[PointPart, ...]:
    """Points (n, d) in `parts` of about equal length, fewer if they would be less than a piece; on a GPU they lie there."""
    if isinstance(coords, np.ndarray) and device.type == "cuda":
        coords = _on_device(coords, device)
    n, size = len(coords), piece_of(device, PIECE)
    count = max(1, min(parts, n // size))
    borders = [n * k // count for k in range(count + 1)]
    return tuple(PointPart(Points(coords[a:b]), slice(a, b), size) for a, b in pairwise(borders))  # type: ignore[arg-type]


def tensors_of(batch: Batch) -> tuple[Tensor, ...]:
    """All that differs between fresh batches of as many points: targets, weights, and the coordinates of every part."""
    assert batch.weights is not None
    return batch.targets, batch.weights, *(torch.as_tensor(part.coords.values) for part in batch.parts)  # type: ignore[union-attr]


def with_tensors(batch: Batch, tensors: Sequence[Tensor]) -> Batch:
    """`batch` with other `tensors_of`."""
    targets, weights, *coords = tensors
    parts = tuple(
        replace(part, coords=Points(values))  # type: ignore[type-var, arg-type]
        for part, values in zip(batch.parts, coords, strict=True)
    )
    return Batch(targets, weights, parts, batch.count)


@dataclass(frozen=True, eq=False)
class PointPool:
    """Points in random order, one batch after the other: network coordinates (n, d), targets and weights (1, n).

    The distance in sides of the box is what the network gives; a value is scale * distance + 0.5.
    """

    coords: NDArray[np.float64]
    targets: Tensor
    weights: Tensor
    size: int  # samples of a batch
    scale: float
    parts: int
    kept: Kept
    shows_psnr: bool = False
    fresh: bool = False

    @property
    def samples(self) -> int:
        return len(self.coords)

    @cached_property
    def variance(self) -> float:
        return _variance(self.targets, self.scale)

    def phase_indices(self) -> list[tuple[int, ...]]:
        return [(k,) for k in range(max(1, self.samples // self.size))]

    def batch(self, phase: tuple[int, ...], step: int) -> Batch:
        return self.kept.batch(phase, self._made)

    def _made(self, phase: tuple[int, ...]) -> Batch:
        last = phase[0] + 1 == len(self.phase_indices())
        chosen = slice(phase[0] * self.size, self.samples if last else (phase[0] + 1) * self.size)
        targets, weights = (t[:, chosen].contiguous() for t in (self.targets, self.weights))
        return Batch(targets, weights, point_parts(self.coords[chosen], self.parts, targets.device), targets.numel())

    def between(self, step: int) -> None:
        """Points are everywhere."""
        return


@dataclass(frozen=True, eq=False)
class FinerPoints:
    """Batches of the FINER protocol, each drawn from the seed and its step alone."""

    signal: ShapeSignal
    size: int
    scale: float
    seed: int
    device: torch.device
    parts: int
    shows_psnr: bool = False
    fresh: bool = True

    @property
    def samples(self) -> int:
        return FINER_CYCLE * self.size

    @cached_property
    def variance(self) -> float:
        return _variance(self.batch((0,), 0).targets, self.scale)

    def phase_indices(self) -> list[tuple[int, ...]]:
        return [(k,) for k in range(FINER_CYCLE)]

    def batch(self, phase: tuple[int, ...], step: int) -> Batch:
        points, targets, weights = self.signal.sampler.finer_batch(np.random.default_rng([self.seed, 2, step]), self.size)
        parts = point_parts(self.signal.coordinates(points), self.parts, self.device)
        return Batch(_row(targets, self.device), _row(weights, self.device), parts, len(targets))

    def between(self, step: int) -> None:
        """Points are everywhere."""
        return


def training_points(signal: ShapeSignal, sampling: Sampling, *, seed: int, device: torch.device, parts: int) -> PointPool | FinerPoints:
    """The points that `signal.protocol` trains on."""
    scale = value_scale(signal)
    if signal.protocol == "finer":
        return FinerPoints(signal, sampling.batch, scale, seed, device, parts)
    near = int(_NEAR_SHARE * sampling.pool)
    points, distances = signal.sampler.surface_pool(np.random.default_rng([seed, 2]), near=near, wide=sampling.pool - near)
    weights = near_weights(distances, sampling.softness)
    return PointPool(signal.coordinates(points), _row(distances, device), _row(weights, device), sampling.batch, scale, parts, Kept(device))


def value_scale(signal: ShapeSignal) -> float:
    """Value per side of the box: values are in [0, 1], 0.5 on the surface."""
    return 0.5 / signal.reach


def near_weights(distances: NDArray[np.float64], softness: float) -> NDArray[np.float64]:
    """Weights (n,) with mean 1 that make an error count relative to the distance (n,), or to `softness` where that is larger."""
    weights: NDArray[np.float64] = 1 / (np.abs(distances) + softness) ** 2
    return np.asarray(weights / weights.mean())


def _row(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return _on_device(values.astype(np.float32)[None], device)


def _on_device(values: NDArray[np.floating], device: torch.device) -> Tensor:
    """`values` there; to a GPU without waiting for the steps before."""
    held = torch.as_tensor(values)
    return held.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else held.to(device)


def _variance(targets: Tensor, scale: float) -> float:
    """Of values. Weights would make the best constant, the surface everywhere, look better than a network that is being born."""
    return float(targets.var(unbiased=False)) * scale**2
