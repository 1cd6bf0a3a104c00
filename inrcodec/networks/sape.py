"""sape.1: Fourier features that enter place by place, from low to high (SAPE, Hertz et al. 2021).

t = hash_grid(x), the progress, one number per vertex, 0 at first, 1 when all features are in
e = [x, sin(2 pi / period * K x) * r, cos(the same) * r],  r_j = clip(m t - j, 0, 1), K (m, d) frozen integers, ascending;  then as pemlp.1

While the network is fitted, t grows at the vertices around which the error is large (fit/progress.py).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_frequencies, check_grid
from inrcodec.networks.ffn import normal_frequencies
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.mlp import MlpConfig, linear_init, matrix_macs, mlp_params, rectified, without_modulation

PROGRESS = "grid.0"
FIRST = 0.1  # progress in the beginning: a tenth of the features


@dataclass(frozen=True)
class SapeConfig(MlpConfig):
    frequencies: int  # m
    period: float
    band: int
    levels: tuple[Level, ...]  # one
    stretch: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_frequencies(self)
        check_grid(self)
        if len(self.levels) != 1:
            raise ValueError(f"levels: expected one, got {len(self.levels)}")

    @property
    def grid_features(self) -> int:
        return 1


def params(cfg: SapeConfig) -> tuple[Param, ...]:
    return (
        Param("frequency", (cfg.frequencies, cfg.in_features), "frequency", trainable=False),
        Param(PROGRESS, (cfg.levels[0].entries, 1), "table", axis=1),
        *mlp_params(cfg.in_features + 2 * cfg.frequencies, cfg.hidden_features, cfg.hidden_layers, cfg.out_features),
    )


def init(cfg: SapeConfig, rng: np.random.Generator) -> dict[str, Array]:
    p = {"frequency": normal_frequencies(cfg, rng).astype(np.float32)}
    p[PROGRESS] = np.full((cfg.levels[0].entries, 1), FIRST, dtype=np.float32)
    return p | linear_init(params(cfg)[2:], rng)


def trunk(ops: Any, cfg: SapeConfig, p: Params, coords: Any, modulation: None) -> Any:
    ramps = ops.ramps(ops.hash_grid(coords, [p[PROGRESS]], cfg.levels, cfg.stretch), cfg.frequencies)
    features = ops.fourier(coords, p["frequency"], weight_scale=2 * math.pi / cfg.period)
    return rectified(ops, cfg, p, ops.join(ops.coordinates(coords), ops.product(features, ops.join(ramps, ramps))))


def macs(cfg: SapeConfig) -> int:
    return matrix_macs(params(cfg)) + (cfg.in_features + 2) * cfg.frequencies + int(cfg.levels[0].taps ** cfg.in_features)


SAPE = Network("sape.1", SapeConfig, params, init, without_modulation, trunk, macs)
