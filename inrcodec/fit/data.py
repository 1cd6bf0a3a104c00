"""A signal as the trainer sees it: targets on a lattice, cut into random-phase strided sub-lattices; and what the trainer asks of any."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch import piece_of
from inrcodec.coordinates import Lattice, sample_centres, strided
from inrcodec.fit.between import doubled
from inrcodec.ops import Coordinates

Tensor = torch.Tensor
PIECE = 2048  # samples of one pass through the trunk, forward and backward, on a CPU


class Part(Protocol):
    """What one thread works on: coordinates of a batch, and which of its samples they are."""

    @property
    def coords(self) -> Coordinates: ...

    @property
    def samples(self) -> slice: ...

    @property
    def window(self) -> int:
        """Whose network they are for."""
        ...

    def pieces(self) -> Iterator[tuple[Coordinates, slice]]:
        """Coordinates of the samples of one pass each, and which of the part's samples they are."""
        ...


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples of one step: targets and weights (c, n), in parts. Its error is the mean over `count` values."""

    targets: Tensor
    weights: Tensor | None
    parts: Sequence[Part]
    count: int


class Kept:
    """Batches by phase, made once where they are kept: on a GPU, where a step can then be captured with its batch.

    On a CPU making one anew costs less than holding all of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._found: dict[tuple[int, ...], Batch] | None = None if device.type == "cpu" else {}

    def batch(self, phase: tuple[int, ...], make: Callable[[tuple[int, ...]], Batch]) -> Batch:
        if self._found is None:
            return make(phase)
        if phase not in self._found:
            self._found[phase] = make(phase)
        return self._found[phase]


