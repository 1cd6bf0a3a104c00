"""Every engine against the NumPy reference, on points and lattices, initial and fitted; gradients of the hand-written layers."""

import numpy as np
import pytest
import torch

from inrcodec.backends import available, make_engine
from inrcodec.backends.base import compile_network, pieces
from inrcodec.backends.gradient import input_gradient
from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.torch import TorchOps, torch_device
from inrcodec.coordinates import Lattice, Points, lattice, sample_centres
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.networks.hashgrid import geometric_levels, tcnn_levels
from tests.nets import lively_params, name_of, small_networks

SHAPES = {1: (67,), 2: (19, 23), 3: (5, 9, 7)}
RMS, PEAK = 2e-6, 2e-5  # class F32, of the value range


def assert_class_f32(found: np.ndarray, expected: np.ndarray) -> None:
    span = float(expected.max() - expected.min()) or 1.0
    error = (found.astype(np.float64) - expected) / span
    assert np.sqrt(np.mean(error**2)) <= RMS
    assert np.abs(error).max() <= PEAK


def test_the_tolerance_check_sees_a_perturbed_weight() -> None:
    network, config = small_networks()[0]
    params = lively_params(network, config)
    coords = lattice(SHAPES[2], [(-1, 1)] * 2)
    evaluate = compile_network(make_engine("numpy"), network, config, params)
    expected = evaluate(coords)
    params["hidden.0.weight"] = params["hidden.0.weight"] + np.float32(3e-5)
    changed = compile_network(make_engine("numpy"), network, config, params)(coords)
    with pytest.raises(AssertionError):
        assert_class_f32(changed, expected)


@pytest.mark.parametrize("engine", available())
@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_points_and_lattice_agree_with_the_reference(case: tuple, engine: str) -> None:
    network, config = case
    params = lively_params(network, config)
    coords = lattice(SHAPES[config.in_features], [(-1, 1)] * config.in_features)
    reference = network.forward(NumpyOps(), config, params, coords.points())
    evaluate = compile_network(make_engine(engine, device="cpu"), network, config, params)
    assert_class_f32(evaluate(coords), reference)
    assert_class_f32(evaluate(coords.points()), reference)


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_gradients_on_a_lattice_are_those_of_plain_autograd(case: tuple) -> None:
    network, config = case
    coords = lattice(SHAPES[config.in_features], [(-1, 1)] * config.in_features)
    gradients = []
    for where in (coords, coords.points()):
        tensors = {name: torch.tensor(value) for name, value in lively_params(network, config).items()}
        for param in network.params(config):
            tensors[param.name].requires_grad_(param.trainable)
        output = network.forward(TorchOps(torch.device("cpu")), config, tensors, where)
        weight = torch.linspace(-1, 1, output.numel()).view_as(output)
        (output * weight).sum().backward()
        gradients.append({name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None})
    fast, plain = gradients
    assert fast.keys() == plain.keys() and len(fast) == sum(p.trainable for p in network.params(config))
    for name, expected in plain.items():
        scale = float(expected.abs().max())
        assert scale > 0, name
        assert float((fast[name] - expected).abs().max()) <= 2e-4 * scale, name


def test_gradients_of_a_layer_against_finite_differences() -> None:
    network, config = small_networks()[0]
    ops = TorchOps(torch.device("cpu"))
    coords = lattice((4, 5), [(-1, 1)] * 2)
    tensors = {name: torch.tensor(value) for name, value in lively_params(network, config).items()}
    for name in ("phase", "hidden.0.weight", "grid.2", "mask.1.bias"):
        tensor = tensors[name].requires_grad_()
        network.forward(ops, config, tensors, coords).sum().backward()
        place = tuple(0 for _ in tensor.shape)
        if name == "grid.2":
            place = tuple(int(i[0]) for i in torch.nonzero(tensor.grad, as_tuple=True))
        step = 1e-3
        with torch.no_grad():
            values = []
            for sign in (1, -1):
                tensor[place] += sign * step
                values.append(float(network.forward(ops, config, tensors, coords).double().sum()))
                tensor[place] -= sign * step
        assert tensor.grad is not None
        found, expected = float(tensor.grad[place]), (values[0] - values[1]) / (2 * step)
        assert found == pytest.approx(expected, rel=0.03, abs=2e-3), name
        tensor.requires_grad_(False)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("hashed", [False, True])
