"""The trainer: rate and its gradients, guard, checkpoints, determinism, interruption."""

import math
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from inrcodec.backends.threads import team
from inrcodec.backends.torch import TorchOps
from inrcodec.context import ContextNet, pack_net
from inrcodec.coordinates import Points
from inrcodec.errors import InputError, InrError, Interrupted, UsageError
from inrcodec.fit.data import TrainingData, training_data
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.presets import lam_of_quality, make_plan
from inrcodec.fit.quantized import (
    MOST_STEP,
    SCALE_FLOOR,
    bound_scales,
    flat_layout,
    group_max,
    group_sum,
    initial_scales,
    quantize_flat,
    rate,
)
from inrcodec.fit.request import EFFORT_STEPS, Request
from inrcodec.fit.trainer import Fitted, RunOptions, fit
from inrcodec.networks import NETWORKS
from inrcodec.progress import Progress
from tests.nets import lively_params, small_sasnet, smooth_picture

CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=60, stride=2, learning_rate=5e-3, table_learning_rate=2e-2)


def plan(**changes: object) -> Plan:
    return Plan(
        network=NETWORKS["sasnet.1"],
        config=small_sasnet(),
        schedule=replace(SCHEDULE, **changes),  # type: ignore[arg-type]
        target=Target(lam=1e-4),
    )


def data(stride: int = 2) -> TrainingData:
    return training_data(smooth_picture(24, 31), None, [(-1, 1)] * 2, stride=stride, device=CPU)


def run(features: int = 0, **options: object) -> Fitted:
    """A fit, with a context network of so many hidden features."""
    chosen: dict = {"seed": 0, "device": CPU, **options}
    return fit(data(), plan(context_features=features), RunOptions(**chosen))


def same(a: Fitted, b: Fitted) -> bool:
    return (
        all(a.values[n].tobytes() == b.values[n].tobytes() for n in a.values)
        and all(a.steps[n].tobytes() == b.steps[n].tobytes() for n in a.steps)
        and same_contexts(a.contexts, b.contexts)
    )


def same_contexts(a: ContextNet | None, b: ContextNet | None) -> bool:
    return a is b if a is None or b is None else pack_net(a) == pack_net(b)


