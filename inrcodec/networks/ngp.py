"""ngp.1: MLP with rectifiers on a multiresolution hash grid (Instant NGP, Mueller et al. 2022).

f = hash_grid(x);  h = max(W f + b, 0);  h = max(W h + b, 0) hidden_layers times;  y = W_out h + b_out
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_grid
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.mlp import MlpConfig, linear_init, matrix_macs, mlp_params, rectified

TABLE_SIZE = 1e-4  # of initial entries, as in tiny-cuda-nn


@dataclass(frozen=True)
class NgpConfig(MlpConfig):
    grid_features: int  # per level
    levels: tuple[Level, ...]
    stretch: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "grid_features", 1, 64)
        check_grid(self)

    @property
    def features(self) -> int:
        return self.grid_features * len(self.levels)


def tables(cfg: Any) -> tuple[Param, ...]:
    return tuple(Param(f"grid.{i}", (level.entries, cfg.grid_features), "table", axis=1) for i, level in enumerate(cfg.levels))


def params(cfg: NgpConfig) -> tuple[Param, ...]:
    return (*tables(cfg), *mlp_params(cfg.features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features))


def draw_tables(cfg: Any, rng: np.random.Generator) -> dict[str, Array]:
    return {param.name: rng.uniform(-TABLE_SIZE, TABLE_SIZE, param.shape).astype(np.float32) for param in tables(cfg)}


def init(cfg: NgpConfig, rng: np.random.Generator) -> dict[str, Array]:
    return draw_tables(cfg, rng) | linear_init(params(cfg)[len(cfg.levels) :], rng)


def modulate(ops: Any, cfg: Any, p: Params, coords: Any) -> Any:
    """The grid's features (n, features)."""
    return ops.hash_grid(coords, [p[f"grid.{i}"] for i in range(len(cfg.levels))], cfg.levels, cfg.stretch)


def trunk(ops: Any, cfg: NgpConfig, p: Params, coords: Any, features: Any) -> Any:
    return rectified(ops, cfg, p, features)


def macs(cfg: NgpConfig) -> int:
    return matrix_macs(params(cfg)) + grid_macs(cfg)


def grid_macs(cfg: Any) -> int:
    return sum(int(cfg.grid_features * level.taps**cfg.in_features) for level in cfg.levels)


NGP = Network("ngp.1", NgpConfig, params, init, modulate, trunk, macs)
