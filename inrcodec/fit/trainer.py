"""The loop that fits a network to a signal for a file size.

Three stages, one run: the plain fit; from Schedule.rate_from on, uniform noise of the quantization steps and the rate in the loss; from
round_from on, rounded values (straight-through). Steps and Laplace scales are learned along.
"""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.threads import team
from inrcodec.context import ContextNet
from inrcodec.errors import Interrupted
from inrcodec.fit.attempts import StageStart, leaves_time, stage_start, try_again
from inrcodec.fit.captured import Pace, own_stream, pace_of
from inrcodec.fit.checkpoint import load_checkpoint, save_checkpoint
from inrcodec.fit.contexts import Contexts, make_contexts
from inrcodec.fit.data import Data
from inrcodec.fit.following import DISTORTION_OVER_SIZE, Follower, Reading
from inrcodec.fit.group import Group, Member
from inrcodec.fit.grouped import architecture
from inrcodec.fit.interrupt import deferred_interrupt
from inrcodec.fit.optim import cosine_factor, set_learning_rates
from inrcodec.fit.plan import Plan, Schedule
from inrcodec.fit.progress import is_due
from inrcodec.fit.quantized import FlatLayout, flat_layout, initial_scales, to_arrays
from inrcodec.fit.state import State, new_state, restore, to_saved
from inrcodec.fit.steering import rounded_turn
from inrcodec.fit.stepping import Asked, Stepper, layers_for
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.quantize import nearest_step_codes, steps
from inrcodec.weights import contextual_tables, pack

GOLDEN_RATIO = (5**0.5 - 1) / 2
REPORT_SECONDS = 0.25
COMPARE_EVERY = 0.05  # of a run with a size target, between packings
ROUNDED_EVERY = 0.015  # the same once values are rounded, when what fits is kept
MOST_OVER = 1.04  # sizes kept, over the one wanted
NOISY_TRUST = 0.5  # in the size that values with noise are packed to, against what was known of it before


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a fit runs, apart from what it computes."""

    seed: int
    device: torch.device
    precision: str = "float32"  # of matrix products on a CUDA device: see backends.torch.layers_in
    hash_backend: str = "own"  # of grids at points: see stepping.layers_for
    time_limit: float | None = None  # seconds
    checkpoint: Path | None = None
    checkpoint_key: str = ""
    checkpoint_seconds: float = 30.0
    resume: bool = False
    keep_on_interrupt: bool = False
    initial: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # in place of the network's own
    other_bytes: int = 0  # of the file, beside its tensors' payloads
    progress: ProgressCallback | None = None
    stop: Callable[[], bool] | None = None  # asked before a step; True ends the run as Ctrl-C does
    pace: Pace | None = None  # that of the device, where none is given
    group: Group | None = None  # with whose fits, in other threads, steps are made together


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted network, not yet rounded: values by name, and per tensor the quantization steps (None if the rate stage was not reached)."""

    values: dict[str, NDArray[np.float32]]
    steps: dict[str, NDArray[np.float32]]
    frozen: dict[str, NDArray[np.float32]]
    contexts: ContextNet | None  # of the tables' entropy coder
    lam: float
    steps_done: int
    interrupted: bool


def fit(data: Data, plan: Plan, options: RunOptions) -> Fitted:
    """Fit `plan` to `data`. Raises Interrupted on Ctrl-C unless options.keep_on_interrupt, InrError if it diverges again and again."""
    network, config = plan.network, plan.config
    params = network.params(config)
    layout = flat_layout(params, options.device, last=_contextual(plan))
    initial = {**network.init(config, np.random.default_rng([options.seed, 0])), **options.initial}
    frozen = {param.name: initial[param.name] for param in params if not param.trainable}
    pace = options.pace or pace_of(options.device, graphs=bool(plan.schedule.cuda_graphs))
    state = new_state(plan, layout, initial, seed=options.seed, device=options.device, held=pace.held)
    if options.resume and options.checkpoint is not None and options.checkpoint.exists():
        saved = load_checkpoint(options.checkpoint, options.checkpoint_key)
        restore(state, saved, plan.schedule.scale_learning_rate, _both_contexts(layout, plan, options.seed, halt=state.halt))
    layers = layers_for(options.device, plan, options.precision, options.hash_backend)
    with own_stream(options.device), deferred_interrupt() as pressed, team(data.parts) as threads:
        with _membership(data, plan, options, layout, layers) as member:
            stepper = Stepper(state, layout, frozen, data, plan, threads, pace, layers, member)
            interrupted = _run(state, layout, frozen, data, plan, options, pace, pressed, stepper)
        if interrupted:
            if options.checkpoint is not None:
                save_checkpoint(options.checkpoint, options.checkpoint_key, to_saved(state))
            if not options.keep_on_interrupt or state.step == 0:
                raise Interrupted(f"interrupted at step {state.step}; no file was written")
        return _fitted(state, layout, frozen, plan, interrupted)


