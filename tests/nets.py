"""Small networks of every kind, for the tests of engines, weights and decoders."""

from dataclasses import fields
from typing import Any

import numpy as np

from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Network
from inrcodec.networks.ffn import FfnConfig
from inrcodec.networks.finer import FinerConfig
from inrcodec.networks.gauss import GaussConfig
from inrcodec.networks.hashgrid import Level, geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.msa_masked import MsaMaskedConfig
from inrcodec.networks.ngp import NgpConfig
from inrcodec.networks.pemlp import PemlpConfig
from inrcodec.networks.rbf import RbfConfig
from inrcodec.networks.sape import SapeConfig
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.sasnet_ablation import SasnetAblationConfig
from inrcodec.networks.sasnet_unmasked import SasnetUnmaskedConfig
from inrcodec.networks.siren import SirenConfig
from inrcodec.networks.staf import StafConfig
from inrcodec.networks.wire import WireConfig


def small_sasnet(d: int = 2, c: int = 3) -> SasnetConfig:
    levels = geometric_levels(d=d, levels=4, coarsest=4, finest=24, max_entries=256)
    return SasnetConfig(d, c, 10 if d == 1 else 24, 32, 2, 30.0, 2.1, 3, 12, 3, 4, 16, 2, levels, (1.0, 0.6, 0.25, 0.8)[:d])


def small_networks() -> list[tuple[Network, Any]]:
    """(network, configuration) for every id, and for every dimension a lattice has a special path for."""
    return [
        (NETWORKS["sasnet.1"], small_sasnet(2, 3)),
        (NETWORKS["sasnet.1"], small_sasnet(3, 1)),
        (NETWORKS["sasnet.1"], small_sasnet(1, 2)),
        (NETWORKS["siren.1"], SirenConfig(2, 3, 24, 2, 30.0, 30.0)),
        (NETWORKS["siren.1"], SirenConfig(1, 1, 24, 1, 60.0, 30.0)),
        (NETWORKS["msa.1"], MsaConfig(2, 3, 24, 2, -1.0, 1.5)),
        (NETWORKS["msa.1"], MsaConfig(3, 1, 24, 1, 0.0, 1.0)),
        (NETWORKS["sasnet.2"], small_sasnet(2, 3)),
        (NETWORKS["sasnet.2"], small_sasnet(3, 1)),
        *compared_networks(),
    ]


def compared_networks() -> list[tuple[Network, Any]]:
    grid = (geometric_levels(d=2, levels=3, coarsest=4, finest=16, max_entries=128), (1.0, 0.5))
    one = (Level(2.5, 4, 64),)
    sasnet = config_values(small_sasnet(2, 3))
    configs = {
        "ffn.1": (FfnConfig(2, 3, 24, 1, 30, 8.0, 24), FfnConfig(1, 1, 16, 2, 12, 8.0, 12)),
        "pemlp.1": (PemlpConfig(2, 3, 24, 1, 6), PemlpConfig(3, 1, 16, 0, 4)),
        "gauss.1": (GaussConfig(2, 3, 24, 2, 8.0), GaussConfig(1, 2, 16, 1, 30.0)),
        "wire.1": (WireConfig(2, 3, 16, 2, 10.0, 8.0, 6.0), WireConfig(3, 1, 12, 0, 20.0, 20.0, 10.0)),
        "finer.1": (FinerConfig(2, 3, 24, 2, 30.0, 30.0), FinerConfig(1, 1, 16, 1, 30.0, 30.0)),
        "staf.1": (StafConfig(2, 3, 24, 1, 4), StafConfig(3, 1, 16, 2, 5)),
        "sape.1": (
            SapeConfig(2, 3, 24, 1, 20, 8.0, 24, (Level(4.5, 6, 36),), (1.0, 0.8)),
            SapeConfig(3, 1, 16, 0, 9, 8.0, 8, one, (1.0,) * 3),
        ),
        "ngp.1": (NgpConfig(2, 3, 24, 1, 2, *grid),),
        "rbf.1": (RbfConfig(2, 3, 24, 1, 2, *grid, 20, 30.0),),
        "msa-masked.1": (MsaMaskedConfig(2, 3, 24, 2, -1.0, 1.5, 4, 12, 2, *grid),),
        "sasnet-unmasked.1": (SasnetUnmaskedConfig(2, 3, 24, 32, 2, 30.0, 2.1, 3, 12),),
        "sasnet-ablation.1": (SasnetAblationConfig(*sasnet, 0, (1, 1, 1)), SasnetAblationConfig(*sasnet, 1, (0, 1, 0))),
    }
    return [(NETWORKS[name], config) for name, found in configs.items() for config in found]


def config_values(config: Any) -> tuple[Any, ...]:
    return tuple(getattr(config, field.name) for field in fields(config))


def lively_params(network: Network, config: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Initial parameters with tables and masks large enough to matter."""
    params = network.init(config, np.random.default_rng(seed))
    if network.id == "sape.1":
        return {**params, "grid.0": np.random.default_rng(seed).random(params["grid.0"].shape, dtype=np.float32)}
    return {name: value * 60 if name.startswith("grid.") else value for name, value in params.items()}


def name_of(case: tuple[Network, Any]) -> str:
    return f"{case[0].id}-{case[1].in_features}d"


def smooth_picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Waves and an edge in [0, 1], float32 (height, width, channels), on the codes of 8 bits."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [0.5 + 0.3 * np.sin(x / (4.0 + k)) * np.cos(y / (5.0 + k)) + 0.15 * (x > y + 3 * k) for k in range(channels)]
    return (np.floor(np.clip(np.stack(waves, -1), 0, 1) * 255 + 0.5) / 255).astype(np.float32)
