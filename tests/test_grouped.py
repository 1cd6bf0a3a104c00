"""Layers and passes of several networks at once beside each alone."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from inrcodec.backends import torch_fused, torch_grouped, torch_layers
from inrcodec.backends.threads import team
from inrcodec.backends.torch_group_tape import NETWORKS as GROUPED
from inrcodec.backends.torch_group_tape import grouped_layers
from inrcodec.coordinates import lattice
from inrcodec.fit import data as data_module
from inrcodec.fit.data import TrainingData, training_data
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.grouped import Share, architecture, fill, finish_gradients, grouped_gradients, new_share, pass_key
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.quantized import FlatLayout, flat_layout
from inrcodec.networks import NETWORKS, sasnet
from tests.nets import lively_params, name_of, small_networks, small_sasnet, smooth_picture
from tests.stacks import pass_alone, pass_together, ramp, uniform, within
from tests.test_backends import assert_class_f32

CPU = torch.device("cpu")
CASES = [case for case in small_networks() if case[0].id in GROUPED]
SIDES = {1: (67,), 2: (7, 11), 3: (3, 4, 5)}


def assert_near(found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    """Within what sums in another order differ by."""
    assert found.shape == expected.shape, what
    scale = float(expected.abs().max())
    assert scale > 0 and float((found - expected).abs().max()) <= 2e-5 * scale, what


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(("m", "k", "h", "n", "groups"), [(3, 5, 6, 7, 2), (2, 17, 13, 131, 13), (4, 24, 32, 192, 0), (1, 1, 1, 1, 1)])
def test_sine_layers_of_stacks(m: int, k: int, h: int, n: int, groups: int, scaled: bool) -> None:
    x, w, b = uniform(m, k, n), within(m, h, k), within(m, h, seed=1)
    omega, amplitude = uniform(h, low=2, high=4), uniform(h, low=0.5, high=2) if scaled else None
    mask = uniform(m, groups + 3, n, low=0, high=1)[:, 2 : 2 + groups] if groups else None
    grads = {"w": torch.ones(m, h, k), "b": torch.ones(m, h), "mask": torch.ones(m, groups, n) if groups else None}
    out, saved = torch_grouped.sine_layer_forward(x, w, b, omega, amplitude, mask)
    grad_x = torch_grouped.sine_layer_backward(saved, torch.stack([ramp(out[0])] * m), **grads, need_x=True)
    for i in range(m):
        own = {name: None if grad is None else torch.ones_like(grad[i]) for name, grad in grads.items()}
        expected, kept = torch_layers.sine_layer_forward(x[i], w[i], b[i], omega, amplitude, None if mask is None else mask[i])
        assert_near(out[i], expected, "out")
        assert_near(grad_x[i], torch_layers.sine_layer_backward(kept, ramp(expected), **own, need_x=True), "x")
        for name, grad in grads.items():
            if grad is not None:
                assert_near(grad[i], own[name], name)


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid"])
def test_linear_layers_of_stacks(activation: Any) -> None:
    x, w, b = uniform(3, 5, 71), within(3, 9, 5), within(3, 9, seed=1)
    w_grad, b_grad = torch.ones(3, 9, 5), torch.ones(3, 9)
    out, saved = torch_grouped.linear_forward(x, w, b, activation)
    kept_out = out.clone()
    grad_x = torch_grouped.linear_backward(saved, torch.stack([ramp(out[0])] * 3), w=w_grad, b=b_grad, need_x=True)
    for i in range(3):
        own = {"w": torch.ones(9, 5), "b": torch.ones(9)}
        expected, kept = torch_layers.linear_forward(x[i], w[i], b[i], activation)
        assert_near(kept_out[i], expected, "out")
        assert_near(grad_x[i], torch_layers.linear_backward(kept, ramp(expected), **own, need_x=True), "x")
        assert_near(w_grad[i], own["w"], "w")
        assert_near(b_grad[i], own["b"], "b")


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_of_stacks(weighted: bool) -> None:
    output, targets = uniform(3, 2, 5), uniform(3, 2, 11)
    weights = uniform(3, 2, 11, low=0, high=2, seed=4) if weighted else None
    error, grad = torch_grouped.squared_error(output, targets, weights, 4, 0.3)
    for i in range(3):
        expected = torch_layers.squared_error(output[i], targets[i], None if weights is None else weights[i], 4, 0.3)
        assert_near(error[i], torch.as_tensor(expected[0]), "error")
        assert_near(grad[i], expected[1], "gradient")


@pytest.mark.parametrize("layers", [torch_layers, torch_fused], ids=["plain", "fused"])
@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_pass_together_is_the_pass_of_each(case: tuple, layers: Any) -> None:
    """Of networks with frequencies and at coordinates of their own."""
    network, config = case
    d = config.in_features
    initials = [lively_params(network, config, seed) for seed in range(3)]
    grids = [lattice(SIDES[d], [(-1 + 0.1 * i, 1 - 0.05 * i)] * d) for i in range(3)]
    found = pass_together(layers, network, config, initials, grids)
    for i, together in enumerate(found):
        alone = pass_alone(layers, network, config, initials[i], grids[i])
        assert set(together) == set(alone)
        assert_class_f32(together["out"].numpy(), alone["out"].numpy())
        for name, grad in alone.items():
            scale = float((grad - 1).abs().max()) if name != "out" else float(grad.abs().max())
            assert scale > 0 and float((together[name] - grad).abs().max()) <= 2e-4 * max(1.0, scale), name
    assert not torch.equal(found[0]["out"], found[1]["out"])


def test_bands_of_several_frequencies() -> None:
    config = small_sasnet()
    each = [torch.tensor(lively_params(NETWORKS["sasnet.1"], config, seed)["frequency"]) for seed in range(2)]
    assert sasnet.embedding_widths(config, tuple(each)) == tuple(sasnet.embedding_widths(config, one) for one in each)


def test_layers_without_stacks_of_their_own_have_the_plain_ones() -> None:
    assert grouped_layers(torch_layers) is torch_grouped and grouped_layers(torch_fused) is torch_grouped


def plan(name: str = "sasnet.2", **changes: Any) -> Plan:
    schedule = Schedule(steps=10, stride=2, learning_rate=5e-3, table_learning_rate=2e-2)
    return Plan(network=NETWORKS[name], config=small_sasnet(), schedule=replace(schedule, **changes), target=Target(lam=1e-4))


def picture(seed: int = 0, *, weighted: bool = False, **options: Any) -> TrainingData:
    values = np.roll(smooth_picture(24, 32), 5 * seed, axis=0)
    weights = np.random.default_rng(seed).random(values.shape, dtype=np.float32) if weighted else None
    return training_data(values, weights, [(-1, 1)] * 2, stride=2, device=CPU, **options)


def lane_of(chosen: Plan, seed: int) -> tuple[Any, FlatLayout, torch.Tensor]:
    params = chosen.network.params(chosen.config)
    layout, initial = flat_layout(params, CPU), lively_params(chosen.network, chosen.config, seed)
    values = torch.empty(layout.size)
    for name, view in layout.views(values).items():
        view.copy_(torch.as_tensor(initial[name]))
    frozen = {param.name: initial[param.name] for param in params if not param.trainable}
    return make_lanes(layout, values, torch.full_like(values, 7.0), frozen, CPU, 1)[0], layout, values


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sparsity", [0.0, 0.3])
@pytest.mark.parametrize("name", ["sasnet.1", "sasnet.2"])
def test_gradients_of_a_group_are_those_of_each_batch(name: str, weighted: bool, sparsity: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_module, "PIECE", 48)  # a batch in several pieces
    chosen = plan(name, mask_sparsity=sparsity)
    sources = [picture(seed, weighted=weighted) for seed in range(3)]
    shares: list[Share] = []
    lanes = [lane_of(chosen, seed) for seed in range(3)]
    batches = [data.batch((seed % 2, seed // 2)) for seed, data in enumerate(sources)]
    assert len({pass_key(batch, 0.5) for batch in batches}) == 1
    for (lane, _, values), data, batch in zip(lanes, sources, batches, strict=True):
        shares.append(new_share(lane, values, chosen, data.batch((1, 1))))
        fill(shares[-1], lane, chosen, batch)
    assert len(shares[0].sines) == 4
    sums = grouped_gradients(shares, lanes[0][0], lanes[0][1], chosen, scale=0.5, count=batches[0].count)
    for seed, (lane, _, _) in enumerate(lanes):
        finish_gradients(shares[seed], lane, chosen, batches[seed])
        own, _, _ = lane_of(chosen, seed)
        with team(1) as threads:
            error = batch_gradients([own], threads, chosen.network, chosen.config, batches[seed], scale=0.5, mask_sparsity=sparsity)
        assert float(sums[seed]) * 0.25 / batches[seed].count == pytest.approx(float(error), rel=1e-5)
        assert_near(lane.grads, own.grads, f"fit {seed}")


def test_batches_of_other_shapes_share_no_pass() -> None:
    first = picture()
    other = training_data(smooth_picture(24, 31), None, [(-1, 1)] * 2, stride=2, device=CPU)
    keys = {pass_key(other.batch((0, k)), 0.5) for k in range(2)} | {pass_key(first.batch((0, 0)), scale) for scale in (0.5, 0.25)}
    assert len(keys) == 3
    assert pass_key(first.batch((0, 0)), 0.5) == pass_key(picture(1).batch((1, 0)), 0.5)
    assert pass_key(first.batch((0, 0)), 0.5) != pass_key(picture(weighted=True).batch((0, 0)), 0.5)


def test_what_fits_have_in_common() -> None:
    def kind(chosen: Plan, data: Any = None, layers: Any = torch_layers) -> Any:
        layout = flat_layout(chosen.network.params(chosen.config), CPU)
        return architecture(chosen, data or picture(), layout, layers)

    usual = kind(plan())
    assert usual is not None and usual == kind(plan(steps=99), picture(5), torch_fused)
    others = [
        kind(plan("sasnet.1")),
        kind(plan(mask_sparsity=0.1)),
        kind(replace(plan(), config=replace(small_sasnet(), omega_0=20.0))),
        kind(plan(), training_data(smooth_picture(24, 30), None, [(-1, 1)] * 2, stride=2, device=CPU)),
        kind(plan(), picture(weighted=True)),
        kind(plan(), picture(smooth=True)),
    ]
    assert None not in others and len({usual, *others}) == 7


def test_fits_that_can_share_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    (wire,) = [case for case in small_networks() if case[0].id == "wire.1" and case[1].in_features == 2]
    chosen = Plan(network=wire[0], config=wire[1], schedule=plan().schedule, target=Target(lam=0))
    assert architecture(chosen, picture(), flat_layout(wire[0].params(wire[1]), CPU), torch_layers) is None
    monkeypatch.setattr(data_module, "PIECE", 48)
    chosen = plan()
    assert architecture(chosen, picture(parts=3), flat_layout(chosen.network.params(chosen.config), CPU), torch_layers) is None
