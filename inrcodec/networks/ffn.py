"""ffn.1: MLP with rectifiers on Fourier features (Tancik et al. 2020).

e = [sin(2 pi / period * K x), cos(the same)], K (m, d) frozen integers;  then as pemlp.1

The paper draws K from a normal distribution; here it is rounded to integers, which a large period makes fine, so that a file can hold it as
a subset of a lattice: one of each pair +-k, none twice.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_frequencies
from inrcodec.networks.mlp import MlpConfig, linear_init, matrix_macs, mlp_params, rectified, without_modulation

DEVIATIONS = 3  # of the normal distribution, within `band`


@dataclass(frozen=True)
class FfnConfig(MlpConfig):
    frequencies: int  # m
    period: float  # of the features, in coordinate units
    band: int  # bound of max|k|

    def __post_init__(self) -> None:
        super().__post_init__()
        check_frequencies(self)


def params(cfg: FfnConfig) -> tuple[Param, ...]:
    embedding = Param("frequency", (cfg.frequencies, cfg.in_features), "frequency", trainable=False)
    return (embedding, *mlp_params(2 * cfg.frequencies, cfg.hidden_features, cfg.hidden_layers, cfg.out_features))


def init(cfg: FfnConfig, rng: np.random.Generator) -> dict[str, Array]:
    return {"frequency": normal_frequencies(cfg, rng).astype(np.float32), **linear_init(params(cfg)[1:], rng)}


def normal_frequencies(cfg: Any, rng: np.random.Generator) -> NDArray[np.int64]:
    """K: distinct rounded vectors of N(0, (band / 3)^2), within the band, in the file's order. Raises ValueError for too few."""
    d, found = cfg.in_features, set[tuple[int, ...]]()
    available = ((2 * cfg.band + 1) ** d - 1) // 2
    if cfg.frequencies > available:
        raise ValueError(f"frequencies: the lattice |k| <= {cfg.band} holds {available}, expected at least {cfg.frequencies}")
    deviation = cfg.band / DEVIATIONS
    while len(found) < cfg.frequencies:
        # Wider where the middle is taken.
        for k in np.rint(rng.normal(0, deviation, (cfg.frequencies, d))).astype(int).tolist():
            leading = next((v for v in k if v), 0)
            if leading and max(map(abs, k)) <= cfg.band and len(found) < cfg.frequencies:
                found.add(tuple(v * int(math.copysign(1, leading)) for v in k))
        deviation *= 1.1
    return np.array(sorted(found, key=lambda k: (max(map(abs, k)), k)))


def trunk(ops: Any, cfg: FfnConfig, p: Params, coords: Any, modulation: None) -> Any:
    return rectified(ops, cfg, p, ops.fourier(coords, p["frequency"], weight_scale=2 * math.pi / cfg.period))


def macs(cfg: FfnConfig) -> int:
    return matrix_macs(params(cfg)) + cfg.frequencies * cfg.in_features


FFN = Network("ffn.1", FfnConfig, params, init, without_modulation, trunk, macs)
