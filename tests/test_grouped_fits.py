"""Fits in threads that make their steps together: what they give, whoever leaves."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import inrcodec
from inrcodec.backends import torch as torch_backend
from inrcodec.backends import torch_layers
from inrcodec.errors import InrError, Interrupted
from inrcodec.fit import stepping
from inrcodec.fit.captured import HOST, Pace
from inrcodec.fit.data import Kept, TrainingData, training_data
from inrcodec.fit.group import Group
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.trainer import Fitted, RunOptions, fit
from inrcodec.networks import NETWORKS, sasnet
from tests.gathering import Gathering, side_by_side
from tests.nets import small_networks, small_sasnet, smooth_picture
from tests.recording import recorders
from tests.test_captured import GRAPHS, HELD, same

CPU = torch.device("cpu")
STEPS = 40
SCHEDULE = Schedule(steps=STEPS, stride=2, learning_rate=5e-3, table_learning_rate=2e-2, rate_every=2)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Members of every pass that is made together."""
    found: list[int] = []
    original = stepping.grouped_gradients

    def counted(shares: Sequence[Any], *rest: Any, **options: Any) -> torch.Tensor:
        found.append(len(shares))
        return original(shares, *rest, **options)

    monkeypatch.setattr(stepping, "grouped_gradients", counted)
    return found


@pytest.fixture
def plain_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_backend, "_layers_for", lambda _: torch_layers)


def plan(name: str = "sasnet.2", config: Any = None, **changes: Any) -> Plan:
    schedule = replace(SCHEDULE, context_features=4 if name == "sasnet.2" else 0, **changes)
    return Plan(network=NETWORKS[name], config=config or small_sasnet(), schedule=schedule, target=Target(lam=1e-4))


def picture(number: int, height: int = 24, width: int = 32) -> TrainingData:
    values = np.roll(smooth_picture(height, width), 5 * number, axis=0)
    return training_data(values, None, [(-1, 1)] * 2, stride=2, device=CPU)


def fits(chosen: Plan, group: Group | None, *, pace: Pace = HOST, sizes: Sequence[tuple[int, int]] = ((24, 32),) * 3) -> list[Fitted]:
    """Fits of pictures of these sizes, each with a seed and so with frequencies of its own."""
    work = [
        lambda number=number, size=size: fit(picture(number, *size), chosen, RunOptions(seed=number, device=CPU, group=group, pace=pace))
        for number, size in enumerate(sizes)
    ]
    found = [one() for one in work] if group is None else side_by_side(work)
    assert all(isinstance(one, Fitted) for one in found), found
    return found


def assert_as_good(found: Sequence[Fitted], alone: Sequence[Fitted], chosen: Plan, sizes: Sequence[tuple[int, int]]) -> None:
    """The same number of steps, and the same PSNR within 0.05 dB."""
    ops = torch_backend.TorchOps(CPU)

    def psnr(fitted: Fitted, number: int) -> float:
        data = picture(number, *sizes[number])
        tensors = {name: torch.as_tensor(value) for name, value in {**fitted.values, **fitted.frozen}.items()}
        errors = []
        for phase in data.phase_indices():
            batch = data.batch(phase)
            out = chosen.network.forward(ops, chosen.config, tensors, batch.parts[0].coords)
            errors.append(float(((out - batch.targets) ** 2).mean()) * data.scale**2)
        return -10 * float(np.log10(np.mean(errors)))

    for number, (one, other) in enumerate(zip(found, alone, strict=True)):
        assert one.steps_done == other.steps_done
        assert psnr(one, number) == pytest.approx(psnr(other, number), abs=0.05)


