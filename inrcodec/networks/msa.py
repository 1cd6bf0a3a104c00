"""msa.1: MLP with multi-scale sine activations (MSA, equations 4 and 6).

    z = W h + b;  h_j = sin(w_j z_j) / w_j;  lg w_j = s_min + (j - 1) / (m - 1) (s_max - s_min)

The frequencies w are formed in float64 and rounded to float32; a file stores (s_min, s_max).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts
from inrcodec.networks.mlp import linear_init, matrix_macs, mlp_params, without_modulation


@dataclass(frozen=True)
class MsaConfig:
    in_features: int
    out_features: int
    hidden_features: int
    hidden_layers: int  # activated layers after the first one
    s_min: float
    s_max: float

    def __post_init__(self) -> None:
        check_counts(self, "in_features", 1, 4)
        check_counts(self, "out_features", 1, 4096)
        check_counts(self, "hidden_features", 1, 8192)
        check_counts(self, "hidden_layers", 0, 64)
        if not -6 <= self.s_min <= self.s_max <= 6:
            raise ValueError(f"s_min, s_max: expected -6 <= s_min <= s_max <= 6, got {self.s_min}, {self.s_max}")


def frequencies(cfg: Any) -> NDArray[np.float64]:
    """w (h,), float32 values held in float64, of a configuration with hidden_features, s_min and s_max."""
    exponents = np.linspace(cfg.s_min, cfg.s_max, cfg.hidden_features)
    return np.power(10.0, exponents).astype(np.float32).astype(np.float64)


def params(cfg: MsaConfig) -> tuple[Param, ...]:
    return mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features)


def init(cfg: MsaConfig, rng: np.random.Generator) -> dict[str, Array]:
    """PyTorch's default for linear layers: MSA needs no other (section "Advantages", 3)."""
    return linear_init(params(cfg), rng)


def trunk(ops: Any, cfg: MsaConfig, p: Params, coords: Any, modulation: None) -> Any:
    w = frequencies(cfg)
    h = ops.sine_embedding(coords, p["first.weight"], p["first.bias"], weight_scale=w, bias_scale=w, amplitude=1 / w, mask=None, widths=())
    for i in range(cfg.hidden_layers):
        h = ops.sine_layer(h, p[f"hidden.{i}.weight"], p[f"hidden.{i}.bias"], omega=w, amplitude=1 / w, mask=None)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: MsaConfig) -> int:
    return matrix_macs(params(cfg))


MSA = Network("msa.1", MsaConfig, params, init, without_modulation, trunk, macs)
