"""finer.1: MLP with variable-periodic activations (FINER, Liu et al. 2024).

h = sin(first_omega_0 (|z| + 1) z), z = W0 x + b0;  h = sin(omega_0 (|z| + 1) z), z = W h + b, hidden_layers times;  y = W_out h + b_out
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks import siren
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_finite
from inrcodec.networks.mlp import MlpConfig, layer_names, matrix_macs, mlp_params, without_modulation


@dataclass(frozen=True)
class FinerConfig(MlpConfig):
    first_omega_0: float
    omega_0: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite(self, "first_omega_0", "omega_0")


def params(cfg: FinerConfig) -> tuple[Param, ...]:
    return mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features)


def init(cfg: FinerConfig, rng: np.random.Generator) -> dict[str, Array]:
    """SIREN's, biases of the first layer among them: FINER's code widens those only where it is told to (its first_bias_scale)."""
    size = (cfg.in_features, cfg.out_features, cfg.hidden_features, cfg.hidden_layers)
    return siren.init(siren.SirenConfig(*size, cfg.first_omega_0, cfg.omega_0), rng)


def trunk(ops: Any, cfg: FinerConfig, p: Params, coords: Any, modulation: None) -> Any:
    h, omega = coords, cfg.first_omega_0
    for name in layer_names(cfg):
        h = ops.activated(h, p[f"{name}.weight"], p[f"{name}.bias"], wave="finer", constants=(omega,))
        omega = cfg.omega_0
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: FinerConfig) -> int:
    return matrix_macs(params(cfg))


FINER = Network("finer.1", FinerConfig, params, init, without_modulation, trunk, macs)
