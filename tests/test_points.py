"""Scattered points in the PyTorch engine: hash-grid features and sine layers on coordinates, forward and backward, in d = 1 to 4."""

import math
import warnings

import numpy as np
import pytest
import torch

from inrcodec import decoder
from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.torch import TorchOps
from inrcodec.backends.torch_grid import corners_at_points
from inrcodec.backends.torch_tape import Tape
from inrcodec.coordinates import Points
from inrcodec.networks import NETWORKS
from inrcodec.networks.hashgrid import Level, corners, geometric_levels, tcnn_levels
from inrcodec.networks.msa import MsaConfig
from inrcodec.networks.siren import SirenConfig
from inrcodec.opening import open_inr
from tests.nets import lively_params, name_of, small_networks, small_sasnet
from tests.test_backends import assert_class_f32, tape_ops
from tests.test_decoder import file_bytes

LAYERS = ("fused", "plain")
SIZES = (1, 2, 255, 256, 257, 1001)


def scattered(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Points (n, d) of the domain; among them, as far as n allows, its corners, its middle and points slightly outside."""
    rng = np.random.default_rng(seed)
    special = [np.full(d, v) for v in (1.0, -1.0, 0.0, 1.01, -1.01, 1 + 1e-9, -1 - 1e-9)]
    special += [np.where(np.arange(d) % 2, 1.0, -1.03), np.where(np.arange(d) % 2, -1.0, 1.2)]
    return np.concatenate([rng.uniform(-1, 1, (max(0, n - len(special)), d)), special])[:n]


def levels_of(d: int) -> tuple[Level, ...]:
    """Dense and hashed, with a power of two of entries and without, wrapping at the border, of one entry."""
    return (
        *geometric_levels(d=d, levels=2, coarsest=2, finest=5, max_entries=1 << 12),
        *geometric_levels(d=d, levels=2, coarsest=40, finest=700, max_entries=256),
        *geometric_levels(d=d, levels=1, coarsest=90, finest=90, max_entries=77),
        *tcnn_levels(d=d, levels=2, base_resolution=4, per_level_scale=1.7, log2_entries=None),
        *geometric_levels(d=d, levels=2, coarsest=3, finest=12, max_entries=1 << 12, taps=4),
        Level(20.5, 24, 301, 4),
        Level(3.0, 4, 1),
    )


def tables_of(levels: tuple[Level, ...], k: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.standard_normal((level.entries, k), dtype=np.float32) for level in levels]


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_grid_features_are_those_of_the_reference(d: int, layers: str) -> None:
    levels = levels_of(d)
    for n, k in zip(SIZES, (2, 3, 1, 2, 4, 2), strict=True):
        x, tables = Points(scattered(n, d)), tables_of(levels, k)
        expected = NumpyOps().hash_grid(x, tables, levels, (1.0,) * x.d)
        tensors = [torch.tensor(table) for table in tables]
        found = tape_ops(layers).hash_grid(x, tensors, levels, (1.0,) * x.d)
        assert found.shape == (len(levels) * k, n) and found.is_contiguous()
        np.testing.assert_allclose(found.numpy().T, expected, atol=2e-6)
        with torch.no_grad():
            taped = Tape(tape_ops(layers)).hash_grid(x, tensors, levels, (1.0,) * x.d)
        np.testing.assert_array_equal(taped.numpy(), found.numpy())


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_corners_are_those_of_the_reference_to_the_bit(d: int) -> None:
    x = scattered(300, d)
    for level in levels_of(d):
        rows, weights = corners_at_points(torch.tensor(x), level)
        expected_rows, expected_weights = corners(x, level, (1.0,) * x.shape[1])
        np.testing.assert_array_equal(rows.numpy(), np.stack(expected_rows))
        np.testing.assert_array_equal(weights.numpy(), np.stack(expected_weights))


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_one_points_table_gradients_are_its_weights(d: int, layers: str) -> None:
    levels = levels_of(d)
    for point in scattered(12, d):
        tables = [torch.zeros(level.entries, 3) for level in levels]
        for table in tables:
            table.grad = torch.zeros_like(table)
        tape = Tape(tape_ops(layers))
        with torch.no_grad():
            out = tape.hash_grid(Points(point[None]), tables, levels, (1.0,) * len(point))
            tape.backward(out, torch.ones_like(out))
        for table, level in zip(tables, levels, strict=True):
            expected = np.zeros(level.entries, np.float32)
            for row, weight in zip(*corners(point[None], level, (1.0,) * len(point)), strict=True):
                expected[row] += weight
            assert table.grad is not None
            # The polynomials of a cubic level are compiled with products and sums in one.
            np.testing.assert_allclose(table.grad.numpy(), np.stack([expected] * 3, axis=1), rtol=0, atol=0 if level.taps == 2 else 1e-6)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_table_gradients_are_the_adjoint_and_are_added(d: int, layers: str) -> None:
    levels, rng = levels_of(d), np.random.default_rng(2)
    for n, k in ((257, 2), (1001, 3)):
        x = scattered(n, d)
        tables = [torch.tensor(table) for table in tables_of(levels, k)]
        before = [rng.standard_normal(table.shape).astype(np.float32) for table in tables]
        for table, values in zip(tables, before, strict=True):
            table.grad = torch.tensor(values)
        tape = Tape(tape_ops(layers))
        with torch.no_grad():
            out = tape.hash_grid(Points(x), tables, levels, (1.0,) * x.shape[1])
            grad = rng.standard_normal(out.shape).astype(np.float32)
            tape.backward(out, torch.tensor(grad))
        for i, (table, level) in enumerate(zip(tables, levels, strict=True)):
            expected, size = before[i].astype(np.float64), np.ones(table.shape)
            part = grad[i * k : (i + 1) * k].T.astype(np.float64)
            for row, weight in zip(*corners(x, level, (1.0,) * x.shape[1]), strict=True):
                np.add.at(expected, row, weight[:, None] * part)
                np.add.at(size, row, np.abs(weight[:, None] * part))
            assert table.grad is not None
            assert (np.abs(table.grad.numpy() - expected) <= 3e-6 * size).all()


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["frozen", "trained"])
def test_sines_at_points_and_their_gradients(kind: str, d: int, layers: str) -> None:
    """Against the formula in float64: masks with an empty group, scales per neuron, rows that are not masked."""
    rng, h, widths = np.random.default_rng(3), 13, (4, 0, 5)
    for n in SIZES:
        x = scattered(n, d)
        w = rng.uniform(-3, 3, (h, d)).astype(np.float32)
        b = rng.uniform(-3, 3, h).astype(np.float32)
        mask = rng.uniform(0.2, 1, (3, n)).astype(np.float32)
        omega = np.geomspace(0.5, 300, h) if kind == "trained" else 2 * math.pi / 2.1
        options = {"weight_scale": omega, "bias_scale": omega if kind == "trained" else 1.0}
        amplitude = 1 / omega if kind == "trained" else 1.0
        tensors = {"w": torch.tensor(w), "b": torch.tensor(b)}
        tensors["b"].grad = torch.zeros(h)
        if kind == "trained":
            tensors["w"].grad = torch.zeros(h, d)
        held = torch.tensor(mask)
        tape = Tape(tape_ops(layers))
        grad = rng.standard_normal((h, n)).astype(np.float32)
        with torch.no_grad():
            mask_grad = tape.watch(held)
            out = tape.sine_embedding(Points(x), **tensors, **options, amplitude=amplitude, mask=held, widths=widths)
            found = out.clone().numpy()
            tape.backward(out, torch.tensor(grad))
            plain = tape_ops(layers).sine_embedding(Points(x), **tensors, **options, amplitude=amplitude, mask=held, widths=widths)

        column = np.reshape(omega, (-1, 1))
        bias_column = column if kind == "trained" else 1.0
        turned = (b.astype(np.float32) * np.float32(bias_column).reshape(-1)).astype(np.float64)
        angle = column * w.astype(np.float64) @ x.T + turned[:, None]
        group = np.repeat([-1, 0, 1, 2], (h - sum(widths), *widths))
        factor = np.where(group[:, None] < 0, 1.0, mask[group])
        size = np.reshape(amplitude, (-1, 1))
        expected = size * np.sin(angle) * factor
        np.testing.assert_allclose(found / size, expected / size, atol=1e-6)
        np.testing.assert_allclose(plain.numpy() / size, found / size, atol=4e-7)
        dz = grad * size * np.cos(angle) * factor
        phase = tensors["b"].grad
        assert phase is not None
        np.testing.assert_allclose(phase.numpy(), (dz * bias_column).sum(1), atol=3e-4)
        by_row = grad * size * np.sin(angle)
        sums = np.stack([by_row[group == j].sum(0) for j in range(3)])
        np.testing.assert_allclose(mask_grad.numpy(), sums, atol=2e-5)
        if kind == "trained":
            slope = tensors["w"].grad
            assert slope is not None
            np.testing.assert_allclose(slope.numpy(), (dz @ x) * column, atol=3e-4)
        else:
            assert tensors["w"].grad is None


FOUR = [(NETWORKS["sasnet.1"], small_sasnet(4, 1)), (NETWORKS["siren.1"], SirenConfig(4, 2, 24, 1, 30.0, 30.0))]
FOUR.append((NETWORKS["msa.1"], MsaConfig(4, 1, 24, 1, -1.0, 1.0)))


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("case", [*small_networks(), *FOUR], ids=name_of)
def test_networks_at_points_have_the_values_of_numpy_and_the_gradients_of_autograd(case: tuple, layers: str) -> None:
    network, config = case
    initial = lively_params(network, config)
    trained = {p.name for p in network.params(config) if p.trainable}
    for n in (1, 517):
        coords = Points(scattered(517, config.in_features)[-n:])
        leaves = {name: torch.tensor(value).requires_grad_(name in trained) for name, value in initial.items()}
        output = network.forward(TorchOps(torch.device("cpu")), config, leaves, coords)
        weight = torch.linspace(-1, 1.5, output.numel()).view_as(output)
        (output * weight).sum().backward()
        tensors = {name: torch.tensor(value) for name, value in initial.items()}
        for name in trained:
            tensors[name].grad = torch.zeros_like(tensors[name])
        tape = Tape(tape_ops(layers))
        with torch.no_grad():
            found = network.forward(tape, config, tensors, coords)
            evaluated = network.forward(tape_ops(layers), config, tensors, coords)
            tape.backward(found, weight)
        if n > 1:
            reference = network.forward(NumpyOps(), config, initial, coords)
            assert_class_f32(found.numpy().T, reference)
            assert_class_f32(evaluated.numpy().T, reference)
        for name in trained:
            expected, grad = leaves[name].grad, tensors[name].grad
            assert expected is not None and grad is not None
            assert float((grad - expected).abs().max()) <= 2e-4 * float(expected.abs().max()), name


@pytest.mark.parametrize("layers", LAYERS)
def test_no_points_are_no_samples(layers: str) -> None:
    for network, config in small_networks():
        coords = Points(np.zeros((0, config.in_features)))
        tensors = {name: torch.tensor(value) for name, value in lively_params(network, config).items()}
        assert network.forward(tape_ops(layers), config, tensors, coords).shape == (config.out_features, 0)


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_values_at_points_keep_their_order_whatever_the_cut(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inr = open_inr(file_bytes(), backend=backend, device="cpu")
    points = scattered(1001, 2)
    whole = inr.at(points)
    assert np.abs(np.diff(whole, axis=0)).max() > 0.05
    monkeypatch.setattr(decoder, "POINTS", 90)
    np.testing.assert_allclose(inr.at(points), whole, atol=2e-6)


def test_coordinates_that_cannot_be_written_are_read_without_a_warning() -> None:
    inr = open_inr(file_bytes(), backend="torch", device="cpu")
    points = scattered(5, 2)
    expected = inr.at(points)
    points.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(inr.at(points), expected)
