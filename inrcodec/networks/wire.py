"""wire.1: MLP with complex Gabor wavelets (WIRE, Saragadam et al. 2023), complex numbers as pairs of real ones.

h = exp(i first_omega_0 z - |scale z|^2), z = W0 x + b0 real
h = exp(i omega_0 z - |scale z|^2), z = W h + b complex, hidden_layers times
y = W_out [Re h, Im h] + b_out, which is the real part of a complex layer
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_finite
from inrcodec.networks.initial import bias_uniform
from inrcodec.networks.mlp import MlpConfig, matrix_macs, without_modulation


@dataclass(frozen=True)
class WireConfig(MlpConfig):
    first_omega_0: float
    omega_0: float
    scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite(self, "first_omega_0", "omega_0", "scale")


def params(cfg: WireConfig) -> tuple[Param, ...]:
    """Real parts above imaginary ones: hidden.i.weight (2 h, h), hidden.i.bias (2 h)."""
    h = cfg.hidden_features
    result = [Param("first.weight", (h, cfg.in_features), "matrix", axis=0), Param("first.bias", (h,), "vector")]
    for i in range(cfg.hidden_layers):
        result += [Param(f"hidden.{i}.weight", (2 * h, h), "matrix", axis=0), Param(f"hidden.{i}.bias", (2 * h,), "vector")]
    return (*result, Param("out.weight", (cfg.out_features, 2 * h), "matrix", axis=0), Param("out.bias", (cfg.out_features,), "vector"))


def init(cfg: WireConfig, rng: np.random.Generator) -> dict[str, Array]:
    """PyTorch's default of complex layers: parts as in a real one of the same inputs, over sqrt(2)."""
    p: dict[str, Array] = {}
    for param in params(cfg):
        first = param.name.startswith("first.")
        fan_in = cfg.in_features if first else cfg.hidden_features
        p[param.name] = bias_uniform(param.shape, fan_in, rng) * np.float32(1 if first else math.sqrt(0.5))
    return p


def trunk(ops: Any, cfg: WireConfig, p: Params, coords: Any, modulation: None) -> Any:
    h = ops.activated(coords, p["first.weight"], p["first.bias"], wave="gabor", constants=(cfg.first_omega_0, cfg.scale))
    for i in range(cfg.hidden_layers):
        w = ops.complex_matrix(p[f"hidden.{i}.weight"])
        h = ops.activated(h, w, p[f"hidden.{i}.bias"], wave="complex-gabor", constants=(cfg.omega_0, cfg.scale))
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: WireConfig) -> int:
    return 2 * matrix_macs(params(cfg))


WIRE = Network("wire.1", WireConfig, params, init, without_modulation, trunk, macs)
