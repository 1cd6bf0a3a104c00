"""Every engine against the NumPy reference, on points and lattices, initial and fitted; gradients of the hand-written layers."""

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from inrcodec import backends, spec
from inrcodec.backends import available, cpu_kernels, make_engine, torch_fused, torch_layers
from inrcodec.backends import torch as torch_backend
from inrcodec.backends.base import PIECE, pieces
from inrcodec.backends.gradient import input_gradient
from inrcodec.backends.numpy import NumpyOps
from inrcodec.backends.numpy_slopes import input_slopes
from inrcodec.backends.threads import team
from inrcodec.backends.torch import TorchOps, torch_device
from inrcodec.backends.torch_double import DoubleOps
from inrcodec.backends.torch_tape import Tape
from inrcodec.coordinates import Lattice, Points, lattice, sample_centres
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Network
from inrcodec.networks.hashgrid import geometric_levels, tcnn_levels
from tests.nets import lively_params, name_of, small_networks, small_sasnet

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
    evaluate = make_engine("numpy").compile(network, config, params)
    expected = evaluate(coords)
    params["hidden.0.weight"] = params["hidden.0.weight"] + np.float32(3e-5)
    changed = make_engine("numpy").compile(network, config, params)(coords)
    with pytest.raises(AssertionError):
        assert_class_f32(changed, expected)


@pytest.mark.parametrize("engine", available())
@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_points_and_lattice_agree_with_the_reference(case: tuple, engine: str) -> None:
    network, config = case
    params = lively_params(network, config)
    coords = lattice(SHAPES[config.in_features], [(-1, 1)] * config.in_features)
    reference = network.forward(NumpyOps(), config, params, coords.points())
    evaluate = make_engine(engine, device="cpu").compile(network, config, params)
    assert_class_f32(evaluate(coords), reference)
    assert_class_f32(evaluate(coords.points()), reference)


def tape_ops(layers: str) -> TorchOps:
    """Operations on the CPU with these layers: "fused" or "plain"."""
    ops = TorchOps(torch.device("cpu"))
    ops.layers = {"fused": torch_fused, "plain": torch_layers}[layers]
    return ops


@pytest.mark.parametrize("layers", ["fused", "plain"])
@pytest.mark.parametrize("where", ["lattice", "points"])
@pytest.mark.parametrize("case", small_networks(), ids=name_of)
def test_gradients_of_the_tape_are_those_of_autograd(case: tuple, where: str, layers: str) -> None:
    network, config = case
    coords = lattice(SHAPES[config.in_features], [(-1, 1)] * config.in_features)
    chosen = coords if where == "lattice" else coords.points()
    initial = lively_params(network, config)
    trained = {p.name for p in network.params(config) if p.trainable}

    leaves = {name: torch.tensor(value).requires_grad_(name in trained) for name, value in initial.items()}
    output = network.forward(TorchOps(torch.device("cpu")), config, leaves, coords.points())
    weight = torch.linspace(-1, 1.5, output.numel()).view_as(output)
    (output * weight).sum().backward()

    tensors = {name: torch.tensor(value) for name, value in initial.items()}
    for name in trained:
        tensors[name].grad = leaves[name].grad.clone()  # what is there already is kept
    tape = Tape(tape_ops(layers))
    with torch.no_grad():
        found = network.forward(tape, config, tensors, chosen)
        tape.backward(found, weight)
    assert_class_f32(found.numpy(), output.detach().numpy())
    for name in trained:
        reference, grad = leaves[name].grad, tensors[name].grad
        assert reference is not None and grad is not None
        scale = float(reference.abs().max())
        assert scale > 0, name
        assert float((grad - 2 * reference).abs().max()) <= 2e-4 * scale, name


