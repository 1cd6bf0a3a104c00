"""A signal of one axis as the trainer sees it in windows: the same strided part of every window in a step.

The windows hold the same coordinates, their own; a sample that two share is a target of both, weighted as the decoder weights it, so that
what is minimised bounds the error of the cross-faded samples from above.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.torch import piece_of
from inrcodec.coordinates import Lattice, strided
from inrcodec.fit.data import PIECE, Batch, Kept, LatticePart, Rows, TrainingData
from inrcodec.windows import Windows

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class WindowedData(TrainingData):
    """TrainingData whose `windowed` and `window_weights` are views (c, k windows, length) of the samples with their borders padded."""

    windowed: Tensor
    window_weights: Tensor
    fade: Tensor  # (length,) of an inner window
    threads: int

    @property
    def parts(self) -> int:
        """How many threads have something to do."""
        return min(self.threads, int(self.windowed.shape[1]))

    def _made(self, phase: tuple[int, ...]) -> Batch:
        index = (slice(None), slice(None), slice(phase[0], None, self.stride[0]))
        c, k = self.windowed.shape[:2]
        targets = self.windowed[index].reshape(c, -1).contiguous()
        weights = (self.window_weights[index] * self.fade[index[2]]).expand(c, -1, -1).reshape(c, -1).contiguous()
        (rows,) = self.rows[phase[0]]
        lattice = Lattice((rows.axis,))
        parts = tuple(LatticePart(lattice, slice(w * lattice.n, (w + 1) * lattice.n), rows, w) for w in range(k))
        return Batch(targets, weights, parts, self.samples_in_phase(phase))

    def samples_in_phase(self, phase: tuple[int, ...]) -> int:
        """Values of the signal in a phase, counted by their weights over all windows."""
        return max(1, round(self.samples * self.channels * len(self.phases[0][phase[0]]) / self.fade.numel()))


def windowed_data(data: TrainingData, windows: Windows, *, stride: int, threads: int) -> WindowedData:
    """`data` of one axis in windows; a step sees every stride-th sample of each."""
    length, half = windows.length, windows.overlap // 2
    behind = windows.count * windows.hop + windows.overlap - half - windows.n
    local = np.arange(length, dtype=np.float64) + 0.5 - half + windows.hop  # the second window: it has two neighbours
    axis = windows.local(local, 1)
    fade = np.where(local < 1.5 * windows.hop, windows.rise(local, 1), 1 - windows.rise(local, 2)).astype(np.float32)
    phases = tuple(part.copy() for part in strided(axis, min(stride, length)))
    device = data.targets.device
    rows = tuple((_pieces(part, piece_of(device, PIECE)),) for part in phases)

    def unfolded(values: Tensor) -> Tensor:
        return torch.nn.functional.pad(values, (half, behind)).unfold(1, length, windows.hop)

    weights = torch.ones((1, windows.n), device=device) if data.weights is None else data.weights
    window_weights = unfolded(weights)
    # The first and the last window have no neighbour on one side: there they count in full.
    fade_tensor = torch.as_tensor(fade, device=device)
    window_weights = window_weights.clone()
    edge = windows.overlap
    window_weights[:, 0, :edge] /= fade_tensor[:edge]
    window_weights[:, -1, length - edge :] /= fade_tensor[length - edge :]
    return WindowedData(
        targets=data.targets,
        weights=data.weights,
        scale=data.scale,
        offset=data.offset,
        shape=data.shape,
        stride=(min(stride, length),),
        phases=(phases,),
        rows=rows,
        kept=Kept(device),
        windowed=unfolded(data.targets),
        window_weights=window_weights,
        fade=fade_tensor,
        threads=threads,
    )


def _pieces(axis: NDArray[np.float64], size: int) -> Rows:
    return Rows(axis, tuple(axis[i : i + size].copy() for i in range(0, len(axis), size)))
