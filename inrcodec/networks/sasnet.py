"""sasnet.1: spatially-adaptive sinusoidal network (SASNet, sections 3.2 and 3.3; supplement sections 3.1 and 3.2).

h1 = sin(2 pi / period * K x + phase)                          K (n0, d) frozen integers, phase trained
M  = sigmoid(A2 relu(A1 hash_grid(x) + a1) + a2)               bands + groups * hidden_layers masks
h1 *= M_band                                                   the low frequencies, max|k| <= low, are not masked
h  = sin(omega_0 (W h + b)) * M_group                          hidden_layers times, `groups` equal groups
y  = W_out h + b_out
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import CorruptFile
from inrcodec.networks.base import Array, Network, Param, Params
from inrcodec.networks.checks import check_counts, check_finite, check_grid
from inrcodec.networks.hashgrid import Level
from inrcodec.networks.initial import bias_uniform, sine_uniform


@dataclass(frozen=True)
class SasnetConfig:
    in_features: int
    out_features: int
    frequencies: int  # n0, width of the frequency embedding
    hidden_features: int
    hidden_layers: int
    omega_0: float
    period: float  # of the embedding, in coordinate units; more than the domain (2) unties opposite borders
    low: int  # L: max|k| of the unmasked frequencies
    band: int  # B: max|k| of all frequencies
    bands: int  # masked frequency groups between L and B
    groups: int  # neuron groups per hidden layer
    mask_features: int  # hidden width of the mask decoder
    grid_features: int  # features per hash-grid level
    levels: tuple[Level, ...]
    stretch: tuple[float, ...]  # per axis, what the grid sees of a coordinate: below 1, fewer of its vertices lie along the axis

    def __post_init__(self) -> None:
        check_counts(self, "in_features", 1, 4)
        check_counts(self, "out_features", 1, 4096)
        for name in ("frequencies", "hidden_features", "mask_features"):
            check_counts(self, name, 1, 8192)
        check_counts(self, "hidden_layers", 1, 64)
        check_counts(self, "low", 1, 255)
        check_counts(self, "band", self.low + 1, 255)
        check_counts(self, "bands", 1, self.band - self.low)
        check_counts(self, "groups", 1, self.hidden_features)
        check_counts(self, "grid_features", 1, 64)
        check_finite(self, "omega_0", "period")
        check_grid(self)
        if self.hidden_features % self.groups:
            raise ValueError(f"groups: expected a divisor of hidden_features {self.hidden_features}, got {self.groups}")

    @property
    def masks(self) -> int:
        return self.bands + self.groups * self.hidden_layers

    @property
    def features(self) -> int:
        return self.grid_features * len(self.levels)


def params(cfg: SasnetConfig) -> tuple[Param, ...]:
    return (
        Param("frequency", (cfg.frequencies, cfg.in_features), "frequency", trainable=False),
        Param("phase", (cfg.frequencies,), "vector"),
        *mask_params(cfg),
        *trunk_params(cfg),
    )


def mask_params(cfg: Any) -> tuple[Param, ...]:
    """Tables and decoder of the masks."""
    tables = (Param(f"grid.{i}", (level.entries, cfg.grid_features), "table", axis=1) for i, level in enumerate(cfg.levels))
    return (
        *tables,
        Param("mask.0.weight", (cfg.mask_features, cfg.features), "matrix", axis=1),
        Param("mask.0.bias", (cfg.mask_features,), "vector"),
        Param("mask.1.weight", (cfg.masks, cfg.mask_features), "matrix", axis=0),
        Param("mask.1.bias", (cfg.masks,), "vector"),
    )


def trunk_params(cfg: Any) -> tuple[Param, ...]:
    """The layers behind the embedding."""
    h, width, result = cfg.hidden_features, cfg.frequencies, list[Param]()
    for i in range(cfg.hidden_layers):
        result += [Param(f"hidden.{i}.weight", (h, width), "matrix", axis=0), Param(f"hidden.{i}.bias", (h,), "vector")]
        width = h
    return (*result, Param("out.weight", (cfg.out_features, width), "matrix", axis=0), Param("out.bias", (cfg.out_features,), "vector"))


def init(cfg: SasnetConfig, rng: np.random.Generator) -> dict[str, Array]:
    """SIREN's initialisation for the trunk, N(0, 0.01) for the tables; masks start around 0.5 (supplement section 3.2)."""
    p: dict[str, Array] = {"frequency": draw_frequencies(cfg, rng).astype(np.float32)}
    p["phase"] = rng.uniform(-math.pi, math.pi, cfg.frequencies).astype(np.float32)
    return p | draw_mask_tensors(cfg, rng) | draw_trunk(cfg, rng)


