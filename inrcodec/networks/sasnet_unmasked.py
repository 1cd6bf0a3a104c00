"""sasnet-unmasked.1: SASNet's frequency embedding and sines without masks (SASNet, table 4, second row).

h = sin(2 pi / period * K x + phase);  h = sin(omega_0 (W h + b)) hidden_layers times;  y = W_out h + b_out
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_finite, check_frequencies
from inrcodec.networks.mlp import matrix_macs, without_modulation
from inrcodec.networks.sasnet import draw_frequencies, draw_trunk, trunk_params


@dataclass(frozen=True)
class SasnetUnmaskedConfig:
    in_features: int
    out_features: int
    frequencies: int
    hidden_features: int
    hidden_layers: int
    omega_0: float
    period: float
    low: int  # of the drawing only: half of the frequencies lie below
    band: int

    def __post_init__(self) -> None:
        check_counts(self, "in_features", 1, 4)
        check_counts(self, "out_features", 1, 4096)
        check_counts(self, "hidden_features", 1, 8192)
        check_counts(self, "hidden_layers", 1, 64)
        check_counts(self, "low", 1, 254)
        check_counts(self, "band", self.low + 1, 255)
        check_frequencies(self)
        check_finite(self, "omega_0")


def params(cfg: SasnetUnmaskedConfig) -> tuple[Param, ...]:
    return (
        Param("frequency", (cfg.frequencies, cfg.in_features), "frequency", trainable=False),
        Param("phase", (cfg.frequencies,), "vector"),
        *trunk_params(cfg),
    )


def init(cfg: SasnetUnmaskedConfig, rng: np.random.Generator) -> dict[str, Array]:
    p: dict[str, Array] = {"frequency": draw_frequencies(cfg, rng).astype(np.float32)}
    p["phase"] = rng.uniform(-math.pi, math.pi, cfg.frequencies).astype(np.float32)
    return p | draw_trunk(cfg, rng)


def trunk(ops: Any, cfg: SasnetUnmaskedConfig, p: Params, coords: Any, modulation: None) -> Any:
    scale = 2 * math.pi / cfg.period
    h = ops.sine_embedding(coords, p["frequency"], p["phase"], weight_scale=scale, bias_scale=1.0, amplitude=1.0, mask=None, widths=())
    for i in range(cfg.hidden_layers):
        h = ops.sine_layer(h, p[f"hidden.{i}.weight"], p[f"hidden.{i}.bias"], omega=cfg.omega_0, amplitude=1.0, mask=None)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: SasnetUnmaskedConfig) -> int:
    return matrix_macs(params(cfg)) + cfg.frequencies * cfg.in_features


SASNET_UNMASKED = Network("sasnet-unmasked.1", SasnetUnmaskedConfig, params, init, without_modulation, trunk, macs)
