"""Configurations of the networks that others are compared with, constants from papers and code, sizes by parameters."""

import math
from collections.abc import Callable
from typing import Any

from inrcodec.networks import NETWORKS
from inrcodec.networks.ffn import FfnConfig
from inrcodec.networks.finer import FinerConfig
from inrcodec.networks.gauss import GaussConfig
from inrcodec.networks.hashgrid import geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.msa_masked import MsaMaskedConfig
from inrcodec.networks.ngp import NgpConfig
from inrcodec.networks.pemlp import PemlpConfig
from inrcodec.networks.rbf import RbfConfig
from inrcodec.networks.sape import SapeConfig
from inrcodec.networks.sasnet import SasnetConfig, half_lattice
from inrcodec.networks.sasnet_ablation import SasnetAblationConfig
from inrcodec.networks.sasnet_unmasked import SasnetUnmaskedConfig
from inrcodec.networks.siren import SirenConfig
from inrcodec.networks.staf import StafConfig
from inrcodec.networks.wire import WireConfig

SPREAD = 8.0  # period of random Fourier features, in coordinates: the integers are an eighth of a turn of [-1, 1] apart
DEVIATION = {1: 10, 2: 10, 3: 5, 4: 5}  # of them, in cycles of a signal (Tancik et al.: 10 for images, about 5 for volumes)
PERIOD = 2.1
GROUPS = 8
MOST_CENTRES = 2048
PAPER_WIDTH, PAPER_SIDE, PAPER_BAND = 232, 512, 60  # of SASNet for images; at another width its other sizes keep their share of it
PAPER_FREQUENCIES, PAPER_ENTRIES, PAPER_MASK_FEATURES = 256, 1 << 10, 48

Sizes = Callable[[int], Any]  # width -> configuration


def trainable(arch: str, config: Any) -> int:
    """Trained parameters of a configuration."""
    return sum(param.size for param in NETWORKS[arch].params(config) if param.trainable)


def comparison_config(arch: str, *, shape: tuple[int, ...], channels: int, parameters: int, layers: int = 3, omega: float = 30.0) -> Any:
    """The configuration of `arch` for samples of `shape` whose trained parameters come nearest to `parameters`.

    layers: behind the first; omega: of SIREN, FINER and SASNet. Only the width is free; grids, and what is drawn, depend on the shape.
    Raises KeyError for a network without such a configuration (`COMPARED`).
    """
    make = COMPARED[arch](shape, channels, layers, omega)
    step = GROUPS if hasattr(make(GROUPS), "groups") else 1
    low, high = 1, 8192 // step
    while low < high:
        middle = (low + high) // 2
        if trainable(arch, make(middle * step)) < parameters:
            low = middle + 1
        else:
            high = middle
    candidates = [make(width * step) for width in (max(1, low - 1), low)]
    return min(candidates, key=lambda config: abs(trainable(arch, config) - parameters))


def axis_comparison(arch: str, samples: int, channels: int) -> Any:
    """For a window of `samples` along one axis: as many parameters as two layers of 32 sines."""
    return comparison_config(arch, shape=(samples,), channels=channels, parameters=1200, layers=1)


