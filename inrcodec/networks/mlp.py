"""What multilayer perceptrons have in common: configuration, tensors, layers with rectifiers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Param, Params
from inrcodec.networks.checks import check_counts
from inrcodec.networks.initial import bias_uniform


@dataclass(frozen=True)
class MlpConfig:
    in_features: int
    out_features: int
    hidden_features: int
    hidden_layers: int  # activated layers after the first one

    def __post_init__(self) -> None:
        check_counts(self, "in_features", 1, 4)
        check_counts(self, "out_features", 1, 4096)
        check_counts(self, "hidden_features", 1, 8192)
        check_counts(self, "hidden_layers", 0, 64)


def mlp_params(in_features: int, hidden_features: int, hidden_layers: int, out_features: int) -> tuple[Param, ...]:
    """The tensors of an MLP: first, hidden.i, out, each a weight and a bias."""
    h = hidden_features
    result = [Param("first.weight", (h, in_features), "matrix", axis=0), Param("first.bias", (h,), "vector")]
    for i in range(hidden_layers):
        result += [Param(f"hidden.{i}.weight", (h, h), "matrix", axis=0), Param(f"hidden.{i}.bias", (h,), "vector")]
    return (*result, Param("out.weight", (out_features, h), "matrix", axis=0), Param("out.bias", (out_features,), "vector"))


def layer_names(cfg: Any) -> list[str]:
    """Of the activated layers."""
    return ["first", *(f"hidden.{i}" for i in range(cfg.hidden_layers))]


def linear_init(params: Sequence[Param], rng: np.random.Generator) -> dict[str, Array]:
    """PyTorch's default of linear layers, for every `x.weight` followed by its `x.bias`."""
    p: dict[str, Array] = {}
    for param in params:
        fan_in = param.shape[1] if param.role == "matrix" else p[param.name.replace("bias", "weight")].shape[1]
        p[param.name] = bias_uniform(param.shape, fan_in, rng)
    return p


def rectified(ops: Any, cfg: Any, p: Params, h: Any) -> Any:
    """All layers of an MLP on h (n, k), with max(z, 0) between them."""
    for name in layer_names(cfg):
        h = ops.linear(h, p[f"{name}.weight"], p[f"{name}.bias"], activation="relu")
    return ops.linear(h, p["out.weight"], p["out.bias"])


def without_modulation(ops: Any, cfg: Any, p: Params, coords: Any) -> None:
    return None


def matrix_macs(params: Sequence[Param]) -> int:
    """Multiply-accumulates of the matrices."""
    return sum(param.size for param in params if param.role == "matrix")
