"""msa-masked.1: msa.1 whose neurons are masked by a hash grid as those of SASNet are.

M = sigmoid(A2 relu(A1 hash_grid(x) + a1) + a2)                groups * (hidden_layers + 1) masks
h = sin(w (W h + b)) / w * M_group                             every layer, first on the coordinates; the layer's own `groups` masks

The frequencies w ascend, so that each of the equal groups of neurons is a band of them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks import ngp
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_grid
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.mlp import layer_names, linear_init, matrix_macs, mlp_params
from inrcodec.networks.msa import MsaConfig, frequencies
from inrcodec.networks.sasnet import draw_mask_tensors, mask_params, masks_of


@dataclass(frozen=True)
class MsaMaskedConfig(MsaConfig):
    groups: int  # of neurons, in every layer
    mask_features: int  # hidden width of the mask decoder
    grid_features: int
    levels: tuple[Level, ...]
    stretch: tuple[float, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, "groups", 1, self.hidden_features)
        check_counts(self, "mask_features", 1, 8192)
        check_counts(self, "grid_features", 1, 64)
        check_grid(self)
        if self.hidden_features % self.groups:
            raise ValueError(f"groups: expected a divisor of hidden_features {self.hidden_features}, got {self.groups}")

    @property
    def masks(self) -> int:
        return self.groups * (self.hidden_layers + 1)

    @property
    def features(self) -> int:
        return self.grid_features * len(self.levels)


def params(cfg: MsaMaskedConfig) -> tuple[Param, ...]:
    return (*mask_params(cfg), *mlp_params(cfg.in_features, cfg.hidden_features, cfg.hidden_layers, cfg.out_features))


def init(cfg: MsaMaskedConfig, rng: np.random.Generator) -> dict[str, Array]:
    return draw_mask_tensors(cfg, rng) | linear_init(params(cfg)[len(mask_params(cfg)) :], rng)


def modulate(ops: Any, cfg: MsaMaskedConfig, p: Params, coords: Any) -> Any:
    """The masks M (n, masks)."""
    return masks_of(ops, p, ngp.modulate(ops, cfg, p, coords))


def trunk(ops: Any, cfg: MsaMaskedConfig, p: Params, coords: Any, masks: Any) -> Any:
    w, size = frequencies(cfg), cfg.hidden_features // cfg.groups
    h = coords
    for i, name in enumerate(layer_names(cfg)):
        weight, bias, mask = p[f"{name}.weight"], p[f"{name}.bias"], ops.columns(masks, i * cfg.groups, (i + 1) * cfg.groups)
        if i == 0:
            widths = (size,) * cfg.groups
            h = ops.sine_embedding(coords, weight, bias, weight_scale=w, bias_scale=w, amplitude=1 / w, mask=mask, widths=widths)
        else:
            h = ops.sine_layer(h, weight, bias, omega=w, amplitude=1 / w, mask=mask)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: MsaMaskedConfig) -> int:
    return matrix_macs(params(cfg)) + ngp.grid_macs(cfg)


MSA_MASKED = Network("msa-masked.1", MsaMaskedConfig, params, init, modulate, trunk, macs)
