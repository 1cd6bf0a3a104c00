"""Small networks of every kind, for the tests of engines, weights and decoders."""

from typing import Any

import numpy as np

from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import geometric_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.sasnet import SasnetConfig
from inrcodec.networks.siren import SirenConfig


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
    ]


def lively_params(network: Network, config: Any, seed: int = 0) -> dict[str, np.ndarray]:
    """Initial parameters with tables and masks large enough to matter."""
    params = network.init(config, np.random.default_rng(seed))
    return {name: value * 60 if name.startswith("grid.") else value for name, value in params.items()}


def name_of(case: tuple[Network, Any]) -> str:
    return f"{case[0].id}-{case[1].in_features}d"


def smooth_picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    """Waves and an edge in [0, 1], float32 (height, width, channels), on the codes of 8 bits."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [0.5 + 0.3 * np.sin(x / (4.0 + k)) * np.cos(y / (5.0 + k)) + 0.15 * (x > y + 3 * k) for k in range(channels)]
    return (np.floor(np.clip(np.stack(waves, -1), 0, 1) * 255 + 0.5) / 255).astype(np.float32)
