"""The networks against the papers: parameter counts, theorem 1 of SASNet, MSA's derivative bound, tiny-cuda-nn's grid."""

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import jv

from inrcodec.backends.numpy import NumpyOps
from inrcodec.coordinates import Points
from inrcodec.errors import CorruptFile
from inrcodec.fit.presets import paper_config
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import config_from_list, config_to_list
from inrcodec.networks.hashgrid import PRIMES, Level, geometric_levels, tcnn_levels, vertices
from inrcodec.networks.msa import MsaConfig, frequencies
from inrcodec.networks.sasnet import SasnetConfig, band_widths, draw_frequencies, half_lattice
from inrcodec.networks.siren import SirenConfig
from tests.nets import name_of, small_networks, small_sasnet


def trainable(config: object, network: str = "sasnet.1") -> int:
    return sum(param.size for param in NETWORKS[network].params(config) if param.trainable)


def test_volume_configuration_has_the_papers_parameters() -> None:
    assert trainable(paper_config(3, 1)) == 138_181


def test_sdf_configuration_has_the_papers_parameters() -> None:
    levels = geometric_levels(d=3, levels=10, coarsest=16, finest=256, max_entries=1 << 10)
    assert trainable(SasnetConfig(3, 1, 256, 224, 2, 30.0, 2.1, 6, 30, 4, 8, 48, 2, levels, (1.0,) * 3)) == 130_917


def test_image_configuration_is_within_a_per_cent_of_the_papers() -> None:
    config = paper_config(2, 3)
    assert abs(trainable(config) / 128_865 - 1) < 0.01
    trunk = {"frequency", "phase", "hidden.0", "hidden.1", "out"}
    backbone = [
        p for p in NETWORKS["sasnet.1"].params(config) if p.trainable and p.name.removesuffix(".weight").removesuffix(".bias") in trunk
    ]
    assert sum(p.size for p in backbone) == 114_635


@pytest.mark.parametrize("weight", [[0.7], [1.3, -0.4], [0.5, 0.9, -1.1]])
def test_theorem_1_bessel_expansion_of_a_sine_neuron(weight: list[float]) -> None:
    """sin(sum_l W_l sin(y_l) + b) = sum_k prod_l J_k_l(W_l) sin(<k, y> + b)."""
    rng = np.random.default_rng(0)
    y = rng.uniform(-3, 3, (40, len(weight)))
    bias, terms = 0.3, 12
    k = np.stack(np.meshgrid(*[np.arange(-terms, terms + 1)] * len(weight), indexing="ij"), -1).reshape(-1, len(weight))
    alpha = np.prod(jv(k, np.array(weight)), axis=1)
    expansion = np.sin(y @ k.T + bias) @ alpha
    layer = NumpyOps().sine_layer(
        np.sin(y).astype(np.float32), np.array([weight], np.float32), np.array([bias], np.float32), omega=1.0, amplitude=1.0, mask=None
    )
    np.testing.assert_allclose(layer[:, 0], expansion, atol=2e-6)


def test_msa_frequencies_are_logarithmic() -> None:
    w = frequencies(MsaConfig(1, 1, 5, 0, -1.0, 3.0))
    np.testing.assert_allclose(w, [0.1, 1, 10, 100, 1000], rtol=1e-7)
    assert (w == w.astype(np.float32)).all()


@given(st.floats(-50, 50), st.floats(-1, 3))
@settings(max_examples=50)
def test_msa_slope_is_at_most_one(z: float, exponent: float) -> None:
    """|d/dz sin(w z) / w| <= 1 (MSA, section "Amplitude modulation"), by differences of the layer itself in float64 steps."""
    w = np.array([10.0**exponent])
    step = 1e-3 / w[0]

    def layer(value: float) -> float:
        x = np.array([[value]], dtype=np.float64)
        points = Points(x)
        one, zero = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
        h = NumpyOps().sine_embedding(points, one, zero, weight_scale=w, bias_scale=w, amplitude=1 / w, mask=None, widths=())
        return float(h[0, 0]) * w[0]

    slope = (layer(z + step) - layer(z - step)) / (2e-3)
    assert abs(slope) <= 1 + 1e-3


def test_tcnn_table_sizes() -> None:
    scale = math.exp(math.log(2048 / 16) / 15)
    hashed = tcnn_levels(d=3, levels=16, base_resolution=16, per_level_scale=scale, log2_entries=19)
    assert sum(level.entries for level in hashed) * 2 == 12_196_240
    dense = tcnn_levels(d=2, levels=8, base_resolution=2, per_level_scale=2.0, log2_entries=None)
    assert sum(level.entries for level in dense) * 8 == 699_072


