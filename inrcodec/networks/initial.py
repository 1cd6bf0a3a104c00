"""Initial values of layers, shared by all networks."""

import math

import numpy as np

from inrcodec.networks.base import Array


def sine_uniform(shape: tuple[int, ...], omega: float, rng: np.random.Generator) -> Array:
    """SIREN's rule for a layer behind a sine (Sitzmann et al. 2020, section 3.2): U(+-sqrt(6 / fan_in) / omega)."""
    bound = math.sqrt(6 / shape[1]) / omega
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def bias_uniform(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> Array:
    """U(+-1 / sqrt(fan_in))."""
    bound = 1 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape).astype(np.float32)