def draw_mask_tensors(cfg: Any, rng: np.random.Generator) -> dict[str, Array]:
    p: dict[str, Array] = {}
    for param in mask_params(cfg):
        if param.role == "table":
            p[param.name] = (rng.standard_normal(param.shape, dtype=np.float32) * np.float32(0.01)).astype(np.float32)
        else:
            matrix = param.role == "matrix"
            p[param.name] = bias_uniform(param.shape, param.shape[-1], rng) if matrix else np.zeros(param.shape, np.float32)
    return p


def draw_trunk(cfg: Any, rng: np.random.Generator) -> dict[str, Array]:
    p: dict[str, Array] = {}
    for param in trunk_params(cfg):
        if param.role == "matrix":
            p[param.name] = sine_uniform(param.shape, cfg.omega_0, rng)
        elif param.name == "out.bias":
            p[param.name] = np.zeros(param.shape, np.float32)
        else:
            p[param.name] = bias_uniform(param.shape, p[param.name.replace("bias", "weight")].shape[1], rng)
    return p


def draw_frequencies(cfg: Any, rng: np.random.Generator) -> NDArray[np.int64]:
    """Half of the integers K (n0, d) from the low box, the rest from a regular grid outside it (supplement section 3.1).

    One of each pair +-k, none twice, sorted by (max|k|, lexicographic) so that every mask group is contiguous.
    """
    low = half_lattice(cfg.low, cfg.in_features, 1)
    n_low = min(len(low), math.ceil(cfg.frequencies / 2))
    n_high = cfg.frequencies - n_low
    step = max(1, math.floor((cfg.band / max(1.0, (2 * n_high) ** (1 / cfg.in_features))) * 2))
    high = low[:0]
    while len(high) < n_high and step >= 1:
        high = half_lattice(cfg.band, cfg.in_features, step)
        high = high[np.abs(high).max(axis=1) > cfg.low]
        step -= 1
    if len(high) < n_high:
        raise ValueError(f"frequencies: the lattice |k| <= {cfg.band} holds {n_low + len(high)}, expected at least {cfg.frequencies}")
    chosen = np.concatenate([rng.choice(low, n_low, replace=False), rng.choice(high, n_high, replace=False)])
    keys = [chosen[:, k] for k in reversed(range(cfg.in_features))]
    return chosen[np.lexsort([*keys, np.abs(chosen).max(axis=1)])]