def _run(
    state: State,
    layout: FlatLayout,
    frozen: dict[str, NDArray[np.float32]],
    data: Data,
    plan: Plan,
    options: RunOptions,
    pace: Pace,
    pressed: Callable[[], bool],
    stepper: Stepper,
) -> bool:
    """Run to the end and return False, or until it is told to stop and return True."""
    schedule, target = plan.schedule, plan.target
    follower = Follower(
        state,
        layout,
        plan,
        samples=data.samples,
        phases=len(data.phase_indices()),
        variance=data.variance,
        other_bytes=options.other_bytes,
        look_every=pace.look_every,
    )
    bases = [schedule.learning_rate, schedule.table_learning_rate][: len(state.optimizers)]
    begin = time.monotonic() - state.elapsed
    reported = saved = time.monotonic()
    before_rate: StageStart | None = None
    before_rounding: StageStart | None = None
    while True:
        fraction = progress_fraction(state, schedule.steps, options.time_limit)
        if fraction >= 1:
            follower.look()
            again = leaves_time(state.elapsed, options.time_limit)
            if again and try_again(state, target, before_rate, before_rounding):
                continue
            return False
        # A run that is resumed has nothing left to read.
        if not follower.pending and (pressed() or (options.stop is not None and options.stop())):
            return True
        if state.log_step is None and target.lam > 0 and fraction >= schedule.rate_from:
            follower.look()
            if target.can_be_missed:
                before_rate = before_rate or stage_start(state)
            scales = initial_scales(layout, state.values, table_step=schedule.table_step, matrix_step=schedule.matrix_step)
            state.begin_rate(*scales, schedule.scale_learning_rate)
            state.contexts, state.rounded_contexts = _both_contexts(layout, plan, options.seed, halt=state.halt)
        rounding = state.log_step is not None and fraction >= schedule.round_from
        if rounding and not state.snapped:
            follower.look()
            if target.can_be_missed:
                before_rounding = before_rounding or stage_start(state)
            _snap_steps(state, schedule.rounded_push, fraction)
        set_learning_rates(state.optimizers, bases, learning_rate_factor(state, schedule.warmup, schedule.final_rate, fraction))

        asked = _asked(state, schedule, rounding=rounding)
        aside = data.between(state.step) if lies_between(state.step, schedule.between) else None
        batch = aside or data.batch(_next_phase(state, data), state.step)
        found = stepper.gradients(batch, asked, grown=state.log_step is None and is_due(plan, state.step))
        if found.bits is not None:
            follower.add(Reading(found.bits, state.step, fraction, is_bits=True))
        due = asked.rated and fraction >= state.compared + (ROUNDED_EVERY if rounding else COMPARE_EVERY)
        good = True
        if due and target.size is not None:
            good = follower.look()
            if good and state.bits is not None:
                with stepper.away():
                    _compare_with_packed(state, layout, data, frozen, plan, options, fraction)
        if good:
            stepper.optimize()

        state.step += 1
        state.elapsed = time.monotonic() - begin
        if good and aside is None:
            keeps = target.size is None and (rounding or (target.lam == 0 and fraction >= schedule.round_from))
            follower.add(Reading(found.distortion, state.step, fraction, keeps=keeps))
        if follower.is_due():
            good = follower.look() and good
        if aside is not None or not good:
            continue
        now = time.monotonic()
        if options.progress is not None and now - reported >= REPORT_SECONDS:
            reported = now
            with stepper.away():
                options.progress(_report(state, schedule.steps, options.time_limit, fraction, shows_psnr=data.shows_psnr))
        if options.checkpoint is not None and not follower.pending and now - saved >= options.checkpoint_seconds:
            saved = now
            with stepper.away():
                save_checkpoint(options.checkpoint, options.checkpoint_key, to_saved(state))


def _membership(data: Data, plan: Plan, options: RunOptions, layout: FlatLayout, layers: Any) -> AbstractContextManager[Member | None]:
    """The fit among those of its group, if there is one in which it can be."""
    kind = architecture(plan, data, layout, layers)
    return nullcontext() if options.group is None or kind is None else options.group.joined(kind, options.device)


def _asked(state: State, schedule: Schedule, *, rounding: bool) -> Asked:
    """What the next step does."""
    if state.log_step is None:
        return Asked("plain", rated=False, rounded_too=False)
    rated = state.step % schedule.rate_every == 0
    counted = state.rounded_contexts is not None and not state.snapped and state.step // schedule.rate_every % rounded_turn(schedule) == 0
    return Asked("rounded" if rounding else "noisy", rated=rated, rounded_too=rated and counted)


def progress_fraction(state: State, steps: int, time_limit: float | None) -> float:
    """How far the run is: by steps or, where a time limit binds, by time."""
    fraction = state.step / steps
    return fraction if time_limit is None else max(fraction, state.elapsed / time_limit)


def lies_between(step: int, part: float) -> bool:
    """Whether a step's batch is one of the `part` of all that lie between the samples: in step with neither the rate nor the phases."""
    return (step + 1) * GOLDEN_RATIO % 1 < part


