"""Captured steps without a GPU: a fit whose steps are replayed from what was noted of them is the same fit, and waits for nothing."""

import traceback
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from inrcodec.backends import torch as torch_backend
from inrcodec.backends import torch_layers
from inrcodec.fit import captured as captured_module
from inrcodec.fit import stepping
from inrcodec.fit.captured import HOST, LOOK_EVERY, Captured, Pace, pace_of
from inrcodec.fit.data import Data, Kept, training_data
from inrcodec.fit.following import GUARD_EVERY, read
from inrcodec.fit.optim import held_adam, load_optimizer, set_learning_rates
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.points import FinerPoints, point_parts, tensors_of, with_tensors
from inrcodec.fit.trainer import Fitted, RunOptions, fit
from inrcodec.networks import NETWORKS, sasnet
from inrcodec.networks.sape import SapeConfig
from tests.nets import small_networks, small_sasnet, smooth_picture
from tests.recording import CpuRecorder, Waits, recorders

CPU = torch.device("cpu")
HELD = Pace(look_every=LOOK_EVERY, held=True)
GRAPHS = replace(HELD, graphs=True, recorder=CpuRecorder)
SCHEDULE = Schedule(steps=45, stride=2, learning_rate=5e-3, table_learning_rate=2e-2, rate_every=2)


@pytest.fixture(autouse=True)
def plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a GPU without Triton: compiled ones of the CPU are no operations on tensors. Bands are read once, as from a GPU."""
    monkeypatch.setattr(torch_backend, "_layers_for", lambda _: torch_layers)
    monkeypatch.setattr(sasnet, "embedding_widths", sasnet._widths_on_device)


@pytest.fixture
def kept_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(Kept, "__init__", lambda self, _: setattr(self, "_found", {}))


def plan(name: str = "sasnet.1", config: Any = None, *, size: int | None = None, **changes: Any) -> Plan:
    return Plan(
        network=NETWORKS[name], config=config or small_sasnet(), schedule=replace(SCHEDULE, **changes), target=Target(lam=1e-4, size=size)
    )


def picture(*, smooth: bool = False) -> Data:
    return training_data(smooth_picture(24, 31), None, [(-1, 1)] * 2, stride=2, device=CPU, smooth=smooth)


class Scattered(FinerPoints):
    """Fresh points in every step, without a mesh."""

    def batch(self, phase: tuple[int, ...], step: int) -> Any:
        from inrcodec.fit.data import Batch

        rng = np.random.default_rng([3, step])
        coords = torch.tensor(rng.uniform(-1, 1, (40, 2)))
        values = torch.sin(3 * coords.sum(1)).float()[None]
        return Batch(values, torch.ones_like(values), point_parts(coords, 1, CPU), 40)


def same(a: Fitted, b: Fitted) -> bool:
    pairs = [(a.values[n], b.values[n]) for n in a.values] + [(a.steps[n], b.steps[n]) for n in a.steps]
    return all(x.tobytes() == y.tobytes() for x, y in pairs) and a.lam == b.lam and a.steps_done == b.steps_done


def sape() -> SapeConfig:
    (config,) = [config for network, config in small_networks() if network.id == "sape.1" and config.in_features == 2][:1]
    return config


CASES: dict[str, tuple[Data | None, Plan]] = {
    "plain rate": (None, plan()),
    "contexts": (None, plan(context_features=4)),
    "size": (None, plan(context_features=4, size=2500)),
    "no rate": (None, Plan(network=NETWORKS["siren.1"], config=small_networks()[3][1], schedule=SCHEDULE, target=Target(lam=0.0))),
    "masks": (None, plan("sasnet.2", mask_sparsity=0.1)),
    "between": (None, plan(between=0.3)),
    "features that come in": (None, plan("sape.1", sape())),
    "fresh points": (None, plan("siren.1", small_networks()[3][1].__class__(2, 1, 24, 2, 30.0, 30.0))),
}


@pytest.mark.usefixtures("kept_batches")
@pytest.mark.parametrize("case", CASES)
def test_replayed_steps_are_the_steps(case: str) -> None:
    chosen = CASES[case][1]

    def fitted(pace: Pace) -> Fitted:
        points = Scattered(signal=None, size=40, scale=0.5, seed=0, device=CPU, parts=1)  # type: ignore[arg-type]
        data = points if case == "fresh points" else picture(smooth=case == "between")
        return fit(data, chosen, RunOptions(seed=0, device=CPU, pace=pace))

    made = recorders()
    found = fitted(GRAPHS)
    (recorder,) = made
    assert recorder.recorded >= 3 and recorder.replayed > 40
    assert same(found, fitted(HELD))


@pytest.mark.usefixtures("kept_batches")
def test_a_step_that_waits_is_told_once_and_runs_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    original = stepping.quantize_flat
    monkeypatch.setattr(stepping, "quantize_flat", lambda *a, **k: original(*a, **{**k, "reads": True}))
    with pytest.warns(RuntimeWarning, match=r"cannot be captured as CUDA graphs and run one by one \(Waits") as told:
        found = fit(picture(), plan(), RunOptions(seed=0, device=CPU, pace=GRAPHS))
    assert len(told) == 1
    assert same(found, fit(picture(), plan(), RunOptions(seed=0, device=CPU, pace=HELD)))


class Reads(TorchDispatchMode):
    """The functions of the package in which something was read back."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[set[str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name == "aten::_local_scalar_dense" or "nonzero" in func._schema.name:
            self.found.append({frame.name for frame in traceback.extract_stack() if "inrcodec/fit" in frame.filename})
        return func(*args, **(kwargs or {}))