class Data(Protocol):
    """Targets y with value = scale * y + an offset, in batches; a cycle is one batch of every phase."""

    @property
    def scale(self) -> float: ...

    @property
    def samples(self) -> int:
        """Over which the rate of the file is spread."""
        ...

    @property
    def parts(self) -> int:
        """The most parts of a batch."""
        ...

    @property
    def variance(self) -> float:
        """The loss of the best constant."""
        ...

    @property
    def shows_psnr(self) -> bool:
        """Whether the loss says the PSNR of the values."""
        ...

    @property
    def fresh(self) -> bool:
        """Whether every step has a batch of its own, whose parts are points (fit/points.py)."""
        ...

    def phase_indices(self) -> list[tuple[int, ...]]: ...

    def batch(self, phase: tuple[int, ...], step: int) -> Batch:
        """The batch of a phase, in step number `step`: the same whenever it is asked for."""
        ...

    def between(self, step: int) -> Batch | None:
        """A batch of what is wanted between the samples, in step number `step`; None if nothing is."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """Consecutive coordinates of the first axis, and the same in pieces; kept, so that an engine may know them by their identity."""

    axis: NDArray[np.float64]
    pieces: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, eq=False)
class LatticePart:
    """Rows of a batch, which of its samples they are, and the window they lie in."""

    coords: Lattice
    samples: slice
    rows: Rows
    window: int = 0

    def pieces(self) -> Iterator[tuple[Lattice, slice]]:
        start = 0
        for axis in self.rows.pieces:
            piece = Lattice((axis, *self.coords.axes[1:]))
            yield piece, slice(start, start + piece.n)
            start += piece.n


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingData:
    """Targets y (c, *axes) with value = scale * y + offset (c), and the axes of every phase."""

    targets: Tensor
    weights: Tensor | None
    scale: float
    offset: NDArray[np.float64]
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    phases: tuple[tuple[NDArray[np.float64], ...], ...]  # per axis, per phase
    rows: tuple[tuple[Rows, ...], ...]  # first axis: per phase, per part
    kept: Kept
    shows_psnr: bool = True
    fresh: bool = False
    finer: "TrainingData | None" = None  # what lies between the samples

    @property
    def samples(self) -> int:
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        return int(self.targets.shape[0])

    @cached_property
    def variance(self) -> float:
        return float(self.targets.var(unbiased=False)) * self.scale**2

    @property
    def parts(self) -> int:
        return max(len(rows) for rows in self.rows)

    def phase_indices(self) -> list[tuple[int, ...]]:
        return list(np.ndindex(*(len(p) for p in self.phases)))

    def batch(self, phase: tuple[int, ...], step: int = 0) -> Batch:
        return self.kept.batch(phase, self._made)

    def _made(self, phase: tuple[int, ...]) -> Batch:
        index = (slice(None), *(slice(start, None, step) for start, step in zip(phase, self.stride, strict=True)))
        c = self.channels
        weights = None if self.weights is None else self.weights[index].reshape(c, -1).contiguous()
        others = tuple(axis[k] for axis, k in zip(self.phases[1:], phase[1:], strict=True))
        parts, start = [], 0
        for rows in self.rows[phase[0]]:
            lattice = Lattice((rows.axis, *others))
            parts.append(LatticePart(lattice, slice(start, start + lattice.n), rows))
            start += lattice.n
        targets = self.targets[index].reshape(c, -1).contiguous()
        return Batch(targets, weights, tuple(parts), targets.numel())

    def between(self, step: int) -> Batch | None:
        if self.finer is None:
            return None
        phases = self.finer.phase_indices()
        # A stride that has no factor in common with their number sees all of them, neighbours far apart.
        return self.finer.batch(phases[step * 37 % len(phases)])


def training_data(
    values: NDArray[np.float32],
    weights: NDArray[np.float32] | None,
    bounds: list[tuple[float, float]],
    *,
    stride: int,
    device: torch.device,
    parts: int = 1,
    smooth: bool = False,
    offset: NDArray[np.float64] | None = None,
) -> TrainingData:
    """Data of `values` (*axes, c) in [0, 1], a batch in `parts` at most; the mean of every channel goes into the offset, if none is given.

    smooth: with batches between the samples.
    """
    shape = values.shape[:-1]
    axes = tuple(range(len(shape)))
    if offset is None:
        weighted = weights is not None and weights.any()
        mean_values = np.average(values, axis=axes, weights=weights) if weighted else values.mean(axis=axes, dtype=np.float64)
        # A float64 with few digits: the same number in every engine's arithmetic.
        offset = np.round(np.asarray(mean_values, dtype=np.float64) * 65536) / 65536
    finer = None
    if smooth:
        repeated = weights
        for axis in axes:
            repeated = None if repeated is None else repeated.repeat(2, axis)
        finer = training_data(doubled(values), repeated, bounds, stride=2 * stride, device=device, parts=parts, offset=offset)
    scale = 0.5
    targets = np.moveaxis((values - offset.astype(np.float32)) / np.float32(scale), -1, 0)
    steps = tuple(max(1, min(stride, m)) for m in shape)
    phases = tuple(
        tuple(axis.copy() for axis in strided(sample_centres(m, lo, hi), step))
        for m, (lo, hi), step in zip(shape, bounds, steps, strict=True)
    )
    per_row = math.prod(len(p[0]) for p in phases[1:])
    first = tuple(_rows(axis, per_row, parts, piece_of(device, PIECE)) for axis in phases[0])

    def on_device(array: NDArray[np.float32]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(array, dtype=np.float32), device=device)

    # The mean squared error is over samples that count: weights are 1 on average.
    mean = 0.0 if weights is None else float(weights.mean(dtype=np.float64))
    weight_tensor = None if weights is None else on_device(np.moveaxis(weights / np.float32(mean or 1.0), -1, 0))
    return TrainingData(
        targets=on_device(targets),
        weights=weight_tensor,
        scale=scale,
        offset=offset,
        shape=shape,
        stride=steps,
        phases=phases,
        rows=first,
        kept=Kept(device),
        finer=finer,
    )


def _rows(axis: NDArray[np.float64], per_row: int, parts: int, size: int) -> tuple[Rows, ...]:
    """`axis` cut into `parts` of about equal length, fewer if they would be less than a piece, each cut into pieces of `size` samples."""
    parts = max(1, min(parts, len(axis), len(axis) * per_row // size))
    rows = max(1, size // per_row)
    result = []
    for part in np.array_split(axis, parts):
        result.append(Rows(part.copy(), tuple(part[i : i + rows].copy() for i in range(0, len(part), rows))))
    return tuple(result)
