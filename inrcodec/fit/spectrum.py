"""What a signal holds decides: the frequencies of an embedding, and how fine a grid is worth its vertices along each axis."""

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.sasnet import SasnetConfig, half_lattice

DETAIL_BAND = 32
COEFFICIENTS_PER_BYTE = 0.43
USUAL_BYTES = 7000  # of a volume without a target of bytes
VERTICES_PER_CYCLE = 12
OVERSAMPLING = 8  # samples per period of the fastest frequency, at least, that the spectrum is taken of


def strongest_frequencies(values: NDArray[np.float32], weights: NDArray[np.float32] | None, cfg: SasnetConfig) -> NDArray[np.int64]:
    """The n0 integer vectors K (n0, d), one of each pair +-k, at which the spectrum of `values` (*axes, c) is largest.

    Sorted by (max|k|, lexicographic) as the network wants them. Samples of weight 0 count as the mean of their channel.
    """
    power = _power(values, weights, period=cfg.period, finest=cfg.band)
    candidates = half_lattice(cfg.band, cfg.in_features, 1)
    sizes = np.array(power.shape)
    held = (2 * np.abs(candidates) < sizes).all(axis=1)
    found = np.where(held, power[tuple((candidates % sizes).T)], -1.0)
    chosen = candidates[np.argsort(-found, kind="stable")[: cfg.frequencies]]
    keys = [chosen[:, k] for k in reversed(range(cfg.in_features))]
    return chosen[np.lexsort([*keys, np.abs(chosen).max(axis=1)])]


def detail(values: NDArray[np.float32], weights: NDArray[np.float32] | None, size: int | None) -> tuple[float, ...]:
    """Vertices per axis for the finest grid of `values` (*axes, c) in a file of about `size` bytes.

    Some per cycle of the mean frequency among as many of the largest coefficients as such a file may hold.
    """
    largest = round(COEFFICIENTS_PER_BYTE * (size or USUAL_BYTES))
    power = _power(values, weights, period=2.0, finest=DETAIL_BAND)
    chosen = np.argsort(-power, axis=None, kind="stable")[:largest]
    found = []
    for index, m, n in zip(np.unravel_index(chosen, power.shape), power.shape, values.shape, strict=False):
        cycles = float(np.minimum(index, m - index).mean())
        found.append(min(float(n), max(2.0, VERTICES_PER_CYCLE * (cycles + 0.5))))
    return tuple(found)


def _power(values: NDArray[np.float32], weights: NDArray[np.float32] | None, *, period: float, finest: int) -> NDArray[np.float64]:
    """Squared magnitudes, summed over channels, of the Fourier coefficients with `period` in units of half an axis.

    Only frequencies up to `finest` need be right. The borders are tapered: their jump is in no sample.
    """
    coarse = tuple(slice(None, None, max(1, n // (OVERSAMPLING * finest))) for n in values.shape[:-1])
    kept = np.ones(values.shape, np.float32)[coarse] if weights is None else weights[coarse]
    d = len(coarse)
    shape = kept.shape[:-1]
    sizes = [max(n, round(n * period / 2)) for n in shape]
    total = np.zeros(sizes)
    for channel, weight in zip(np.moveaxis(values[coarse], -1, 0), np.moveaxis(kept, -1, 0), strict=True):
        mean = float((channel * weight).sum(dtype=np.float64)) / max(1.0, float(weight.sum(dtype=np.float64)))
        tapered = (channel.astype(np.float64) - mean) * weight
        for axis, n in enumerate(shape):
            taper = np.sin(np.pi * (np.arange(n) + 0.5) / n)
            tapered *= taper.reshape([-1 if k == axis else 1 for k in range(d)])
        total += np.abs(np.fft.fftn(tapered, s=sizes, axes=range(d))) ** 2
    return total
