"""staf.1: MLP whose activations are trained sums of sines (STAF, Morsali et al. 2025), one sum per layer.

h = sum_i a_i sin(o_i z + f_i), z = W h + b, first on the coordinates, then hidden_layers times;  y = W_out h + b_out
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts
from inrcodec.networks.mlp import MlpConfig, layer_names, linear_init, matrix_macs, mlp_params, without_modulation

OMEGA = 30.0  # of STAF's code: initial frequencies lie below
WAVES = ("omega", "phase", "amplitude")


@dataclass(frozen=True)
class StafConfig(MlpConfig):
    sines: int  # of a layer's activation

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "sines", 1, 64)


def params(cfg: StafConfig) -> tuple[Param, ...]:
    waves = tuple(Param(f"{name}.{part}", (cfg.sines,), "vector") for name in layer_names(cfg) for part in WAVES)
    return (*mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features), *waves)


def init(cfg: StafConfig, rng: np.random.Generator) -> dict[str, Array]:
    """As STAF's code: PyTorch's linear layers; frequencies U(0, 30), phases U(-pi, pi), amplitudes +-sqrt|Laplace(1 / (2 sines))|."""
    p = linear_init(mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features), rng)
    for name in layer_names(cfg):
        p[f"{name}.omega"] = rng.uniform(0, OMEGA, cfg.sines).astype(np.float32)
        p[f"{name}.phase"] = rng.uniform(-math.pi, math.pi, cfg.sines).astype(np.float32)
        drawn = rng.laplace(0, 1 / (2 * cfg.sines), cfg.sines)
        p[f"{name}.amplitude"] = (np.sign(drawn) * np.sqrt(np.abs(drawn))).astype(np.float32)
    return p


def trunk(ops: Any, cfg: StafConfig, p: Params, coords: Any, modulation: None) -> Any:
    h = coords
    for name in layer_names(cfg):
        waves = tuple(p[f"{name}.{part}"] for part in WAVES)
        h = ops.activated(h, p[f"{name}.weight"], p[f"{name}.bias"], wave="sines", tensors=waves)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: StafConfig) -> int:
    return matrix_macs(params(cfg)) + cfg.sines * cfg.hidden_features * (1 + cfg.hidden_layers)


STAF = Network("staf.1", StafConfig, params, init, without_modulation, trunk, macs)
