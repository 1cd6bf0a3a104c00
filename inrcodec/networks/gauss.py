"""gauss.1: MLP with Gaussian activations (Ramasinghe and Lucey 2022), in the form and scale that WIRE's and FINER's code have.

h = exp(-(scale (W h + b))^2), first on the coordinates, then hidden_layers times;  y = W_out h + b_out
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_finite
from inrcodec.networks.mlp import MlpConfig, layer_names, linear_init, matrix_macs, mlp_params, without_modulation


@dataclass(frozen=True)
class GaussConfig(MlpConfig):
    scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite(self, "scale")


def params(cfg: GaussConfig) -> tuple[Param, ...]:
    return mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features)


def init(cfg: GaussConfig, rng: np.random.Generator) -> dict[str, Array]:
    return linear_init(params(cfg), rng)


def trunk(ops: Any, cfg: GaussConfig, p: Params, coords: Any, modulation: None) -> Any:
    h = coords
    for name in layer_names(cfg):
        h = ops.activated(h, p[f"{name}.weight"], p[f"{name}.bias"], wave="gaussian", constants=(cfg.scale,))
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: GaussConfig) -> int:
    return matrix_macs(params(cfg))


GAUSS = Network("gauss.1", GaussConfig, params, init, without_modulation, trunk, macs)