def test_the_tape_adds_the_gradients_of_a_value_used_twice() -> None:
    rng = torch.Generator().manual_seed(0)
    x, w = torch.randn(3, 5, generator=rng), torch.randn(3, 3, generator=rng)
    b = torch.zeros(3)
    w.grad, b.grad = torch.zeros_like(w), torch.zeros_like(b)
    tape = Tape(tape_ops("fused"))
    with torch.no_grad():
        place = tape.watch(x)
        once = tape.linear(x, w, b, activation="sigmoid")
        twice = tape.linear(once, w, b, activation="relu")
        joined = tape.sine_layer(once, w, b, omega=1.0, amplitude=1.0, mask=twice)
        tape.backward(joined, torch.ones_like(joined))
    leaf, weight = x.clone().requires_grad_(), w.clone().requires_grad_()
    once = torch.sigmoid(weight @ leaf)
    (torch.sin(weight @ once) * torch.relu(weight @ once)).sum().backward()
    assert leaf.grad is not None and weight.grad is not None
    torch.testing.assert_close(place, leaf.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(w.grad, weight.grad, atol=1e-5, rtol=1e-4)


def test_compiled_sines_are_accurate_and_keep_what_is_not_finite() -> None:
    rng = np.random.default_rng(0)
    for size in (1.0, 100.0, 3e4):
        z = rng.uniform(-size, size, (2, 3000)).astype(np.float32)
        slope, out = z.copy(), np.empty_like(z)
        group, mask = np.array([-1, 0], np.int32), rng.random((1, 3000), dtype=np.float32)
        ones = np.ones(2, np.float32)
        cpu_kernels.sine_and_slope(slope, 0 * ones, ones, ones, mask, group, out)
        factor = np.concatenate([np.ones_like(mask), mask]).astype(np.float64)
        assert np.abs(out - np.sin(z.astype(np.float64)) * factor).max() < 2e-7
        assert np.abs(slope - np.cos(z.astype(np.float64)) * factor).max() < 2e-7
        cpu_kernels.sine(z, 0 * ones, ones, ones, mask, group)
        np.testing.assert_allclose(z, out, atol=1e-7)
    strange = np.array([[np.nan, np.inf, -np.inf, 3e38]], np.float32)
    with np.errstate(invalid="ignore"):
        cpu_kernels.sine(strange, *[np.ones(1, np.float32)] * 3, mask, np.array([-1], np.int32))
    assert np.isnan(strange[0, :3]).all() and not abs(strange[0, 3]) > 8
    relu = np.array([[np.nan, -1.0, 2.0]], np.float32)
    cpu_kernels.relu(relu, np.zeros(1, np.float32))
    np.testing.assert_array_equal(relu, [[np.nan, 0, 2]])


def test_a_mask_of_zero_has_a_finite_gradient() -> None:
    z, out = np.zeros((2, 4), np.float32), np.zeros((2, 4), np.float32)
    mask, group = np.zeros((1, 4), np.float32), np.zeros(2, np.int32)
    grad_mask, grad_bias = np.ones((1, 4), np.float32), np.zeros(2, np.float32)
    cpu_kernels.sine_backward(z, out, np.ones_like(z), mask, group, grad_mask, grad_bias)
    np.testing.assert_array_equal(grad_mask, np.ones((1, 4)))


def test_without_numba_the_plain_layers_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("torch_fused", "cpu_kernels"):
        monkeypatch.delattr(backends, name)
        monkeypatch.delitem(sys.modules, f"inrcodec.backends.{name}")
    monkeypatch.setitem(sys.modules, "numba", None)
    torch_backend._layers_for.cache_clear()
    try:
        assert TorchOps(torch.device("cpu")).layers is torch_layers
        assert torch_backend.threads_of(torch.device("cpu")) == 1
    finally:
        monkeypatch.undo()
        torch_backend._layers_for.cache_clear()
    assert TorchOps(torch.device("cpu")).layers is torch_fused


def test_a_crew_keeps_order_raises_and_gives_the_threads_back() -> None:
    before = torch.get_num_threads()
    with team(3) as threads:
        assert torch.get_num_threads() == 1
        assert threads.map(lambda i: i * i, range(50)) == [i * i for i in range(50)]
        assert threads.map(len, []) == []
        done = []

        def fail(i: int) -> None:
            if i == 3:
                raise ValueError("three")
            done.append(i)

        with pytest.raises(ValueError, match="three"):
            threads.map(fail, range(10_000))
        assert len(done) < 9_999
    assert torch.get_num_threads() == before
    with team(1) as alone:
        assert torch.get_num_threads() == before
        assert alone.map(str, [1, 2]) == ["1", "2"]


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
    stretch = (0.8, 1.0, 0.75)[:d]
    finest = {1: 900, 2: 260, 3: 24}[d]
    levels = (
        *tcnn_levels(d=d, levels=2, base_resolution=6, per_level_scale=2.0, log2_entries=5 if hashed else None),
        *(
            level
            for taps in (2, 4)
            for level in geometric_levels(d=d, levels=1, coarsest=finest, finest=finest, max_entries=1 << (8 if hashed else 24), taps=taps)
        ),
    )
    tables = [rng.standard_normal((level.entries, 2), dtype=np.float32) for level in levels]
    coords = lattice({1: (500,), 2: (90, 70), 3: (9, 8, 7)}[d], [(-1, 1)] * d)
    expected = NumpyOps().hash_grid(coords.points(), tables, levels, stretch)
    np.testing.assert_allclose(NumpyOps().hash_grid(coords, tables, levels, stretch), expected, atol=2e-6)
    leaves = [torch.tensor(table, requires_grad=True) for table in tables]
    ops = TorchOps(torch.device("cpu"))
    tape = Tape(ops)
    for leaf in leaves:
        leaf.grad = torch.zeros_like(leaf)
    with torch.no_grad():
        found = tape.hash_grid(coords, leaves, levels, stretch)
    np.testing.assert_allclose(found.detach().numpy().T, expected, atol=2e-6)
    weight = torch.linspace(-1, 1, found.numel()).view_as(found)
    with torch.no_grad():
        tape.backward(found, weight)
    fast = [leaf.grad for leaf in leaves]
    plain = torch.autograd.grad((ops.hash_grid(coords.points(), leaves, levels, stretch) * weight).sum(), leaves)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-4)