BEFORE = {"new_state", "make_optimizers", "begin_rate", "_contexts", "variance", "data"}  # makes what a fit needs


def reads_elsewhere(pace: Pace) -> tuple[int, list[set[str]]]:
    """How often the loop looked, and the functions in which something else was read."""
    with Reads() as reads:
        fit(picture(), plan(context_features=4, steps=30), RunOptions(seed=0, device=CPU, pace=pace))
    looks = [names for names in reads.found if "look" in names]
    return len(looks), [names for names in reads.found if "look" not in names and not names & BEFORE]


def test_between_looks_nothing_is_read() -> None:
    looks, elsewhere = reads_elsewhere(HELD)
    assert elsewhere == [] and looks > 0


def test_a_read_between_looks_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    original = stepping.quantize_flat
    monkeypatch.setattr(stepping, "quantize_flat", lambda *a, **k: original(*a, **{**k, "reads": True}))
    assert any("quantize_flat" in names for names in reads_elsewhere(HELD)[1])


def test_looking_seldom_gives_as_good_a_fit_of_the_size() -> None:
    results = [fit(picture(), plan(size=2500), RunOptions(seed=0, device=CPU, pace=pace)) for pace in (HOST, HELD)]
    assert results[0].lam == pytest.approx(results[1].lam, rel=1.0)
    assert all(np.isfinite(value).all() for result in results for value in result.values.values())