def learning_rate_factor(state: State, warmup: int, final: float, fraction: float) -> float:
    """Linear warm-up, then a cosine down to `final`."""
    return state.rate_factor * cosine_factor(fraction, final) * min(1.0, (state.step + 1) / warmup)


def _next_phase(state: State, data: Data) -> tuple[int, ...]:
    if not state.order:
        phases = data.phase_indices()
        state.order = [phases[i] for i in state.rng.permutation(len(phases))]
    return state.order.pop()


def _snap_steps(state: State, rounded_push: float, fraction: float) -> None:
    """From here on values are rounded as the file rounds them: steps are those it can hold, and stay; the distortion is another."""
    assert state.log_step is not None
    codes = nearest_step_codes(torch.exp(state.log_step).cpu().numpy())
    state.log_step.copy_(torch.log(torch.as_tensor(steps(codes), device=state.log_step.device)))
    state.log_step.grad = None
    state.snapped = True
    state.distortion, state.compared = None, fraction
    state.correction = None if state.contexts is None else state.correction
    state.contexts = state.rounded_contexts
    state.pull += rounded_push


def _compare_with_packed(
    state: State, layout: FlatLayout, data: Data, frozen: dict[str, NDArray[np.float32]], plan: Plan, options: RunOptions, fraction: float
) -> None:
    """Correct the estimate of bits, which knows nothing of the entropy coder, by packing what there is."""
    assert state.log_step is not None and state.bits is not None
    steps = _steps_by_name(layout, state.log_step)
    contexts = None if state.rounded_contexts is None else state.rounded_contexts.integers()
    _, payload = pack(plan.network, plan.config, {**to_arrays(layout, state.values), **frozen}, steps, contexts=contexts)
    other = 8 * options.other_bytes
    packed = 8 * len(payload) + other
    assert state.correction is not None
    # What one packing says may be of that moment only, as long as there is noise.
    state.correction *= ((packed - other) / max(1.0, state.bits - other)) ** (1.0 if state.snapped else NOISY_TRUST)
    state.bits, state.compared = float(packed), fraction
    # Once values are rounded, the best of what fits or nearly does is kept: steps a little coarser make it fit.
    if plan.target.size is None or not state.snapped or state.distortion is None:
        return
    over = max(1.0, packed / (8 * plan.target.size))
    loss = state.distortion * over**DISTORTION_OVER_SIZE
    if over <= MOST_OVER and (state.best is None or loss < state.best.loss):
        state.best = state.snapshot(loss)


def _report(state: State, steps: int, time_limit: float | None, fraction: float, *, shows_psnr: bool) -> Progress:
    psnr = None if not (shows_psnr and state.distortion) else -10 * math.log10(state.distortion)
    size = None if state.bits is None else int(state.bits / 8)
    eta = state.elapsed * (1 - fraction) / fraction if fraction > 0 else None
    stage = "fit" if state.log_step is None else "rate"
    total = steps if time_limit is None or fraction <= state.step / steps else max(state.step, round(state.step / fraction))
    return Progress(stage, state.step, total, psnr, size, eta)


def _fitted(state: State, layout: FlatLayout, frozen: dict[str, NDArray[np.float32]], plan: Plan, interrupted: bool) -> Fitted:
    kept = state.best or state.snapshot(0.0)
    log_step = kept.log_step
    if log_step is None:
        schedule = plan.schedule
        log_step, _ = initial_scales(layout, kept.values, table_step=schedule.table_step / 8, matrix_step=schedule.matrix_step / 8)
    steps = _steps_by_name(layout, log_step)
    return Fitted(to_arrays(layout, kept.values), steps, frozen, kept.contexts, state.lam, state.step, interrupted)


def _both_contexts(layout: FlatLayout, plan: Plan, seed: int, *, halt: torch.Tensor | None) -> tuple[Contexts | None, Contexts | None]:
    """Those of noisy and those of rounded values."""
    return _contexts(layout, plan, seed, halt=halt), _contexts(layout, plan, seed, halt=halt)


def _contexts(layout: FlatLayout, plan: Plan, seed: int, *, halt: torch.Tensor | None) -> Contexts | None:
    """The context network of the tables that contexts can code, where the plan wants one."""
    names, schedule, config = _contextual(plan), plan.schedule, plan.config
    if not names:
        return None
    hidden, rate = schedule.context_features, schedule.context_learning_rate
    return make_contexts(layout, config.levels, names, d=config.in_features, hidden=hidden, learning_rate=rate, seed=seed, halt=halt)


def _contextual(plan: Plan) -> tuple[str, ...]:
    """Names of the tables that the plan codes with contexts."""
    wanted = plan.schedule.context_features > 0 and plan.target.lam > 0
    return contextual_tables(plan.network, plan.config) if wanted else ()


def _steps_by_name(layout: FlatLayout, log_step: torch.Tensor) -> dict[str, NDArray[np.float32]]:
    step = torch.exp(log_step).cpu().numpy()
    return {
        param.name: step[start:stop].copy()
        for param, start, stop in zip(layout.params, layout.group_offsets, layout.group_offsets[1:], strict=False)
    }
