"""Several networks of one architecture as one: their trainable tensors stacked, what is frozen shared."""

from dataclasses import replace
from typing import Any

import numpy as np

from inrcodec.networks.base import Array, Network, Param

SHARED_BELOW = 16  # part of the format


def stacked(network: Network, count: int) -> Network:
    """`network` with `count` values of every trainable parameter along a new first axis.

    By that axis they are quantized and modelled; those of fewer than SHARED_BELOW values, for which a step and a model of their own
    would cost more than they save, all alike.
    `modulate` and `trunk` remain those of one network: they take one of each. A sample is worked out by two of them at most.
    """

    def params(cfg: Any) -> tuple[Param, ...]:
        return tuple(
            replace(param, shape=(count, *param.shape), axis=0 if param.size >= SHARED_BELOW else -1) if param.trainable else param
            for param in network.params(cfg)
        )

    def init(cfg: Any, rng: np.random.Generator) -> dict[str, Array]:
        first = network.init(cfg, rng)
        others = [network.init(cfg, rng) for _ in range(count - 1)]
        return {
            param.name: np.stack([values[param.name] for values in (first, *others)]) if param.trainable else first[param.name]
            for param in network.params(cfg)
        }

    return replace(network, params=params, init=init, macs=lambda cfg: 2 * network.macs(cfg))


def shared_names(network: Network, config: Any) -> frozenset[str]:
    """Parameters that stacked networks have in common."""
    return frozenset(param.name for param in network.params(config) if not param.trainable)
