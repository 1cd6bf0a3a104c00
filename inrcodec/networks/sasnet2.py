"""sasnet.2: sasnet.1 whose grid features f also enter the trunk and, linearly, the output.

f  = hash_grid(x)
M  = sigmoid(A2 relu(A1 f + a1) + a2)                          as in sasnet.1
h1 = sin(2 pi / period * K x + phase) * M_band
h  = sin(omega_0 (W [h1, f] + b)) * M_group                    the first hidden layer; the others without f
y  = W_out [h, f] + b_out
"""

from dataclasses import replace
from typing import Any

import numpy as np

from inrcodec.networks import sasnet
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.initial import bias_uniform
from inrcodec.networks.sasnet import SasnetConfig

WIDENED = ("hidden.0.weight", "out.weight")


def params(cfg: SasnetConfig) -> tuple[Param, ...]:
    return tuple(replace(p, shape=(p.shape[0], p.shape[1] + cfg.features)) if p.name in WIDENED else p for p in sasnet.params(cfg))


def init(cfg: SasnetConfig, rng: np.random.Generator) -> dict[str, Array]:
    """As sasnet.1; features enter with weights of the usual size of a linear layer."""
    p = sasnet.init(cfg, rng)
    for name in WIDENED:
        rows = len(p[name])
        p[name] = np.concatenate([p[name], bias_uniform((rows, cfg.features), cfg.features, rng)], axis=1)
    return p


def modulate(ops: Any, cfg: SasnetConfig, p: Params, coords: Any) -> Any:
    """The masks M, then the features: (n, masks + features)."""
    found = sasnet.grid_features(ops, cfg, p, coords)
    return ops.join(sasnet.masks_of(ops, p, found), found)


def trunk(ops: Any, cfg: SasnetConfig, p: Params, coords: Any, modulation: Any) -> Any:
    found = ops.columns(modulation, cfg.masks, cfg.masks + cfg.features)
    h = ops.join(sasnet.embedding(ops, cfg, p, coords, modulation), found)
    for i in range(cfg.hidden_layers):
        h = sasnet.hidden_layer(ops, cfg, p, h, modulation, i)
    return ops.linear(ops.join(h, found), p["out.weight"], p["out.bias"])


def macs(cfg: SasnetConfig) -> int:
    return sasnet.macs(cfg) + cfg.features * (cfg.hidden_features + cfg.out_features)


SASNET_2 = Network("sasnet.2", SasnetConfig, params, init, modulate, trunk, macs)