def test_rate_is_the_entropy_of_the_discretised_laplace_and_its_gradients_are_right() -> None:
    params = NETWORKS["sasnet.1"].params(small_sasnet())
    layout = flat_layout(params, CPU)
    flat = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    log_step, log_scale = initial_scales(layout, flat, table_step=0.4, matrix_step=0.1)
    log_scale = log_scale + 0.1

    def reference(values: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        d, s = torch.exp(a)[layout.group], torch.exp(b)[layout.group]

        def cdf(x: torch.Tensor) -> torch.Tensor:
            return torch.where(x < 0, 0.5 * torch.exp(x.clamp(max=0)), 1 - 0.5 * torch.exp(-x.clamp(min=0)))

        size = values.abs()  # symmetric: evaluated on the side where the difference keeps its digits
        return -torch.log2(cdf((-size + d / 2) / s) - cdf((-size - d / 2) / s)).sum()

    leaves = [t.double().requires_grad_() for t in (flat, log_step, log_scale)]
    expected = reference(*leaves)
    gradients = torch.autograd.grad(expected, leaves)
    found = rate(layout, flat.double(), log_step.double(), log_scale.double())
    assert float(found.bits) == pytest.approx(float(expected.detach()), rel=1e-6)
    for a, b in zip((found.grad_values, found.grad_log_step, found.grad_log_scale), gradients, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_groups_follow_the_axis_of_a_parameter() -> None:
    params = NETWORKS["sasnet.1"].params(small_sasnet())
    layout = flat_layout(params, CPU)
    sums = group_sum(layout, torch.ones(layout.size))
    assert sums.tolist() == layout.group_sizes.tolist()
    groups = dict(zip([p.name for p in layout.params], zip(layout.group_offsets, layout.group_offsets[1:], strict=False), strict=True))
    a, b = groups["hidden.0.weight"]
    assert b - a == 32 and set(sums[a:b].tolist()) == {24.0}
    a, b = groups["grid.0"]
    assert b - a == 2


def test_rounding_residual_reaches_the_grid() -> None:
    layout = flat_layout(NETWORKS["sasnet.1"].params(small_sasnet()), CPU)
    flat = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    step = torch.full((layout.groups,), 0.25)
    rounded = flat + quantize_flat(layout, flat, step, None) * 0.25
    np.testing.assert_allclose(rounded / 0.25, torch.round(flat / 0.25), atol=1e-5)
    noise = quantize_flat(layout, flat, step, torch.Generator().manual_seed(0))
    assert float(noise.abs().max()) <= 0.5 and abs(float(noise.mean())) < 0.02


def test_a_group_that_rounds_to_0_is_0_without_noise() -> None:
    layout = flat_layout(NETWORKS["sasnet.1"].params(small_sasnet()), CPU)
    flat = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    step = torch.full((layout.groups,), 0.25)
    step[3] = 2.01 * group_max(layout, flat)[3]
    step[4] = 1.99 * group_max(layout, flat)[4]
    noisy = flat + quantize_flat(layout, flat, step, torch.Generator().manual_seed(0)) * step[layout.group]
    assert float(noisy[layout.group == 3].abs().max()) < 1e-6
    assert bool((noisy - flat)[layout.group != 3].abs().gt(0).float().mean() > 0.99)


def test_the_largest_of_each_group() -> None:
    layout = flat_layout(NETWORKS["sasnet.1"].params(small_sasnet()), CPU)
    flat = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    expected = [float(flat[layout.group == g].abs().max()) for g in range(layout.groups)]
    np.testing.assert_array_equal(group_max(layout, flat), np.float32(expected))


def test_steps_stay_where_values_can_come_back() -> None:
    layout = flat_layout(NETWORKS["sasnet.1"].params(small_sasnet()), CPU)
    flat = torch.randn(layout.size, generator=torch.Generator().manual_seed(1))
    log_step, log_scale = torch.full((2, layout.groups), 5.0)
    log_scale -= 10
    bound_scales(layout, flat, log_step, log_scale, steps_fixed=False)
    np.testing.assert_allclose(torch.exp(log_step), MOST_STEP * group_max(layout, flat), rtol=1e-5)
    np.testing.assert_allclose(torch.exp(log_scale), SCALE_FLOOR * torch.exp(log_step), rtol=1e-5)
    fixed = torch.full((layout.groups,), 5.0)
    bound_scales(layout, flat, fixed, log_scale, steps_fixed=True)
    assert bool((fixed == 5).all())


def test_training_lowers_the_distortion_and_reports() -> None:
    seen: list[Progress] = []
    result = fit(data(), plan(steps=200), RunOptions(seed=0, device=CPU, progress=seen.append))
    assert result.steps_done == 200 and not result.interrupted
    assert {p.name for p in NETWORKS["sasnet.1"].params(small_sasnet())} == set(result.values) | set(result.frozen)
    for report in seen:
        assert report.stage in ("fit", "rate") and 0 < report.step <= report.steps == 200


def test_same_seed_same_result_other_seed_another() -> None:
    assert same(run(), run())
    assert not same(run(), run(seed=1))


def interrupting(after: int, path: Path, **options: object) -> Fitted:
    """Run with a Ctrl-C after `after` steps."""
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        if count == after:
            signal.raise_signal(signal.SIGINT)
        return False

    return run(checkpoint=path, checkpoint_key="k", stop=stop, **options)


@pytest.mark.parametrize(("after", "features"), [(7, 0), (7, 4), (33, 0), (33, 4), (55, 0), (58, 4)])
def test_interrupted_and_resumed_is_the_same_run(after: int, features: int, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(Interrupted, match=f"interrupted at step {after}"):
        interrupting(after, path, features=features)
    assert [p.name for p in tmp_path.iterdir()] == ["run.ckpt"]
    found = run(features, checkpoint=path, checkpoint_key="k", resume=True)
    assert same(found, run(features))
    assert (found.contexts is None) == (features == 0)


def test_interrupt_can_keep_the_best_so_far(tmp_path: Path) -> None:
    result = interrupting(40, tmp_path / "c", keep_on_interrupt=True)
    assert result.interrupted and result.steps_done == 40


def test_checkpoints_of_other_input_or_no_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    with pytest.raises(Interrupted):
        interrupting(5, path)
    with pytest.raises(UsageError, match="belongs to another input or other options"):
        run(checkpoint=path, checkpoint_key="other", resume=True)
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match="not a checkpoint"):
        run(checkpoint=path, checkpoint_key="k", resume=True)
    assert run(checkpoint=tmp_path / "new", checkpoint_key="k", resume=True).steps_done == 60


def test_divergence_goes_back_and_halves_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec.fit import stepping

    original, calls = stepping.batch_gradients, 0

    def once_nan(*args: object, **kwargs: object) -> float:
        nonlocal calls
        calls += 1
        distortion = original(*args, **kwargs)  # type: ignore[arg-type]
        return distortion * math.nan if calls == 30 else distortion

    monkeypatch.setattr(stepping, "batch_gradients", once_nan)
    result = run()
    assert all(np.isfinite(value).all() for value in result.values.values())


def test_hopeless_divergence_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec.fit import stepping

    original = stepping.batch_gradients
    monkeypatch.setattr(stepping, "batch_gradients", lambda *a, **k: original(*a, **k) * math.nan)
    with pytest.raises(InrError, match="diverged"):
        run()


def test_time_limit_ends_the_run_early_but_completely() -> None:
    result = fit(data(), plan(steps=100_000), RunOptions(seed=0, device=CPU, time_limit=1.0))
    assert 5 < result.steps_done < 100_000
    assert set(result.steps) == {p.name for p in NETWORKS["sasnet.1"].params(small_sasnet()) if p.trainable}


def test_batches_see_every_sample_once_per_cycle() -> None:
    d = data(stride=3)
    total = sum(d.batch(phase).targets.shape[1] for phase in d.phase_indices())
    assert total == d.samples == 24 * 31
    stacked = np.concatenate([d.batch(phase).parts[0].coords.points().values for phase in d.phase_indices()])
    assert len(np.unique(stacked, axis=0)) == d.samples
    batch = d.batch((1, 2))
    rows, columns = batch.parts[0].coords.shape
    image = smooth_picture(24, 31)[1::3, 2::3].reshape(rows * columns, 3)
    np.testing.assert_allclose(batch.targets.numpy().T * d.scale + d.offset, image, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_parts_and_pieces_have_the_gradients_of_the_whole(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against autograd on all points of the batch at once."""
    from inrcodec.fit import data as data_module

    network, config = NETWORKS["sasnet.1"], small_sasnet()
    picture = smooth_picture(24, 31)
    weights = np.random.default_rng(3).random(picture.shape, dtype=np.float32) if weighted else None
    monkeypatch.setattr(data_module, "PIECE", 50)
    d = training_data(picture, weights, [(-1, 1)] * 2, stride=2, device=CPU, parts=3)
    batch = d.batch((1, 0))
    assert d.parts == len(batch.parts) == 3
    assert [piece.stop for part in batch.parts for _, piece in part.pieces()] == [48, 64] * 3
    layout = flat_layout(network.params(config), CPU)
    initial = lively_params(network, config)
    values = torch.cat([torch.tensor(initial[p.name]).reshape(-1) for p in layout.params])
    grads = torch.full_like(values, 7.0)
    frozen = {p.name: initial[p.name] for p in network.params(config) if not p.trainable}
    with team(3) as threads:
        lanes = make_lanes(layout, values, grads, frozen, CPU, 3)
        error = float(batch_gradients(lanes, threads, network, config, batch, scale=d.scale, mask_sparsity=0.3))

    leaves = {name: view.clone().requires_grad_() for name, view in layout.views(values).items()}
    points = Points(np.concatenate([part.coords.points().values for part in batch.parts]))
    everything = {**leaves, **{name: torch.tensor(value) for name, value in frozen.items()}}
    ops = TorchOps(CPU)
    masks = network.modulate(ops, config, everything, points)
    output = network.trunk(ops, config, everything, points, masks)
    squares = (output - batch.targets) ** 2 * d.scale**2
    expected = (squares if batch.weights is None else squares * batch.weights).mean()
    (expected + 0.3 * masks.mean()).backward()
    assert error == pytest.approx(float(expected.detach()), rel=1e-5)
    for name, view in layout.views(grads).items():
        reference = leaves[name].grad
        assert reference is not None
        assert float((view - reference).abs().max()) <= 2e-4 * float(reference.abs().max()), name


def test_a_fit_does_not_depend_on_threads_beyond_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    from inrcodec.fit import data as data_module

    monkeypatch.setattr(data_module, "PIECE", 40)
    results = []
    for parts in (1, 2):
        d = training_data(smooth_picture(24, 31), None, [(-1, 1)] * 2, stride=2, device=CPU, parts=parts)
        assert d.parts == parts
        results.append(fit(d, plan(steps=4), RunOptions(seed=0, device=CPU)))
    for name, value in results[0].values.items():
        np.testing.assert_allclose(results[1].values[name], value, atol=1e-3)
    assert torch.get_num_threads() >= 1


def test_presets_scale_with_samples_and_effort() -> None:
    for shape in ((1, 1), (2, 2), (1, 768), (768, 1), (17, 5), (512, 512), (4333, 3250)):
        for arch in NETWORKS:
            request = Request(shape=shape, channels=3, arch=arch, settings={})
            made = make_plan(request)
            if shape != (4333, 3250):
                made.network.init(made.config, np.random.default_rng(0))
            assert made.schedule.steps <= EFFORT_STEPS[5]


def test_settings_override_and_unknown_ones_are_listed() -> None:
    made = make_plan(Request(shape=(64, 64), channels=3, settings={"hidden_features": "48", "steps": 12, "finest": 20, "lam": 0.5}))
    assert made.config.hidden_features == 48 and made.schedule.steps == 12 and made.target.lam == 0.5
    assert made.config.levels[-1].resolution == 20
    for settings, message in (
        ({"hiden": 3}, "--set hiden: unknown setting; known: .*hidden_features"),
        ({"steps": "many"}, "--set steps: expected int"),
        ({"hidden_features": 7}, "groups"),
        ({"finest": 1}, "grid"),
        ({"finest": "wide"}, "--set finest: expected int"),
        ({"levels": "x"}, "--set levels: expected int"),
        ({"steps": -4}, "steps: expected 1"),
        ({"stride": 0}, "stride"),
        ({"learning_rate": "nan"}, "learning_rate"),
        ({"rate_from": 2}, "rate_from"),
        ({"between": 0.95}, "between"),
        ({"lam": "inf"}, "lam"),
        ({"lam": "dark"}, "lam"),
    ):
        with pytest.raises(UsageError, match=message):
            make_plan(Request(shape=(64, 64), channels=3, settings=settings))


def test_quality_is_monotone_in_lam() -> None:
    lams = [lam_of_quality(q) for q in (0, 25, 50, 75, 100)]
    assert lams == sorted(lams, reverse=True) and lams[3] == 2e-4
    with pytest.raises(UsageError, match=r"quality: expected 0\.\.100"):
        make_plan(Request(shape=(4, 4), channels=1, quality=101, settings={}))
