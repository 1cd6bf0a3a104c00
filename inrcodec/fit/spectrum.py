"""Frequencies of an embedding chosen by what the signal holds."""

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.sasnet import SasnetConfig, half_lattice


def strongest_frequencies(values: NDArray[np.float32], cfg: SasnetConfig) -> NDArray[np.int64]:
    """The n0 integer vectors K (n0, d), one of each pair +-k, at which the spectrum of `values` (*axes, c) is largest.

    Sorted by (max|k|, lexicographic) as the network wants them. The borders are tapered, since their jump is in no sample.
    """
    power = _power(values, cfg.period)
    candidates = half_lattice(cfg.band, cfg.in_features, 1)
    sizes = np.array(power.shape)
    held = (2 * np.abs(candidates) < sizes).all(axis=1)
    found = np.where(held, power[tuple((candidates % sizes).T)], -1.0)
    chosen = candidates[np.argsort(-found, kind="stable")[: cfg.frequencies]]
    keys = [chosen[:, k] for k in reversed(range(cfg.in_features))]
    return chosen[np.lexsort([*keys, np.abs(chosen).max(axis=1)])]


def _power(values: NDArray[np.float32], period: float) -> NDArray[np.float64]:
    """Squared magnitudes, summed over channels, of the Fourier coefficients with `period` in units of half an axis."""
    d = values.ndim - 1
    sizes = [max(n, round(n * period / 2)) for n in values.shape[:-1]]
    total = np.zeros(sizes)
    for channel in np.moveaxis(values, -1, 0):
        tapered = channel - channel.mean()
        for axis, n in enumerate(channel.shape):
            taper = np.sin(np.pi * (np.arange(n) + 0.5) / n)
            tapered = tapered * taper.reshape([-1 if k == axis else 1 for k in range(d)])
        total += np.abs(np.fft.fftn(tapered, s=sizes, axes=range(d))) ** 2
    return total
