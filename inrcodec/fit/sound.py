"""Defaults for signals of one axis, sound above all: windows, their small network, its schedule, the weight of the rate."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.networks.hashgrid import geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.siren import SirenConfig
from inrcodec.windows import Windows

HOP = 1024  # samples from window to window
PERIOD = 2.1
ENERGY = 0.9995  # of the signal, below the highest frequency that is worth a sine
LAM_OVER_VARIANCE = 4e-3  # at the default quality: the rate counts against the power of the sound, not against full scale


@dataclass(frozen=True)
class Spectrum:
    """What the defaults depend on: variance of the values, and the share of the frequencies up to Nyquist's that matter."""

    variance: float
    bandwidth: float


def spectrum(values: NDArray[np.float32]) -> Spectrum:
    """Of values (n, c), from stretches of HOP samples."""
    n = len(values)
    power = np.zeros(HOP // 2 + 1)
    for start in range(0, n, HOP):
        part = values[start : start + HOP].astype(np.float64)
        taper = np.hanning(len(part) + 2)[1:-1, None]
        power += (np.abs(np.fft.rfft((part - part.mean(axis=0)) * taper, HOP, axis=0)) ** 2).sum(axis=1)
    variance = float(values.var(axis=0, dtype=np.float64).mean())
    total = float(power.sum())
    if total <= 0:
        return Spectrum(variance, 1.0)
    return Spectrum(variance, float(np.searchsorted(np.cumsum(power), ENERGY * total) + 1) / len(power))


def windows_along(n: int, *, hop: int, overlap: int | None) -> Windows | None:
    """Windows of nearly equal share, about `hop` samples apart; None for a signal of less than two, and where hop is 0."""
    if hop < 1 or n <= 2 * hop:
        return None
    hop = -(-n // max(1, round(n / hop)))
    return Windows(n=n, hop=hop, overlap=max(2, hop // 16 * 2) if overlap is None else overlap)


def axis_config(arch: str, n: int, channels: int, bandwidth: float) -> Any:
    """A network for n samples: for sasnet.1 every sine of a slightly longer period up to `bandwidth`, two mixtures of them per channel."""
    if arch == "siren.1":
        return SirenConfig(1, channels, 32, 1, float(max(10.0, min(1.0, 2 * bandwidth) * n / 4)), 30.0)
    if arch == "msa.1":
        return MsaConfig(1, channels, 32, 1, 0.0, round(float(np.log10(max(10.0, n / 4))), 3))
    band = int(np.clip(round(PERIOD / 4 * n * bandwidth * 1.1), 4, 255))
    levels = geometric_levels(d=1, levels=1, coarsest=4, finest=4, max_entries=4)
    mixtures = 2 * channels
    return SasnetConfig(1, channels, band, mixtures, 1, 1.0, PERIOD, 1, band, 1, mixtures, 2, 1, levels, (1.0,))
