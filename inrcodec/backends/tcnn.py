"""Hash-grid tables to and from tiny-cuda-nn, whose PyTorch module `tinycudann` is used where it is installed and needed by nothing here.

Its parameters are one vector: the tables of the levels one behind the other, each row by row, the features of a row side by side. Its
coordinates are in [0, 1], in the reverse order of ours. Both have the same definition of a level: see networks/hashgrid.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from inrcodec.errors import BackendMissing
from inrcodec.networks.hashgrid import Level, tcnn_levels

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class TcnnGrid:
    """What a grid is made from there. log2_entries: of a hashed grid, at most; None for a dense one."""

    d: int
    count: int  # of levels
    features: int  # per level
    base_resolution: int
    per_level_scale: float
    log2_entries: int | None

    def __post_init__(self) -> None:
        if self.d not in (2, 3, 4):
            raise ValueError(f"d: expected 2, 3 or 4, got {self.d}")
        if self.features not in (1, 2, 4, 8):
            raise ValueError(f"features: expected 1, 2, 4 or 8, got {self.features}")

    @property
    def levels(self) -> tuple[Level, ...]:
        return tcnn_levels(
            d=self.d,
            levels=self.count,
            base_resolution=self.base_resolution,
            per_level_scale=self.per_level_scale,
            log2_entries=self.log2_entries,
        )

    @property
    def parameters(self) -> int:
        return self.features * sum(level.entries for level in self.levels)

    def config(self) -> dict[str, Any]:
        """The encoding as tiny-cuda-nn's JSON has it."""
        shared = {
            "otype": "Grid",
            "n_levels": self.count,
            "n_features_per_level": self.features,
            "base_resolution": self.base_resolution,
            "per_level_scale": self.per_level_scale,
            "interpolation": "Linear",
        }
        if self.log2_entries is None:
            return {**shared, "type": "Dense"}
        return {**shared, "type": "Hash", "log2_hashmap_size": self.log2_entries}


def to_tcnn(grid: TcnnGrid, tables: Sequence[Tensor]) -> Tensor:
    """The vector of parameters (p,) of tables (entries, features) of the grid's levels. Raises ValueError if they are not of its shapes."""
    expected = [(level.entries, grid.features) for level in grid.levels]
    if [tuple(table.shape) for table in tables] != expected:
        raise ValueError(f"tables: expected shapes {expected}, got {[tuple(table.shape) for table in tables]}")
    return torch.cat([table.reshape(-1) for table in tables])


def from_tcnn(grid: TcnnGrid, parameters: Tensor) -> tuple[Tensor, ...]:
    """The tables (entries, features) of the grid's levels in a vector of parameters (p,), as float32."""
    if parameters.shape != (grid.parameters,):
        raise ValueError(f"parameters: expected shape ({grid.parameters},), got {tuple(parameters.shape)}")
    sizes = [level.entries * grid.features for level in grid.levels]
    return tuple(part.view(-1, grid.features) for part in parameters.float().split(sizes))


def to_tcnn_points(x: Tensor) -> Tensor:
    """Our coordinates (n, d) in [-1, 1] as tiny-cuda-nn takes them, float32."""
    return ((x + 1.0) * 0.5).flip(1).float().contiguous()


def require() -> Any:
    """tiny-cuda-nn's module. Raises BackendMissing where it is not installed."""
    try:
        import tinycudann
    except (ImportError, OSError) as error:  # OSError: it asks for a device when it is imported
        raise BackendMissing("tinycudann: not installed, or without a CUDA device; see github.com/NVlabs/tiny-cuda-nn") from error
    return tinycudann


def encoding(grid: TcnnGrid, tables: Sequence[Tensor]) -> Any:
    """tiny-cuda-nn's own module of a grid with these tables, in float32. Raises BackendMissing where it is not installed."""
    parameters = to_tcnn(grid, tables)
    made = require().Encoding(grid.d, grid.config(), dtype=torch.float32)
    with torch.no_grad():
        made.params.copy_(parameters)
    return made