def test_grids_with_wrapping_levels_and_gathered_rows(d: int, hashed: bool) -> None:
    """tiny-cuda-nn's own levels wrap at the border; levels of many vertices take the gathering path."""
    rng = np.random.default_rng(0)
    finest = {1: 900, 2: 260, 3: 24}[d]
    levels = (
        *tcnn_levels(d=d, levels=2, base_resolution=6, per_level_scale=2.0, log2_entries=5 if hashed else None),
        *geometric_levels(d=d, levels=1, coarsest=finest, finest=finest, max_entries=1 << (8 if hashed else 24)),
    )
    tables = [rng.standard_normal((level.entries, 2), dtype=np.float32) for level in levels]
    coords = lattice({1: (500,), 2: (90, 70), 3: (9, 8, 7)}[d], [(-1, 1)] * d)
    expected = NumpyOps().hash_grid(coords.points(), tables, levels)
    np.testing.assert_allclose(NumpyOps().hash_grid(coords, tables, levels), expected, atol=2e-6)
    leaves = [torch.tensor(table, requires_grad=True) for table in tables]
    ops = TorchOps(torch.device("cpu"))
    found = ops.hash_grid(coords, leaves, levels)
    np.testing.assert_allclose(found.detach().numpy().T, expected, atol=2e-6)
    weight = torch.linspace(-1, 1, found.numel()).view_as(found)
    fast = torch.autograd.grad((found * weight).sum(), leaves)
    plain = torch.autograd.grad((ops.hash_grid(coords.points(), leaves, levels) * weight).sum(), leaves)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-4)


@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_coordinate_gradients_against_finite_differences(case: tuple) -> None:
    network, config = case
    params = lively_params(network, config)
    d = config.in_features
    points = np.random.default_rng(5).uniform(-0.9, 0.9, (6, d))
    found = input_gradient(network, config, params, Points(points))
    assert found.shape == (6, config.out_features, d)
    step = 2e-5
    for k in range(d):
        shift = np.zeros(d)
        shift[k] = step
        high = network.forward(NumpyOps(), config, params, Points(points + shift)).astype(np.float64)
        low = network.forward(NumpyOps(), config, params, Points(points - shift)).astype(np.float64)
        scale = np.abs(found[:, :, k]).max() + 1e-3
        np.testing.assert_allclose(found[:, :, k] / scale, (high - low) / (2 * step) / scale, atol=0.05)


def test_large_angles_are_reduced_in_float64() -> None:
    x = np.array([[0.9], [0.123456789]])
    w, b = np.array([[12345.0]], np.float32), np.array([0.5], np.float32)
    expected = np.sin(x * 12345.0 * 30 + 0.5)
    options = {"weight_scale": 30.0, "bias_scale": 1.0, "amplitude": 1.0, "mask": None, "widths": ()}
    for coords in (Points(x), Lattice((x[:, 0],))):
        np.testing.assert_allclose(NumpyOps().sine_embedding(coords, w, b, **options), expected, atol=1e-6)
        found = TorchOps(torch.device("cpu")).sine_embedding(coords, torch.tensor(w), torch.tensor(b), **options)
        np.testing.assert_allclose(found.numpy().T, expected, atol=1e-6)


def test_pieces_cover_everything_in_order() -> None:
    coords = lattice((10, 7), [(-1, 1)] * 2)
    parts = list(pieces(coords, 20))
    assert [(a, b) for _, a, b in parts] == [(0, 14), (14, 28), (28, 42), (42, 56), (56, 70)]
    joined = np.concatenate([part.points().values for part, _, _ in parts])
    assert joined.tobytes() == coords.points().values.tobytes()


def test_memo_does_not_confuse_axes_of_equal_identity() -> None:
    network, config = small_networks()[0]
    params = {name: torch.tensor(value) for name, value in lively_params(network, config).items()}
    ops = TorchOps(torch.device("cpu"), memo_entries=3)
    for shift in (0.0, 0.1, 0.2, 0.3):
        coords = Lattice((sample_centres(6) * 0.5 + shift, sample_centres(5) * 0.5 - shift))
        found = network.forward(ops, config, params, coords).numpy().T
        expected = network.forward(NumpyOps(), config, {n: v.numpy() for n, v in params.items()}, coords)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="backend: expected auto"):
        make_engine("tensorflow")
    with pytest.raises(UsageError, match="device: expected"):
        torch_device("toaster")
    if not torch.cuda.is_available():
        with pytest.raises(BackendMissing, match="no such CUDA device"):
            torch_device("cuda")
