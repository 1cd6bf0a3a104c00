"""rbf.1: radial basis functions with centres and scales of their own, their sines, and a hash grid (after NeuRBF, Chen et al. 2023).

g_j = 1 / (1 + sum_k (scale_jk (x_k - centre_jk))^2);  s = sin(omega_0 (W_r g + b_r))
h = max(W [s, f] + b, 0), f = hash_grid(x);  h = max(W h + b, 0) hidden_layers times;  y = W_out h + b_out

NeuRBF sums the functions of the nearest centres only, and fits the centres to the signal before training; here all are summed and trained.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks import ngp
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_finite
from inrcodec.networks.initial import bias_uniform, sine_uniform
from inrcodec.networks.mlp import linear_init, matrix_macs, mlp_params, rectified


@dataclass(frozen=True)
class RbfConfig(ngp.NgpConfig):
    centres: int
    omega_0: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "centres", 1, 8192)
        check_finite(self, "omega_0")


def params(cfg: RbfConfig) -> tuple[Param, ...]:
    h, m, d = cfg.hidden_features, cfg.centres, cfg.in_features
    return (
        *ngp.tables(cfg),
        Param("centre", (m, d), "matrix", axis=1),
        Param("scale", (m, d), "matrix", axis=1),
        Param("radial.weight", (h, m), "matrix", axis=0),
        Param("radial.bias", (h,), "vector"),
        *mlp_params(h + cfg.features, h, cfg.hidden_layers, cfg.out_features),
    )


def init(cfg: RbfConfig, rng: np.random.Generator) -> dict[str, Array]:
    """Centres anywhere in [-1, 1]^d, as wide as they are apart."""
    p, (m, d) = ngp.draw_tables(cfg, rng), (cfg.centres, cfg.in_features)
    p["centre"] = rng.uniform(-1, 1, (m, d)).astype(np.float32)
    p["scale"] = np.full((m, d), m ** (1 / d) / 2, dtype=np.float32)
    p["radial.weight"] = sine_uniform((cfg.hidden_features, m), cfg.omega_0 / math.sqrt(m), rng)
    p["radial.bias"] = bias_uniform((cfg.hidden_features,), m, rng)
    return p | linear_init(params(cfg)[len(cfg.levels) + 4 :], rng)


def trunk(ops: Any, cfg: RbfConfig, p: Params, coords: Any, features: Any) -> Any:
    radial = ops.radial(coords, p["centre"], p["scale"])
    waves = ops.sine_layer(radial, p["radial.weight"], p["radial.bias"], omega=cfg.omega_0, amplitude=1.0, mask=None)
    return rectified(ops, cfg, p, ops.join(waves, features))


def macs(cfg: RbfConfig) -> int:
    return matrix_macs(params(cfg)) + ngp.grid_macs(cfg)


RBF = Network("rbf.1", RbfConfig, params, init, ngp.modulate, trunk, macs)
