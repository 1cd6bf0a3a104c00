"""Other tries of a fit that missed what was asked for: when there is one, and where it begins."""

import math

import numpy as np
import pytest
import torch

from inrcodec.fit.attempts import MOST_ATTEMPTS, leaves_time, stage_start, try_again
from inrcodec.fit.plan import Target
from inrcodec.fit.presets import make_plan
from inrcodec.fit.quantized import flat_layout, initial_scales
from inrcodec.fit.request import Request
from inrcodec.fit.state import State, new_state


def some_state() -> State:
    plan = make_plan(Request(shape=(16, 16), channels=3, settings={}))
    cpu = torch.device("cpu")
    layout = flat_layout(plan.network.params(plan.config), cpu)
    state = new_state(plan, layout, plan.network.init(plan.config, np.random.default_rng(0)), seed=0, device=cpu)
    state.step = 100
    return state


def with_scales(state: State) -> State:
    plan = make_plan(Request(shape=(16, 16), channels=3, settings={}))
    layout = flat_layout(plan.network.params(plan.config), torch.device("cpu"))
    state.begin_rate(*initial_scales(layout, state.values, table_step=0.3, matrix_step=0.05), 1e-2)
    return state


def test_a_missed_psnr_begins_again_before_the_rate() -> None:
    state = some_state()
    before = stage_start(state)
    values = state.values.clone()
    with_scales(state)
    state.values += 1.0
    state.step, state.snapped, state.pull = 900, True, 2.0
    assert try_again(state, Target(lam=1e-4, psnr=30.0), before, stage_start(state))
    assert torch.equal(state.values, values)
    assert (state.step, state.snapped, state.pull, state.attempts) == (100, False, 0.0, 1)
    assert state.log_step is None and state.log_scale is None


def test_a_psnr_that_was_reached_does_not() -> None:
    state = some_state()
    before = stage_start(state)
    state.best = state.snapshot(1.0, reached=True)
    assert not try_again(with_scales(state), Target(lam=1e-4, psnr=30.0), before, None)


@pytest.mark.parametrize("used", [0.8, 1.2])
def test_a_missed_size_begins_again_before_rounding_with_other_steps(used: float) -> None:
    state = with_scales(some_state())
    before = stage_start(state)
    assert state.log_step is not None
    steps, values = state.log_step.clone(), state.values.clone()
    state.log_step += 5
    state.values += 1.0
    state.step, state.snapped, state.bits = 900, True, 8000 * used
    assert try_again(state, Target(lam=1e-4, size=1000), None, before)
    assert torch.equal(state.values, values)
    assert torch.allclose(state.log_step - steps, torch.tensor(2 * math.log(used)))
    assert (state.step, state.snapped) == (100, False)


def test_a_size_that_was_used_does_not() -> None:
    state = with_scales(some_state())
    before = stage_start(state)
    state.bits, state.best = 8000 * 0.99, state.snapshot(1.0)
    assert not try_again(state, Target(lam=1e-4, size=1000), None, before)


def test_tries_come_to_an_end() -> None:
    state = some_state()
    before = stage_start(state)
    tries = 0
    while try_again(state, Target(lam=1e-4, psnr=30.0), before, None):
        tries += 1
    assert tries == MOST_ATTEMPTS


def test_without_a_target_there_is_none() -> None:
    state = some_state()
    assert not try_again(with_scales(state), Target(lam=1e-4), stage_start(state), stage_start(state))


def test_a_limit_of_time_leaves_none_unless_it_is_far_away() -> None:
    assert leaves_time(1e9, None) and leaves_time(100.0, 3600.0)
    assert not leaves_time(3600.0, 3600.0) and not leaves_time(1000.0, 3600.0)