def tcnn_lookup(point: list[float], table: np.ndarray, level: Level) -> np.ndarray:
    """grid.h in scalar code: dimension 0 of tiny-cuda-nn is our last axis."""
    d = len(point)
    positions = [np.float32(np.float64(np.float32(level.scale)) * np.float64(np.float32((x + 1) / 2)) + 0.5) for x in reversed(point)]
    cell = [math.floor(p) for p in positions]
    weights = [np.float32(p - c) for p, c in zip(positions, cell, strict=True)]
    result = np.zeros(table.shape[1], np.float32)
    for corner in range(1 << d):
        weight, index, stride, hashed = np.float32(1), 0, 1, 0
        for k in range(d):
            up = corner >> k & 1
            weight = np.float32(weight * (weights[k] if up else np.float32(1) - weights[k]))
            index = (index + (cell[k] + up) * stride) % 2**32
            hashed ^= (cell[k] + up) * PRIMES[k] % 2**32
            stride *= level.resolution
        row = (hashed if level.entries < stride else index) % level.entries
        result = np.float32(np.float64(weight) * table[row].astype(np.float64) + result.astype(np.float64)).astype(np.float32)
    return result


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("log2_entries", [6, None])
def test_lookup_is_tiny_cuda_nns(d: int, log2_entries: int | None) -> None:
    rng = np.random.default_rng(1)
    levels = tcnn_levels(d=d, levels=3, base_resolution=5, per_level_scale=1.7, log2_entries=log2_entries)
    tables = [rng.standard_normal((level.entries, 2), dtype=np.float32) for level in levels]
    points = np.concatenate([rng.uniform(-1, 1, (30, d)), np.ones((1, d)), -np.ones((1, d))])
    found = NumpyOps().hash_grid(Points(points), tables, levels, (1.0,) * points.shape[1])
    for row, point in zip(found, points.tolist(), strict=True):
        expected = np.concatenate([tcnn_lookup(point, table, level) for table, level in zip(tables, levels, strict=True)])
        np.testing.assert_allclose(row, expected, atol=3e-7)


def test_our_levels_never_touch_a_vertex_outside() -> None:
    for level in geometric_levels(d=2, levels=6, coarsest=2, finest=300, max_entries=1 << 20):
        lower, weight = vertices(np.array([-1.0, -1 + 1e-9, 1 - 1e-6]), level, 1.0)
        assert lower.min() >= 0 and (lower + (weight > 0)).max() <= level.resolution - 1


@pytest.mark.parametrize("d", [1, 2, 3])
def test_half_lattice_has_one_of_each_pair(d: int) -> None:
    k = half_lattice(4, d, 1)
    rows = {tuple(row) for row in k.tolist()}
    assert len(rows) == len(k) == (9**d - 1) // 2
    assert not rows & {tuple(-v for v in row) for row in rows}


def test_frequencies_are_distinct_sorted_and_split_between_low_and_high() -> None:
    config = paper_config(2, 3)
    k = draw_frequencies(config, np.random.default_rng(3))
    top = np.abs(k).max(axis=1)
    assert k.shape == (256, 2) and len({tuple(row) for row in k.tolist()}) == 256
    assert (np.diff(top) >= 0).all() and top.max() <= 60
    assert (top <= 12).sum() == 128
    widths = band_widths(config, k.astype(np.float32))
    assert len(widths) == 4 and sum(widths) == 128 and min(widths) > 5


def test_too_few_lattice_points_are_refused() -> None:
    config = SasnetConfig(
        1, 1, 30, 8, 1, 30.0, 2.1, 2, 9, 2, 2, 8, 1, geometric_levels(d=1, levels=1, coarsest=2, finest=2, max_entries=8), (1.0,)
    )
    with pytest.raises(ValueError, match="frequencies"):
        draw_frequencies(config, np.random.default_rng(0))


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_configurations_survive_the_file(case: tuple) -> None:
    network, config = case
    described = config_to_list(config)
    assert config_from_list(network.config, described, "HEAD.net") == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_features": 0}, "hidden_features"),
        ({"hidden_features": True}, "expected int"),
        ({"omega_0": 30}, "expected float"),
        ({"omega_0": float("nan")}, "omega_0"),
        ({"groups": 5}, "divisor"),
        ({"levels": []}, "levels"),
        ({"levels": [[0.1, 4, 8, 2]]}, "float32"),
        ({"levels": [[0.5, 4, 8, 3]]}, "level taps: expected 2 or 4"),
        ({"levels": 3}, "expected a list"),
        ({"band": 2}, "band"),
        ({"stretch": [1.0]}, "stretch: expected 2 numbers"),
        ({"stretch": [1.0, 0.0]}, "stretch"),
        ({"stretch": [1.0, 1.5]}, "stretch"),
    ],
)
def test_bad_configurations_are_corrupt(change: dict, message: str) -> None:
    good = config_to_list(small_sasnet())
    described = [change.get(f.name, value) for f, value in zip(fields(SasnetConfig), good, strict=True)]
    with pytest.raises(CorruptFile, match=message):
        config_from_list(SasnetConfig, described, "HEAD.net")


@pytest.mark.parametrize("value", [{}, [], [2, 3, 8, 1, 30.0], [2, 3, 8, 1, 30.0, 30.0, 0]])
def test_a_list_of_another_length_is_corrupt(value: object) -> None:
    with pytest.raises(CorruptFile, match=r"expected a list of 6 values \(in_features, .* omega_0\), got"):
        config_from_list(SirenConfig, value, "HEAD.net")


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_network_rows_are_consistent(case: tuple) -> None:
    network, config = case
    params = network.params(config)
    initial = network.init(config, np.random.default_rng(0))
    assert [p.name for p in params] == list(dict.fromkeys(p.name for p in params))
    assert {p.name: p.shape for p in params} == {name: value.shape for name, value in initial.items()}
    assert all(value.dtype == np.float32 for value in initial.values())
    assert network.macs(config) > 0
    assert NETWORKS[network.id] is network
