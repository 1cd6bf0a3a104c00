"""Hash-grid features on a lattice: multilinear interpolation is separable, so it is one small matrix product per axis and level.

A fine level has far more vertices than samples per axis; there the axes before the last are interpolated from two gathered rows each.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from inrcodec.coordinates import Lattice
from inrcodec.networks.hashgrid import AxisWeights, Level, axis_weights, block_rows, interpolation_matrix

Tensor = torch.Tensor
GATHER_FROM = 192  # touched vertices per axis from which gathering two rows beats a matrix product (measured on CPUs)


@dataclass(frozen=True, eq=False)
class PreparedAxis:
    """Interpolation along one axis, (m samples, r touched vertices): as a matrix, or as two rows and a weight."""

    matrix: Tensor | None  # (m, r)
    lower: Tensor | None  # (m,)
    weight: Tensor | None  # (m, 1)
    touched: int

    def apply(self, block: Tensor) -> Tensor:
        """(r, ...) -> (m, ...)."""
        flat = block.reshape(self.touched, -1)
        if self.matrix is not None:
            result = self.matrix @ flat
        else:
            assert self.lower is not None and self.weight is not None
            result = torch.lerp(flat.index_select(0, self.lower), flat.index_select(0, self.lower + 1), self.weight)
        return result.view(-1, *block.shape[1:])

    def transpose(self, block: Tensor) -> Tensor:
        """The adjoint of `apply`: (m, ...) -> (r, ...)."""
        flat = block.reshape(block.shape[0], -1)
        if self.matrix is not None:
            result = self.matrix.T @ flat
        else:
            assert self.lower is not None and self.weight is not None
            upper = flat * self.weight
            result = flat.new_zeros((self.touched, flat.shape[1]))
            result.index_add_(0, self.lower, flat - upper).index_add_(0, self.lower + 1, upper)
        return result.view(-1, *block.shape[1:])


@dataclass(frozen=True, eq=False)
class PreparedLevel:
    """A level on one lattice: table rows of the touched block (None: the table itself), and interpolation per axis."""

    rows: Tensor | None  # (block size,)
    axes: tuple[PreparedAxis, ...]
    samples: tuple[int, ...]  # of the lattice
    lattice: Lattice  # held so that the identities of its axes stay taken


def prepare_level(lattice: Lattice, level: Level, device: torch.device) -> PreparedLevel:
    axes = [axis_weights(axis, level) for axis in lattice.axes]
    rows = block_rows(axes, level)
    return PreparedLevel(
        rows=None if rows is None else torch.as_tensor(rows.reshape(-1), device=device),
        axes=(*(_prepare_axis(a, device, gather=True) for a in axes[:-1]), _prepare_axis(axes[-1], device, gather=False)),
        samples=lattice.shape,
        lattice=lattice,
    )


def _prepare_axis(axis: AxisWeights, device: torch.device, *, gather: bool) -> PreparedAxis:
    touched = axis.stop - axis.start
    if gather and touched >= GATHER_FROM:
        weight = torch.as_tensor(axis.weight, device=device).unsqueeze(1)
        return PreparedAxis(None, torch.as_tensor(axis.lower, device=device), weight, touched)
    return PreparedAxis(torch.as_tensor(interpolation_matrix(axis), device=device), None, None, touched)


class GridOnLattice(torch.autograd.Function):
    """Features (l * k, n) of `levels` from their tables (entries, k)."""

    @staticmethod
    def forward(ctx: Any, levels: list[PreparedLevel], *tables: Tensor) -> Tensor:
        ctx.levels, ctx.shapes = levels, [t.shape for t in tables]
        k = tables[0].shape[1]
        out = tables[0].new_empty((len(levels) * k, math.prod(levels[0].samples)))
        for i, (level, table) in enumerate(zip(levels, tables, strict=True)):
            rows = table if level.rows is None else table.index_select(0, level.rows)
            block = rows.view(*(axis.touched for axis in level.axes), k)
            for number, axis in enumerate(level.axes[:-1]):
                block = axis.apply(block.movedim(number, 0)).movedim(0, number)
            last = level.axes[-1]
            flat = block.movedim(-1, 0).reshape(-1, last.touched)
            torch.mm(flat, last.matrix.T, out=out[i * k : (i + 1) * k].view(-1, level.samples[-1]))  # type: ignore[union-attr]
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        grad = grads[0].contiguous()
        result: list[Tensor | None] = [None]
        for i, (level, shape) in enumerate(zip(ctx.levels, ctx.shapes, strict=True)):
            k, last = shape[1], level.axes[-1]
            flat = grad[i * k : (i + 1) * k].view(-1, level.samples[-1]) @ last.matrix
            block = flat.view(k, *level.samples[:-1], last.touched).movedim(0, -1)
            for number in reversed(range(len(level.axes) - 1)):
                block = level.axes[number].transpose(block.movedim(number, 0)).movedim(0, number)
            rows = block.reshape(-1, k)
            result.append(rows if level.rows is None else rows.new_zeros(shape).index_add_(0, level.rows, rows))
        return tuple(result)
