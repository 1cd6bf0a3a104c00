"""siren.1: the sinusoidal MLP of Sitzmann et al. 2020.

h = sin(first_omega_0 (W0 x + b0));  h = sin(omega_0 (W h + b)) hidden_layers times;  y = W_out h + b_out
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_finite
from inrcodec.networks.initial import bias_uniform, sine_uniform
from inrcodec.networks.mlp import matrix_macs, mlp_params, without_modulation


@dataclass(frozen=True)
class SirenConfig:
    in_features: int
    out_features: int
    hidden_features: int
    hidden_layers: int  # sine layers after the first one
    first_omega_0: float
    omega_0: float

    def __post_init__(self) -> None:
        check_counts(self, "in_features", 1, 4)
        check_counts(self, "out_features", 1, 4096)
        check_counts(self, "hidden_features", 1, 8192)
        check_counts(self, "hidden_layers", 0, 64)
        check_finite(self, "first_omega_0", "omega_0")


def params(cfg: SirenConfig) -> tuple[Param, ...]:
    return mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features)


def init(cfg: SirenConfig, rng: np.random.Generator) -> dict[str, Array]:
    p: dict[str, Array] = {}
    for param in params(cfg):
        if param.role == "vector":
            fan_in = p[param.name.replace("bias", "weight")].shape[1]
            p[param.name] = bias_uniform(param.shape, fan_in, rng)
        elif param.name == "first.weight":
            p[param.name] = rng.uniform(-1 / cfg.in_features, 1 / cfg.in_features, param.shape).astype(np.float32)
        else:
            p[param.name] = sine_uniform(param.shape, cfg.omega_0, rng)
    return p


def trunk(ops: Any, cfg: SirenConfig, p: Params, coords: Any, modulation: None) -> Any:
    omega = cfg.first_omega_0
    h = ops.sine_embedding(
        coords, p["first.weight"], p["first.bias"], weight_scale=omega, bias_scale=omega, amplitude=1.0, mask=None, widths=()
    )
    for i in range(cfg.hidden_layers):
        h = ops.sine_layer(h, p[f"hidden.{i}.weight"], p[f"hidden.{i}.bias"], omega=cfg.omega_0, amplitude=1.0, mask=None)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: SirenConfig) -> int:
    return matrix_macs(params(cfg))


SIREN = Network("siren.1", SirenConfig, params, init, without_modulation, trunk, macs)
