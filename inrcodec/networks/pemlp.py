"""pemlp.1: MLP with rectifiers on a positional encoding (NeRF, Mildenhall et al. 2020; frequencies as in FINER's code, without pi).

e = [x, sin(2^k x), cos(2^k x)], k = 0 .. octaves - 1;  h = max(W e + b, 0);  h = max(W h + b, 0) hidden_layers times;  y = W_out h + b_out
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts
from inrcodec.networks.mlp import MlpConfig, linear_init, matrix_macs, mlp_params, rectified, without_modulation


@dataclass(frozen=True)
class PemlpConfig(MlpConfig):
    octaves: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "octaves", 1, 24)


def frequencies(cfg: PemlpConfig) -> NDArray[np.float64]:
    """(d * octaves, d): 2^k for every coordinate, k slowest."""
    return np.concatenate([2.0**k * np.eye(cfg.in_features) for k in range(cfg.octaves)])


def params(cfg: PemlpConfig) -> tuple[Param, ...]:
    return mlp_params(cfg.in_features * (1 + 2 * cfg.octaves), cfg.hidden_features, cfg.hidden_layers, cfg.out_features)


def init(cfg: PemlpConfig, rng: np.random.Generator) -> dict[str, Array]:
    return linear_init(params(cfg), rng)


def trunk(ops: Any, cfg: PemlpConfig, p: Params, coords: Any, modulation: None) -> Any:
    encoded = ops.join(ops.coordinates(coords), ops.fourier(coords, frequencies(cfg), weight_scale=1.0))
    return rectified(ops, cfg, p, encoded)


def macs(cfg: PemlpConfig) -> int:
    return matrix_macs(params(cfg))


PEMLP = Network("pemlp.1", PemlpConfig, params, init, without_modulation, trunk, macs)
