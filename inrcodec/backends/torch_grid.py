"""Hash-grid features. On a lattice interpolation is separable, so it is one small matrix product per axis and level.

A fine level has far more vertices than samples per axis; there the axes before the last are interpolated from gathered rows.
At scattered points it is a weighted sum of 2^d gathered rows, 4^d where it is cubic.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.coordinates import Lattice
from inrcodec.networks.hashgrid import PRIMES, AxisWeights, Level, axis_weights, block_rows, interpolation_matrix, tap_weights

Tensor = torch.Tensor
GATHER_FROM = 192  # touched vertices per axis from which gathering two rows beats a matrix product (measured on CPUs)


@dataclass(frozen=True, eq=False)
class PreparedAxis:
    """Interpolation along one axis, (m samples, r touched vertices): as a matrix, or as the rows from one on and their weights."""

    matrix: Tensor | None  # (m, r)
    lower: Tensor | None  # (m,)
    weights: Tensor | None  # (taps, m, 1)
    touched: int

    def apply(self, block: Tensor) -> Tensor:
        """(r, ...) -> (m, ...)."""
        flat = block.reshape(self.touched, -1)
        if self.matrix is not None:
            result = self.matrix @ flat
        else:
            assert self.lower is not None and self.weights is not None
            result = flat.index_select(0, self.lower) * self.weights[0]
            for tap in range(1, len(self.weights)):
                result.addcmul_(flat.index_select(0, self.lower + tap), self.weights[tap])
        return result.view(-1, *block.shape[1:])

    def transpose(self, block: Tensor) -> Tensor:
        """The adjoint of `apply`: (m, ...) -> (r, ...)."""
        flat = block.reshape(block.shape[0], -1)
        if self.matrix is not None:
            result = self.matrix.T @ flat
        else:
            assert self.lower is not None and self.weights is not None
            result = flat.new_zeros((self.touched, flat.shape[1]))
            for tap, weight in enumerate(self.weights):
                result.index_add_(0, self.lower + tap, flat * weight)
        return result.view(-1, *block.shape[1:])


@dataclass(frozen=True, eq=False)
class TouchedRows:
    """Table rows of the touched block: consecutive ones as a slice, else their numbers."""

    rows: slice | Tensor

    def read(self, table: Tensor) -> Tensor:
        return table[self.rows] if isinstance(self.rows, slice) else table.index_select(0, self.rows)

    def add(self, table: Tensor, values: Tensor) -> None:
        if isinstance(self.rows, slice):
            table[self.rows] += values
        else:
            table.index_add_(0, self.rows, values)


@dataclass(frozen=True, eq=False)
class PreparedLevel:
    """A level on one lattice: the block of the table that is touched, and interpolation per axis."""

    rows: TouchedRows
    axes: tuple[PreparedAxis, ...]
    samples: tuple[int, ...]  # of the lattice


def prepare_level(lattice: Lattice, level: Level, stretch: tuple[float, ...], device: torch.device) -> PreparedLevel:
    axes = [axis_weights(axis, level, factor) for axis, factor in zip(lattice.axes, stretch, strict=True)]
    return PreparedLevel(
        rows=_touched_rows(block_rows(axes, level), device),
        axes=(*(_prepare_axis(a, device, gather=True) for a in axes[:-1]), _prepare_axis(axes[-1], device, gather=False)),
        samples=lattice.shape,
    )


def _touched_rows(block: NDArray[np.int64] | None, device: torch.device) -> TouchedRows:
    if block is None:
        return TouchedRows(slice(None))
    rows = block.reshape(-1)
    first = int(rows[0])
    if np.array_equal(rows, np.arange(first, first + len(rows))):
        return TouchedRows(slice(first, first + len(rows)))
    return TouchedRows(torch.as_tensor(rows, device=device))


def _prepare_axis(axis: AxisWeights, device: torch.device, *, gather: bool) -> PreparedAxis:
    touched = axis.stop - axis.start
    if gather and touched >= GATHER_FROM:
        weights = torch.as_tensor(axis.weights, device=device).unsqueeze(2)
        return PreparedAxis(None, torch.as_tensor(axis.lower, device=device), weights, touched)
    return PreparedAxis(torch.as_tensor(interpolation_matrix(axis), device=device), None, None, touched)


def grid_on_lattice(levels: Sequence[PreparedLevel], tables: Sequence[Tensor]) -> Tensor:
    """Features (l * k, n) of `levels` from their tables (entries, k)."""
    k = tables[0].shape[1]
    out = tables[0].new_empty((len(levels) * k, math.prod(levels[0].samples)))
    for i, (level, table) in enumerate(zip(levels, tables, strict=True)):
        block = level.rows.read(table).view(*(axis.touched for axis in level.axes), k)
        for number, axis in enumerate(level.axes[:-1]):
            block = axis.apply(block.movedim(number, 0)).movedim(0, number)
        last = level.axes[-1]
        flat = block.movedim(-1, 0).reshape(-1, last.touched)
        torch.mm(flat, last.matrix.T, out=out[i * k : (i + 1) * k].view(-1, level.samples[-1]))  # type: ignore[union-attr]
    return out


def grid_on_lattice_backward(levels: Sequence[PreparedLevel], grad: Tensor, tables: Sequence[Tensor]) -> None:
    """Add the gradients, from that of the features (l * k, n), to `tables`, shaped as the levels' tables."""
    for i, (level, table) in enumerate(zip(levels, tables, strict=True)):
        k, last = table.shape[1], level.axes[-1]
        flat = grad[i * k : (i + 1) * k].view(-1, level.samples[-1]) @ last.matrix  # type: ignore[operator]
        block = flat.view(k, *level.samples[:-1], last.touched).movedim(0, -1)
        for number in reversed(range(len(level.axes) - 1)):
            block = level.axes[number].transpose(block.movedim(number, 0)).movedim(0, number)
        level.rows.add(table, block.reshape(-1, k))