def cubic_networks() -> list[tuple]:
    """A network with cubic levels, one with a scale per neuron."""
    levels = geometric_levels(d=2, levels=3, coarsest=4, finest=24, max_entries=300, taps=4)
    return [(NETWORKS["sasnet.2"], replace(small_sasnet(2, 3), levels=levels)), *small_networks()]


@pytest.mark.parametrize("case", cubic_networks(), ids=name_of)
def test_coordinate_gradients_against_finite_differences(case: tuple) -> None:
    network, config = case
    params = lively_params(network, config)
    d, step = config.in_features, 2e-5
    points = np.random.default_rng(5).uniform(-0.9, 0.9, (6, d))
    held = {name: value.astype(np.float64) for name, value in params.items()}
    for found in (input_gradient(network, config, params, Points(points)), input_slopes(network, config, params, Points(points))):
        assert found.shape == (6, config.out_features, d) and found.dtype == np.float32
        for k in range(d):
            shift = np.zeros(d)
            shift[k] = step
            high, low = (network.forward(NumpyOps(np.float64), config, held, Points(x)) for x in (points + shift, points - shift))
            scale = np.abs(found[:, :, k]).max() + 1e-3
            np.testing.assert_allclose(found[:, :, k] / scale, (high - low) / (2 * step) / scale, atol=0.02)


def double_gradient(network: Network, config: Any, params: dict[str, np.ndarray], coords: Points) -> np.ndarray:
    """As input_gradient, in float64."""
    x = torch.tensor(coords.values, requires_grad=True)
    tensors = {name: torch.as_tensor(value).double() for name, value in params.items()}
    output = network.forward(DoubleOps(torch.device("cpu")), config, tensors, Points(x))  # type: ignore[arg-type]
    return torch.stack([torch.autograd.grad(row.sum(), x, retain_graph=True)[0] for row in output], dim=1).numpy()


@pytest.mark.parametrize("case", cubic_networks(), ids=name_of)
def test_forward_mode_has_the_gradients_of_autograd(case: tuple) -> None:
    network, config = case
    params, n = lively_params(network, config), PIECE // 4 + 3  # more than are worked on at once
    points = Points(np.random.default_rng(6).uniform(-1, 1, (n, config.in_features)))
    # In training PyTorch evaluates the steep functions of some networks in float32.
    derive = double_gradient if network.id in spec.COMPARED_FIELDS else input_gradient
    automatic = derive(network, config, params, points)
    scale = np.abs(automatic).max()
    np.testing.assert_allclose(input_slopes(network, config, params, points) / scale, automatic / scale, atol=2e-5)
    doubled = input_slopes(network, config, params, points, precision=np.float64)
    assert doubled.dtype == np.float64
    np.testing.assert_allclose(doubled / scale, automatic / scale, atol=2e-5)


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