def half_lattice(bound: int, d: int, step: int) -> NDArray[np.int64]:
    """Integer vectors with |k|inf <= bound on a grid of `step`, first nonzero component positive, zero left out: (m, d)."""
    axis = np.arange(-(bound // step) * step, bound + 1, step)
    k = np.stack(np.meshgrid(*[axis] * d, indexing="ij"), axis=-1).reshape(-1, d)
    leading = k[np.arange(len(k)), (k != 0).argmax(axis=1)]
    return np.asarray(k[leading > 0])


def embedding_widths(cfg: SasnetConfig, frequency: Any) -> tuple[Any, ...]:
    """`band_widths` of an engine's tensor; of each, where there is a tuple of them for as many networks that are evaluated together."""
    if isinstance(frequency, tuple):
        return tuple(embedding_widths(cfg, one) for one in frequency)
    if getattr(frequency, "is_cuda", False):
        return _widths_on_device(cfg, frequency)
    return band_widths(cfg, np.asarray(frequency, dtype=np.float32))


@lru_cache(maxsize=64)
def _widths_on_device(cfg: SasnetConfig, frequency: Any) -> tuple[int, ...]:
    # Frozen, so read once for each tensor (they are told apart by identity): to read it is to wait for all that the device has to do.
    return band_widths(cfg, np.asarray(frequency.cpu(), dtype=np.float32))


def band_widths(cfg: SasnetConfig, frequency: NDArray[np.float32]) -> tuple[int, ...]:
    """Columns in each masked group: bands of equal width in max|k| between low and band. Rows must be sorted by max|k|."""
    return _band_widths(cfg, frequency.tobytes())


@lru_cache(maxsize=64)
def _band_widths(cfg: SasnetConfig, frequency: bytes) -> tuple[int, ...]:
    top = np.abs(np.frombuffer(frequency, dtype=np.float32).reshape(-1, cfg.in_features)).max(axis=1).astype(np.int64)
    if top.max() > cfg.band or (np.diff(top) < 0).any():
        raise CorruptFile(f"frequency: expected max|k| ascending and at most {cfg.band}, got up to {top.max()}")
    band = (top[top > cfg.low] - cfg.low - 1) * cfg.bands // (cfg.band - cfg.low)
    return tuple(int(count) for count in np.bincount(band, minlength=cfg.bands))


def modulate(ops: Any, cfg: SasnetConfig, p: Params, coords: Any) -> Any:
    """The masks M: (n, bands + groups * hidden_layers)."""
    return masks_of(ops, p, grid_features(ops, cfg, p, coords))


def grid_features(ops: Any, cfg: SasnetConfig, p: Params, coords: Any) -> Any:
    return ops.hash_grid(coords, [p[f"grid.{i}"] for i in range(len(cfg.levels))], cfg.levels, cfg.stretch)


def masks_of(ops: Any, p: Params, features: Any) -> Any:
    hidden = ops.linear(features, p["mask.0.weight"], p["mask.0.bias"], activation="relu")
    return ops.linear(hidden, p["mask.1.weight"], p["mask.1.bias"], activation="sigmoid")


def trunk(ops: Any, cfg: SasnetConfig, p: Params, coords: Any, masks: Any) -> Any:
    h = embedding(ops, cfg, p, coords, masks)
    for i in range(cfg.hidden_layers):
        h = hidden_layer(ops, cfg, p, h, masks, i)
    return ops.linear(h, p["out.weight"], p["out.bias"])


def embedding(ops: Any, cfg: SasnetConfig, p: Params, coords: Any, masks: Any) -> Any:
    """h1 (n, n0)."""
    return ops.sine_embedding(
        coords,
        p["frequency"],
        p["phase"],
        weight_scale=2 * math.pi / cfg.period,
        bias_scale=1.0,
        amplitude=1.0,
        mask=ops.columns(masks, 0, cfg.bands),
        widths=embedding_widths(cfg, p["frequency"]),
    )


def hidden_layer(ops: Any, cfg: SasnetConfig, p: Params, h: Any, masks: Any, i: int) -> Any:
    start = cfg.bands + i * cfg.groups
    mask = ops.columns(masks, start, start + cfg.groups)
    return ops.sine_layer(h, p[f"hidden.{i}.weight"], p[f"hidden.{i}.bias"], omega=cfg.omega_0, amplitude=1.0, mask=mask)


def macs(cfg: SasnetConfig) -> int:
    corners: int = sum(cfg.grid_features * level.taps**cfg.in_features for level in cfg.levels)
    return corners + sum(param.size for param in params(cfg) if param.role == "matrix") + cfg.frequencies * cfg.in_features


SASNET = Network("sasnet.1", SasnetConfig, params, init, modulate, trunk, macs)
