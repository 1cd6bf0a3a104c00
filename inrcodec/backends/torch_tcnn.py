"""Hash grids at points by tiny-cuda-nn in a fit on a CUDA device; all else by other layers.

It makes a level's scale from a base and a factor. One of ours is the second of two levels of base 2, whose first is a few rows that
nothing reads, or, where its scale is a whole number, the only one. Tables are padded to the rows that it has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inrcodec.backends.tcnn import TcnnGrid, encoding, from_tcnn, require, to_tcnn, to_tcnn_points
from inrcodec.errors import UsageError
from inrcodec.networks.hashgrid import Level

Tensor = torch.Tensor
BASE = 2
SCALE = 1e-6  # relative: a scale goes by way of its logarithm


@dataclass(frozen=True, eq=False)
class SavedGrid:
    outputs: tuple[Tensor, ...]  # (k, n) of each level, with their graphs
    parameters: tuple[Tensor, ...]


class TcnnLayers:
    """`layers`, but grids at points by tiny-cuda-nn. Raises BackendMissing where that is not installed."""

    def __init__(self, layers: Any) -> None:
        require()
        self._layers = layers
        self._modules: dict[tuple[Level, int, int], tuple[TcnnGrid, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layers, name)

    def grid_at_points(self, x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> Tensor:
        """torch_layers.grid_at_points."""
        return self.grid_at_points_forward(x, tables, levels)[0]

    def grid_at_points_forward(self, x: Tensor, tables: Sequence[Tensor], levels: Sequence[Level]) -> tuple[Tensor, SavedGrid]:
        """torch_layers.grid_at_points_forward."""
        points, outputs, parameters = to_tcnn_points(x), [], []
        for level, table in zip(levels, tables, strict=True):
            grid, module = self._module(level, x.shape[1], table)
            with torch.no_grad():
                module.params.copy_(to_tcnn(grid, _padded(grid, table)))
            with torch.enable_grad():
                outputs.append(module(points)[:, -table.shape[1] :].T)
            parameters.append(module.params)
        out = torch.cat([output.detach().float() for output in outputs])
        return out, SavedGrid(tuple(outputs), tuple(parameters))

    def grid_at_points_backward(self, saved: SavedGrid, grad: Tensor, tables: Sequence[Tensor]) -> None:
        """torch_layers.grid_at_points_backward."""
        parts = torch.split(grad, [table.shape[1] for table in tables])
        modules = {id(module.params): grid for grid, module in self._modules.values()}
        for output, parameters, part, table in zip(saved.outputs, saved.parameters, parts, tables, strict=True):
            (found,) = torch.autograd.grad(output, parameters, part.to(output.dtype))
            table.add_(from_tcnn(modules[id(parameters)], found)[-1][: len(table)])

    def _module(self, level: Level, d: int, table: Tensor) -> tuple[TcnnGrid, Any]:
        key = (level, d, table.shape[1])
        if key not in self._modules:
            grid = grid_of(level, d, table.shape[1])
            self._modules[key] = (grid, encoding(grid, _padded(grid, table)))
        return self._modules[key]


def grid_of(level: Level, d: int, features: int) -> TcnnGrid:
    """The grid whose last level is this one. Raises UsageError for what tiny-cuda-nn has not."""
    base = level.scale + 1.0
    log2_entries = None if level.dense(d) else level.entries.bit_length() - 1
    whole = float(base).is_integer()
    try:
        grid = TcnnGrid(
            d=d,
            count=1 if whole else 2,
            features=features,
            base_resolution=int(base) if whole else BASE,
            per_level_scale=1.0 if whole else base / BASE,
            log2_entries=log2_entries,
        )
    except ValueError as error:
        raise UsageError(f"hash_backend tcnn: {error}") from error
    found = grid.levels[-1]
    same = found.resolution == level.resolution and math.isclose(found.scale, level.scale, rel_tol=SCALE)
    rows = found.entries >= level.entries if log2_entries is None else found.entries == level.entries
    if level.taps != 2 or not same or not rows:
        raise UsageError(
            f"hash_backend tcnn: expected linear levels of 2^k rows, or dense ones, of resolution ceil(scale) + 1, got {level}"
        )
    return grid


def _padded(grid: TcnnGrid, table: Tensor) -> list[Tensor]:
    """The tables of all levels of `grid`, that of the last padded with zeros."""
    shapes = [(level.entries, grid.features) for level in grid.levels]
    before = [table.new_zeros(shape) for shape in shapes[:-1]]
    return [*before, torch.cat([table, table.new_zeros(shapes[-1][0] - len(table), grid.features)])]
