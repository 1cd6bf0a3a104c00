"""sasnet-ablation.1: SASNet with parts of it left out (SASNet, table 4): the frequency embedding, and the masks of chosen layers.

frozen 1: h1 = sin(2 pi / period * K x + phase);  0: h1 = sin(omega_0 (W0 x + b0)), W0 trained
masked, per layer: 1 as in sasnet.1, 0 not masked. Without an embedding the first layer has `bands` groups of nearly equal size.

At least one layer is masked; sasnet-unmasked.1 has none.
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from inrcodec.networks import sasnet
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.initial import bias_uniform
from inrcodec.networks.mlp import matrix_macs
from inrcodec.networks.ngp import grid_macs


@dataclass(frozen=True)
class SasnetAblationConfig(sasnet.SasnetConfig):
    frozen: int  # 1: the frequency embedding; 0: a first layer that is trained
    masked: tuple[int, ...]  # 1 or 0 for every layer from the first on

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.frozen not in (0, 1):
            raise ValueError(f"frozen: expected 0 or 1, got {self.frozen}")
        if len(self.masked) != self.hidden_layers + 1 or not {0, 1} >= set(self.masked) or not any(self.masked):
            raise ValueError(f"masked: expected 0 or 1 for each of {self.hidden_layers + 1} layers, not only 0, got {self.masked}")

    @property
    def counts(self) -> tuple[int, ...]:
        """Masks of every layer."""
        return tuple((self.groups if i else self.bands) * on for i, on in enumerate(self.masked))

    @property
    def masks(self) -> int:
        return sum(self.counts)


def first_params(cfg: SasnetAblationConfig) -> tuple[Param, ...]:
    shape = (cfg.frequencies, cfg.in_features)
    if cfg.frozen:
        return (Param("frequency", shape, "frequency", trainable=False), Param("phase", shape[:1], "vector"))
    return (Param("first.weight", shape, "matrix", axis=0), Param("first.bias", shape[:1], "vector"))


def params(cfg: SasnetAblationConfig) -> tuple[Param, ...]:
    return (*first_params(cfg), *sasnet.mask_params(cfg), *sasnet.trunk_params(cfg))


def init(cfg: SasnetAblationConfig, rng: np.random.Generator) -> dict[str, Array]:
    """As sasnet.1; without an embedding the first layer is SIREN's."""
    n0, d = cfg.frequencies, cfg.in_features
    if cfg.frozen:
        p = {"frequency": sasnet.draw_frequencies(cfg, rng).astype(np.float32)}
        p["phase"] = rng.uniform(-math.pi, math.pi, n0).astype(np.float32)
    else:
        p = {"first.weight": rng.uniform(-1 / d, 1 / d, (n0, d)).astype(np.float32), "first.bias": bias_uniform((n0,), d, rng)}
    return p | sasnet.draw_mask_tensors(cfg, rng) | sasnet.draw_trunk(cfg, rng)


def trunk(ops: Any, cfg: SasnetAblationConfig, p: Params, coords: Any, masks: Any) -> Any:
    starts = np.cumsum((0, *cfg.counts)).tolist()
    mask = [ops.columns(masks, starts[i], starts[i + 1]) if on else None for i, on in enumerate(cfg.masked)]
    if cfg.frozen:
        weight, bias, weight_scale, bias_scale = p["frequency"], p["phase"], 2 * math.pi / cfg.period, 1.0
        widths = sasnet.embedding_widths(cfg, weight)
    else:
        weight, bias, weight_scale, bias_scale = p["first.weight"], p["first.bias"], cfg.omega_0, cfg.omega_0
        edges = [k * cfg.frequencies // cfg.bands for k in range(cfg.bands + 1)]
        widths = tuple(b - a for a, b in pairwise(edges))
    h = ops.sine_embedding(
        coords,
        weight,
        bias,
        weight_scale=weight_scale,
        bias_scale=bias_scale,
        amplitude=1.0,
        mask=mask[0],
        widths=widths if cfg.masked[0] else (),
    )
    for i in range(cfg.hidden_layers):
        h = ops.sine_layer(h, p[f"hidden.{i}.weight"], p[f"hidden.{i}.bias"], omega=cfg.omega_0, amplitude=1.0, mask=mask[i + 1])
    return ops.linear(h, p["out.weight"], p["out.bias"])


def macs(cfg: SasnetAblationConfig) -> int:
    return matrix_macs(params(cfg)) + grid_macs(cfg) + cfg.frequencies * cfg.in_features


SASNET_ABLATION = Network("sasnet-ablation.1", SasnetAblationConfig, params, init, sasnet.modulate, trunk, macs)