def test_divergence_between_looks_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = stepping.batch_gradients, 0

    def once_nan(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        found = original(*args, **kwargs)
        if calls == 22:
            args[0][0].grads.fill_(torch.nan)
        return found * (torch.nan if calls == 22 else 1)

    monkeypatch.setattr(stepping, "batch_gradients", once_nan)
    result = fit(picture(), plan(), RunOptions(seed=0, device=CPU, pace=HELD))
    assert all(np.isfinite(value).all() for value in result.values.values())


def test_a_run_stops_where_all_is_read_and_goes_on_as_if_it_had_not(tmp_path: Any) -> None:
    path, asked = tmp_path / "c", 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 7

    from inrcodec.errors import Interrupted

    options = RunOptions(seed=0, device=CPU, pace=HELD, checkpoint=path, checkpoint_key="k")
    with pytest.raises(Interrupted, match=f"at step {7 * LOOK_EVERY}"):
        fit(picture(), plan(context_features=4), replace(options, stop=stop))
    found = fit(picture(), plan(context_features=4), replace(options, resume=True))
    assert same(found, fit(picture(), plan(context_features=4), RunOptions(seed=0, device=CPU, pace=HELD)))


def counting() -> tuple[torch.Tensor, Any]:
    total = torch.zeros(())

    def work(*inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        total.add_(inputs[0].sum() if inputs else 1)
        return (total * 2,)

    return total, work


def test_a_kind_runs_then_is_recorded_then_replayed() -> None:
    total, work = counting()
    made = recorders()
    steps = Captured(CpuRecorder())
    found = [float(steps.run("a", work, inputs=(torch.full((3,), float(k)),))[0]) for k in range(5)]
    assert found == [0, 6, 18, 36, 60] and float(total) == 30
    assert (made[0].recorded, made[0].replayed) == (1, 4)


def test_outputs_stay_when_the_step_is_replayed() -> None:
    _, work = counting()
    steps = Captured(CpuRecorder())
    found = [steps.run("a", work)[0] for _ in range(4)]
    assert [float(value) for value in found] == [2, 4, 6, 8]


def test_other_owners_end_all_recordings() -> None:
    _, work = counting()
    made = recorders()
    steps, owner = Captured(CpuRecorder()), object()
    for k in range(6):
        steps.run("a", work, owners=(owner if k < 3 else made,))
    assert made[0].recorded == 2


def test_more_recordings_than_there_may_be_run_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captured_module, "MOST_RECORDINGS", 1)
    _, work = counting()
    made = recorders()
    steps = Captured(CpuRecorder())
    found = [float(steps.run(kind, work)[0]) for kind in ("a", "b") * 3]
    assert found == [2, 4, 6, 8, 10, 12] and made[0].recorded == 1


def test_a_recording_reads_nothing_of_the_host() -> None:
    with pytest.raises(Waits):
        CpuRecorder().record(lambda: (torch.tensor([1.0]),))
    with pytest.raises(Waits):
        CpuRecorder().record(lambda: (torch.ones(2) * float(torch.ones(1)),))
    values = torch.ones(2)
    outputs, replay = CpuRecorder().record(lambda: (values.mul_(2) + 1,))
    assert values.tolist() == [1, 1] and bool(outputs[0].isnan().all())
    replay()
    replay()
    assert values.tolist() == [4, 4] and outputs[0].tolist() == [5, 5]


def test_rates_that_are_tensors_are_followed_and_stay_where_they_are() -> None:
    tensors = [torch.ones(3), torch.ones(2)]
    for tensor in tensors:
        tensor.grad = torch.ones_like(tensor)
    made = held_adam(tensors, 0.5, (0.9, 0.99), torch.zeros(()))
    rate = made.param_groups[0]["lr"]
    set_learning_rates([made], [0.5], 0.5)
    made.step()
    np.testing.assert_allclose(tensors[0], 0.75, atol=1e-6)
    other = held_adam([torch.ones(3), torch.ones(2)], 0.1, (0.9, 0.99), torch.zeros(()))
    before = other.param_groups[0]["lr"]
    load_optimizer(other, made.state_dict())
    assert other.param_groups[0]["lr"] is before and float(before) == 0.25 and rate is not before


def test_values_are_read_as_they_are() -> None:
    third = 1 / 3
    assert read([]) == [] and read([third]) == [third]
    assert read([third, torch.tensor(0.1), torch.tensor(third, dtype=torch.float64)]) == [third, float(torch.tensor(0.1)), third]


def test_only_a_gpu_is_followed_from_afar() -> None:
    assert pace_of(CPU, graphs=True) is HOST
    gpu = pace_of(torch.device("cuda"), graphs=True)
    assert gpu.held and gpu.graphs and GUARD_EVERY % gpu.look_every == 0
    assert not pace_of(torch.device("cuda"), graphs=False).graphs


def test_tensors_of_points_are_those_of_the_batch() -> None:
    data = Scattered(signal=None, size=40, scale=0.5, seed=0, device=CPU, parts=1)  # type: ignore[arg-type]
    first, second = data.batch((0,), 0), data.batch((0,), 1)
    mixed = with_tensors(first, tensors_of(second))
    assert all(torch.equal(a, b) for a, b in zip(tensors_of(mixed), tensors_of(second), strict=True))
    assert [part.samples for part in mixed.parts] == [part.samples for part in first.parts]
