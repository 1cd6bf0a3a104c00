"""How far two sounds are apart, in decibels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError


def snr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """10 lg(sum a^2 / sum (a - b)^2) in dB of `b` against the original `a`, over all axes; inf if equal, -inf where `a` alone is silent.

    Raises UsageError where shapes differ or there are no samples.
    """
    _check_shapes(a, b)
    return _ratio(*_energies(a, b))


def segmental_snr(a: NDArray[Any], b: NDArray[Any], *, segment: int = 1024, low: float = -10.0, high: float = 35.0) -> float:
    """Mean of the `snr` of segments of `segment` samples along the first axis, each held to low..high dB, in dB.

    Segments in which `a` is silent are left out; without any other the result is that of `snr`. The last segment may be shorter.
    Raises UsageError as `snr` does, and for a segment below 1 or low above high.
    """
    _check_shapes(a, b)
    if a.ndim == 0 or segment < 1:
        raise UsageError(f"expected samples along an axis and a segment of at least 1, got shape {a.shape} and {segment}")
    if not low <= high:
        raise UsageError(f"expected low <= high, got {low} and {high}")
    energies = [_energies(a[at : at + segment], b[at : at + segment]) for at in range(0, len(a), segment)]
    ratios = [min(max(_ratio(sound, noise), low), high) for sound, noise in energies if sound > 0]
    return sum(ratios) / len(ratios) if ratios else snr(a, b)


def _energies(a: NDArray[Any], b: NDArray[Any]) -> tuple[float, float]:
    """Sums of squares of the original and of the difference."""
    original = a.astype(np.float64)
    difference = original - b
    return float(np.vdot(original, original)), float(np.vdot(difference, difference))


def _ratio(sound: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * (math.log10(sound) - math.log10(noise)) if sound > 0 else -math.inf


def _check_shapes(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise UsageError(f"expected two arrays of one shape, got {a.shape} and {b.shape}")
    if a.size == 0:
        raise UsageError(f"expected at least one sample, got shape {a.shape}")