def assert_near(found: Sequence[Fitted], expected: Sequence[Fitted]) -> None:
    """The same but for what rounding becomes in so few steps: where a member lies in a stack may decide how a library sums."""
    for one, other in zip(found, expected, strict=True):
        assert one.steps_done == other.steps_done
        for name, value in other.values.items():
            np.testing.assert_allclose(one.values[name], value, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("pace", [HOST, HELD], ids=["read at once", "read seldom"])
@pytest.mark.parametrize("layers", ["plain", "fused"])
def test_fits_together_are_as_good_as_each_alone(layers: str, pace: Pace, passes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    if layers == "plain":
        monkeypatch.setattr(torch_backend, "_layers_for", lambda _: torch_layers)
    chosen = plan()
    alone = fits(chosen, None, pace=pace)
    assert passes == []
    found = fits(chosen, Gathering(3), pace=pace)
    # Whoever ends leaves the others to themselves.
    assert passes == [3] * STEPS
    assert_as_good(found, alone, chosen, [(24, 32)] * 3)
    assert len({one.frozen["frequency"].tobytes() for one in found}) == 3


@pytest.mark.parametrize("name", ["siren.1", "msa.1"])
def test_networks_without_a_grid(name: str, passes: list[int]) -> None:
    (config,) = [config for network, config in small_networks() if network.id == name and config.in_features == 2]
    chosen = plan(name, config)
    found = fits(chosen, Gathering(3))
    assert passes == [3] * STEPS
    assert_as_good(found, fits(chosen, None), chosen, [(24, 32)] * 3)


@pytest.mark.usefixtures("plain_layers")
def test_batches_between_the_samples_too(passes: list[int]) -> None:
    chosen, group = plan("sasnet.1", between=0.3), Gathering(3)
    data = [training_data(smooth_picture(16, 16), None, [(-1, 1)] * 2, stride=2, device=CPU, smooth=True) for _ in range(3)]
    work = [lambda i=i: fit(data[i], chosen, RunOptions(seed=i, device=CPU, group=group)) for i in range(3)]
    found = side_by_side(work)
    assert passes == [3] * STEPS
    assert_near(found, [fit(data[number], chosen, RunOptions(seed=number, device=CPU)) for number in range(3)])


@pytest.mark.usefixtures("plain_layers")
def test_steps_of_batches_of_other_shapes_are_made_apart(passes: list[int]) -> None:
    """Phases of 31 columns are of 16 or 15."""
    chosen, sizes = plan("sasnet.1"), [(24, 31)] * 3
    found = fits(chosen, Gathering(3), sizes=sizes)
    assert {2, 3} >= set(passes) and STEPS // 2 <= len(passes) <= STEPS
    assert_as_good(found, fits(chosen, None, sizes=sizes), chosen, sizes)


def test_pictures_of_other_sizes_do_not_wait_for_each_other(passes: list[int]) -> None:
    chosen, sizes = plan("sasnet.1"), [(24, 32), (20, 32), (24, 28)]
    found = fits(chosen, Gathering(3), sizes=sizes)
    assert passes == []
    assert all(same(a, b) for a, b in zip(found, fits(chosen, None, sizes=sizes), strict=True))


@pytest.fixture
def as_on_a_gpu(plain_layers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are kept, bands read once."""

    def widths(config: Any, frequency: Any) -> tuple[Any, ...]:
        if isinstance(frequency, tuple):
            return tuple(widths(config, one) for one in frequency)
        return sasnet._widths_on_device(config, frequency)

    monkeypatch.setattr(Kept, "__init__", lambda self, _: setattr(self, "_found", {}))
    monkeypatch.setattr(sasnet, "embedding_widths", widths)


@pytest.mark.usefixtures("as_on_a_gpu")
@pytest.mark.parametrize("name", ["sasnet.1", "sasnet.2"])
def test_steps_together_are_replayed(name: str, passes: list[int]) -> None:
    chosen = plan(name)
    made = recorders()
    found = fits(chosen, Gathering(3), pace=GRAPHS)
    # The first step runs by itself, the second is recorded: one recording for all batches and stages.
    assert passes == [3, 3]
    joint = [recorder for recorder in made if (recorder.recorded, recorder.replayed) == (1, STEPS - 1)]
    assert len(joint) == 1 and len(made) == 6
    assert_near(found, fits(chosen, Gathering(3), pace=HELD))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_each_company_has_recordings_of_its_own(passes: list[int]) -> None:
    """Phases of 31 columns, of 16 or 15, bring other members together from step to step."""
    chosen, sizes = plan("sasnet.1"), [(24, 31)] * 3
    found = fits(chosen, Gathering(3), pace=GRAPHS, sizes=sizes)
    assert {2, 3} == set(passes)
    assert_near(found, fits(chosen, Gathering(3), pace=HELD, sizes=sizes))


@pytest.mark.usefixtures("as_on_a_gpu")
def test_recordings_end_with_a_member(passes: list[int]) -> None:
    """Whose memory they read: two go on with recordings of their own."""
    group, chosen = Gathering(3), plan("sasnet.1")
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    options = [RunOptions(seed=seed, device=CPU, group=group, pace=GRAPHS) for seed in range(3)]
    options[0] = replace(options[0], stop=stop)
    found = side_by_side([lambda i=i: fit(picture(i), chosen, options[i]) for i in range(3)])
    assert isinstance(found[0], Interrupted)
    assert passes[:2] == [3, 3] and passes[-2:] == [2, 2]
    alone = fits(chosen, None, pace=HELD)
    assert_as_good([alone[0], *found[1:]], alone, chosen, [(24, 32)] * 3)


def leaving(stop: Callable[[], bool], *, keep: bool = False) -> list[Any]:
    """Fits of three, the second of which is asked by `stop`."""
    group, chosen = Gathering(3), plan("sasnet.1")
    options = [RunOptions(seed=seed, device=CPU, group=group) for seed in range(3)]
    options[1] = replace(options[1], stop=stop, keep_on_interrupt=keep)
    return side_by_side([lambda i=i: fit(picture(i), chosen, options[i]) for i in range(3)])


def test_a_fit_that_is_interrupted_leaves_the_others_at_work(passes: list[int]) -> None:
    asked = iter([False] * 9 + [True])
    found = leaving(lambda: next(asked), keep=True)
    assert found[1].interrupted and found[1].steps_done == 9
    assert [one.steps_done for one in (found[0], found[2])] == [STEPS] * 2
    assert passes == [3] * 9 + [2] * (STEPS - 9)


def test_a_fit_that_fails_fails_alone(passes: list[int]) -> None:
    asked = 0

    def fails() -> bool:
        nonlocal asked
        asked += 1
        if asked == 9:
            raise InrError("enough")
        return False

    found = leaving(fails)
    assert isinstance(found[1], InrError) and str(found[1]) == "enough"
    assert [one.steps_done for one in (found[0], found[2])] == [STEPS] * 2
    assert passes == [3] * 8 + [2] * (STEPS - 8)


def test_an_error_in_a_step_reaches_its_fit_alone(passes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    original, wrong = stepping.fill, threading.Event()

    def fill(share: Any, *rest: Any) -> None:
        if not wrong.is_set() and len(passes) == 12:
            wrong.set()
            raise ValueError("spoilt")
        original(share, *rest)

    monkeypatch.setattr(stepping, "fill", fill)
    group, chosen = Gathering(3), plan("sasnet.1")
    work = [lambda i=i: fit(picture(i), chosen, RunOptions(seed=i, device=CPU, group=group)) for i in range(3)]
    found = side_by_side(work)
    assert sorted(type(one).__name__ for one in found) == ["Fitted", "Fitted", "ValueError"]
    assert passes == [3] * 12 + [2] * (STEPS - 12)


def test_a_pass_that_fails_is_told_and_fits_go_on_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> torch.Tensor:
        raise MemoryError("too large")

    monkeypatch.setattr(stepping, "grouped_gradients", fails)
    chosen = plan("sasnet.1")
    with pytest.warns(RuntimeWarning, match=r"steps cannot be made together and are made one by one \(MemoryError: too large\)") as told:
        found = fits(chosen, Gathering(3))
    assert len(told) == 1
    assert_as_good(found, fits(chosen, None), chosen, [(24, 32)] * 3)


def test_encodes_together_give_files_as_good_as_each_alone(passes: list[int]) -> None:
    options: dict[str, Any] = {"effort": 1, "settings": {"steps": STEPS}, "deterministic": True, "device": "cpu"}
    pictures = [np.roll(smooth_picture(24, 32), 7 * i, axis=0) for i in range(2)]
    alone = [inrcodec.encode(values, **options).report for values in pictures]
    group = Gathering(2)
    found = side_by_side([lambda values=values: inrcodec.encode(values, group=group, **options).report for values in pictures])
    assert 2 in passes
    for one, other in zip(found, alone, strict=True):
        assert one.psnr == pytest.approx(other.psnr, abs=0.05) and one.bytes == pytest.approx(other.bytes, rel=0.02)