def _siren(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: SirenConfig(len(shape), c, h, layers, omega, omega)


def _msa(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: MsaConfig(len(shape), c, h, layers, 0.0, msa_top(shape))


def msa_top(shape: tuple[int, ...]) -> float:
    """s_max: the samples' Nyquist frequency."""
    return round(math.log10(max(10.0, math.pi / 2 * max(shape))), 3)


def _ffn(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    d, band = len(shape), _band(shape)
    return lambda h: FfnConfig(d, c, h, layers, min(len(half_lattice(band, d, 1)), 256), SPREAD, band)


def _band(shape: tuple[int, ...]) -> int:
    """Three deviations, but not beyond the samples' Nyquist frequency."""
    cycles = min(DEVIATION[len(shape)] * 3.0, max(shape) / 2)
    return max(4, min(255, round(cycles * SPREAD / 2)))


def _pemlp(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: PemlpConfig(len(shape), c, h, layers, 10)


def _gauss(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: GaussConfig(len(shape), c, h, layers, 30.0)


def _wire(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: WireConfig(len(shape), c, h, layers, 20.0, 20.0, 10.0)


def _finer(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: FinerConfig(len(shape), c, h, layers, omega, omega)


def _staf(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: StafConfig(len(shape), c, h, layers, 5)


def _sape(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    d, band = len(shape), _band(shape)
    side = max(2, min(32 if d < 3 else 8, max(shape) // 4))
    progress = geometric_levels(d=d, levels=1, coarsest=side, finest=side, max_entries=1 << 16)
    return lambda h: SapeConfig(d, c, h, layers, min(len(half_lattice(band, d, 1)), 256), SPREAD, band, progress, (1.0,) * d)


def _grid(shape: tuple[int, ...], entries: int) -> tuple[Any, tuple[float, ...]]:
    d, finest = len(shape), max(2, max(shape) // 2)
    return geometric_levels(d=d, levels=10, coarsest=min(8, finest), finest=finest, max_entries=entries), (1.0,) * d


def _ngp(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    """Two thirds of the parameters are to lie in the tables, so these grow with the width."""
    return lambda h: NgpConfig(len(shape), c, h, layers, 2, *_grid(shape, max(16, h * h // 4)))


def _rbf(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    return lambda h: RbfConfig(len(shape), c, h, layers, 2, *_grid(shape, max(16, h * h // 8)), min(4 * h, MOST_CENTRES), 30.0)


def _msa_masked(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    d, top = len(shape), msa_top(shape)

    def make(h: int) -> MsaMaskedConfig:
        entries, mask_features = _mask_sizes(h)
        return MsaMaskedConfig(d, c, h, layers, 0.0, top, GROUPS, mask_features, 2, *_grid(shape, entries))

    return make


def _mask_sizes(h: int) -> tuple[int, int]:
    """Entries of a table and features of the masks' network: 13 % of all parameters at the paper's width, 20 % at a quarter of it."""
    part = h / PAPER_WIDTH
    return max(16, round(PAPER_ENTRIES * part**2)), max(4, round(PAPER_MASK_FEATURES * part))


def _frozen(shape: tuple[int, ...], h: int) -> tuple[int, int, int]:
    """Number of frequencies, low and band: as many cycles to a sample as in the paper."""
    band = max(4, min(PAPER_BAND, round(PAPER_BAND * max(shape) / PAPER_SIDE)))
    count = max(16, round(PAPER_FREQUENCIES * h / PAPER_WIDTH))
    return min(count, len(half_lattice(band, len(shape), 1))), max(1, band // 5), band


def _sasnet_unmasked(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    def make(h: int) -> SasnetUnmaskedConfig:
        count, low, band = _frozen(shape, h)
        return SasnetUnmaskedConfig(len(shape), c, count, h, max(1, layers), omega, PERIOD, low, band)

    return make


def _sasnet(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Callable[[int], SasnetConfig]:
    def make(h: int) -> SasnetConfig:
        (count, low, band), (entries, mask_features) = _frozen(shape, h), _mask_sizes(h)
        sizes = (count, h, max(1, layers), omega, PERIOD, low, band, min(4, band - low), GROUPS, mask_features, 2)
        return SasnetConfig(len(shape), c, *sizes, *_grid(shape, entries))

    return make


def _sasnet_ablation(shape: tuple[int, ...], c: int, layers: int, omega: float) -> Sizes:
    whole = _sasnet(shape, c, layers, omega)
    return lambda h: ablated(whole(h), frozen=0, masked=(1,) * (max(1, layers) + 1))


def ablated(config: SasnetConfig, *, frozen: int, masked: tuple[int, ...]) -> SasnetAblationConfig:
    """A row of SASNet's table 4 with the sizes of `config`."""
    values = [getattr(config, name) for name in SasnetConfig.__dataclass_fields__]
    return SasnetAblationConfig(*(*values, frozen, masked))


COMPARED: dict[str, Callable[[tuple[int, ...], int, int, float], Sizes]] = {
    "siren.1": _siren,
    "msa.1": _msa,
    "sasnet.1": _sasnet,
    "ffn.1": _ffn,
    "pemlp.1": _pemlp,
    "gauss.1": _gauss,
    "wire.1": _wire,
    "finer.1": _finer,
    "staf.1": _staf,
    "sape.1": _sape,
    "ngp.1": _ngp,
    "rbf.1": _rbf,
    "msa-masked.1": _msa_masked,
    "sasnet-unmasked.1": _sasnet_unmasked,
    "sasnet-ablation.1": _sasnet_ablation,
}