def corners_at_points(points: Tensor, level: Level) -> tuple[Tensor, Tensor]:
    """Table rows and float32 weights (taps^d, n) of the vertices around points (n, d) float64, as `hashgrid.corners` has them.

    Differentiable in the points, where the weights are.
    """
    x = ((points + 1.0) * 0.5).float()
    # A float32 product is exact in float64, so this rounds once, as fma does.
    position = (level.scale * x.double() + 0.5).float()
    low = torch.floor(position.detach())
    fraction, vertex = position - low, low.long()
    n, d = points.shape
    dense, stride = level.dense(d), 1
    rows, weights = vertex.new_zeros((1, n)), fraction.new_ones((1, n))
    for k in reversed(range(d)):
        factor = stride if dense else PRIMES[d - 1 - k]
        stride *= level.resolution
        first = (vertex[:, k] & 0xFFFFFFFF) * factor & 0xFFFFFFFF
        along = [first + tap * factor & 0xFFFFFFFF for tap in range(level.taps)]
        rows = torch.cat([rows + row if dense else rows ^ row for row in along])
        weights = torch.cat([weights * weight for weight in tap_weights(fraction[:, k], level.taps)])
    return (rows & 0xFFFFFFFF) % level.entries, weights


def features_at_points(corners: tuple[Tensor, Tensor], table: Tensor) -> Tensor:
    """Features (k, n) from rows and weights (taps^d, n) of corners and a table (entries, k)."""
    rows, weights = corners
    values = table.index_select(0, rows.reshape(-1)).view(*rows.shape, table.shape[1])
    return (values * weights.unsqueeze(2)).sum(0).T


def features_at_points_backward(corners: tuple[Tensor, Tensor], grad: Tensor, table: Tensor) -> None:
    """Add the gradient, from that of the features (k, n), to `table` (entries, k)."""
    rows, weights = corners
    table.index_add_(0, rows.reshape(-1), (weights.unsqueeze(2) * grad.T).reshape(-1, table.shape[1]))
