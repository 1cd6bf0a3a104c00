"""The loop that fits a network to a signal for a file size.

Three stages, one run: the plain fit; from Schedule.rate_from on, uniform noise of the quantization steps and the rate in the loss; from
round_from on, rounded values (straight-through). Steps and Laplace scales are learned along.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inrcodec.backends.threads import Team, team
from inrcodec.context import ContextNet
from inrcodec.errors import InrError, Interrupted
from inrcodec.fit.attempts import StageStart, leaves_time, stage_start, try_again
from inrcodec.fit.checkpoint import load_checkpoint, save_checkpoint
from inrcodec.fit.contexts import Contexts, add_context_rate, make_contexts
from inrcodec.fit.data import Data
from inrcodec.fit.gradients import batch_gradients, make_lanes
from inrcodec.fit.interrupt import deferred_interrupt
from inrcodec.fit.optim import cosine_factor, make_optimizers, set_learning_rates
from inrcodec.fit.plan import Plan, Schedule, Target
from inrcodec.fit.progress import advance, is_due
from inrcodec.fit.quantized import (
    FlatLayout,
    Rate,
    bound_scales,
    flat_layout,
    group_sum,
    initial_scales,
    leading,
    quantize_flat,
    rate,
    to_arrays,
)
from inrcodec.fit.state import State, new_state, restore, to_saved
from inrcodec.fit.steering import rounded_turn, steer, wanted_distortion
from inrcodec.networks.sape import PROGRESS
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.quantize import nearest_step_codes, steps
from inrcodec.weights import contextual_tables, pack

GOLDEN_RATIO = (5**0.5 - 1) / 2
GUARD_EVERY = 25  # steps between looks for divergence
MAX_RESTARTS = 4
REPORT_SECONDS = 0.25
COMPARE_EVERY = 0.05  # of a run with a size target, between packings
ROUNDED_EVERY = 0.015  # the same once values are rounded, when what fits is kept
DISTORTION_OVER_SIZE = 1.5  # a file smaller by 1 % has about so many per cent more distortion
MOST_OVER = 1.04  # sizes kept, over the one wanted
NOISY_TRUST = 0.5  # in the size that values with noise are packed to, against what was known of it before
TENSOR_OVERHEAD_BITS = 8 * 8  # lanes of one tensor
GROUP_OVERHEAD_BITS = 8 * 3  # step and model codes of one group


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a fit runs, apart from what it computes."""

    seed: int
    device: torch.device
    time_limit: float | None = None  # seconds
    checkpoint: Path | None = None
    checkpoint_key: str = ""
    checkpoint_seconds: float = 30.0
    resume: bool = False
    keep_on_interrupt: bool = False
    initial: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)  # in place of the network's own
    other_bytes: int = 0  # of the file, beside its tensors' payloads
    progress: ProgressCallback | None = None
    stop: Callable[[], bool] | None = None  # asked before every step; True ends the run as Ctrl-C does


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
    state = new_state(plan, layout, initial, seed=options.seed, device=options.device)
    if options.resume and options.checkpoint is not None and options.checkpoint.exists():
        saved = load_checkpoint(options.checkpoint, options.checkpoint_key)
        restore(state, saved, plan.schedule.scale_learning_rate, _both_contexts(layout, plan, options.seed))
    with deferred_interrupt() as pressed, team(data.parts) as threads:
        interrupted = _run(state, layout, frozen, data, plan, options, pressed, threads)
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
    pressed: Callable[[], bool],
    threads: Team,
) -> bool:
    """Run to the end and return False, or until it is told to stop and return True."""
    schedule = plan.schedule
    working = torch.empty_like(state.values)
    count = None if plan.windows is None else plan.windows.count
    lanes = make_lanes(layout, working, state.grads, frozen, options.device, threads.size, count)
    bases = [schedule.learning_rate, schedule.table_learning_rate][: len(state.optimizers)]
    variance = data.variance
    begin = time.monotonic() - state.elapsed
    reported = saved = time.monotonic()
    before_rate: StageStart | None = None
    before_rounding: StageStart | None = None
    while True:
        fraction = progress_fraction(state, schedule.steps, options.time_limit)
        if fraction >= 1:
            again = leaves_time(state.elapsed, options.time_limit)
            if again and try_again(state, plan.target, before_rate, before_rounding):
                continue
            return False
        if pressed() or (options.stop is not None and options.stop()):
            return True
        if state.log_step is None and plan.target.lam > 0 and fraction >= schedule.rate_from:
            if plan.target.can_be_missed:
                before_rate = before_rate or stage_start(state)
            scales = initial_scales(layout, state.values, table_step=schedule.table_step, matrix_step=schedule.matrix_step)
            state.begin_rate(*scales, schedule.scale_learning_rate)
            state.contexts, state.rounded_contexts = _both_contexts(layout, plan, options.seed)
        rounding = state.log_step is not None and fraction >= schedule.round_from
        if rounding and not state.snapped:
            if plan.target.can_be_missed:
                before_rounding = before_rounding or stage_start(state)
            _snap_steps(state, schedule.rounded_push, fraction)
        set_learning_rates(state.optimizers, bases, learning_rate_factor(state, schedule.warmup, schedule.final_rate, fraction))

        residual = step_size = None
        if state.log_step is None:
            working.copy_(state.values)
        else:
            step_size = torch.exp(state.log_step)
            residual = quantize_flat(layout, state.values, step_size, None if rounding else state.generator)
            torch.addcmul(state.values, residual, step_size[layout.group], out=working)
        aside = data.between(state.step) if lies_between(state.step, schedule.between) else None
        batch = aside or data.batch(_next_phase(state, data), state.step)
        if state.log_step is None and is_due(plan, state.step):
            advance(lanes[0], layout.views(state.values)[PROGRESS], plan, batch)
        distortion = batch_gradients(
            lanes, threads, plan.network, plan.config, batch, scale=data.scale, mask_sparsity=schedule.mask_sparsity
        )
        if state.log_step is not None and state.step % schedule.rate_every == 0:
            assert residual is not None and step_size is not None
            _apply_rate(state, layout, data, plan, options, working, residual, step_size, fraction, threads)
            due = fraction >= state.compared + (ROUNDED_EVERY if rounding else COMPARE_EVERY)
            if due and plan.target.size is not None and state.bits is not None:
                _compare_with_packed(state, layout, data, frozen, plan, options, fraction)
        for optimizer in state.optimizers:
            optimizer.step()

        state.step += 1
        state.elapsed = time.monotonic() - begin
        if aside is not None:
            continue
        if not _watch(state, layout, schedule, distortion, variance, fraction):
            continue
        if plan.target.size is None and (rounding or (plan.target.lam == 0 and fraction >= schedule.round_from)):
            _keep_best(state, distortion, plan.target, data.samples, len(data.phase_indices()))
        now = time.monotonic()
        if options.progress is not None and now - reported >= REPORT_SECONDS:
            reported = now
            options.progress(_report(state, schedule.steps, options.time_limit, fraction, shows_psnr=data.shows_psnr))
        if options.checkpoint is not None and now - saved >= options.checkpoint_seconds:
            saved = now
            save_checkpoint(options.checkpoint, options.checkpoint_key, to_saved(state))


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


def _apply_rate(
    state: State,
    layout: FlatLayout,
    data: Data,
    plan: Plan,
    options: RunOptions,
    working: torch.Tensor,
    residual: torch.Tensor,
    step_size: torch.Tensor,
    fraction: float,
    threads: Team,
) -> None:
    """Add the rate's gradients, move steps and scales, and steer lam towards a target."""
    assert state.log_step is not None and state.log_scale is not None and state.scale_optimizer is not None
    schedule = plan.schedule
    weight = state.lam / data.samples
    r = _rate_of(state, state.contexts, layout, working, residual, threads)
    if not state.snapped:
        state.log_step.grad = group_sum(layout, state.grads * residual) * step_size + weight * r.grad_log_step
    state.log_scale.grad = weight * r.grad_log_scale
    state.scale_optimizer.step()
    bound_scales(layout, state.values, state.log_step, state.log_scale, steps_fixed=state.snapped)
    # The rate is evaluated every few steps only, with as many times its weight.
    state.grads.add_(r.grad_values, alpha=weight * schedule.rate_every)
    bits = float(r.bits)
    if state.rounded_contexts is not None and not state.snapped:
        if state.step // schedule.rate_every % rounded_turn(schedule):
            return
        apart = quantize_flat(layout, state.values, step_size, None)
        rounded = torch.addcmul(state.values, apart, step_size[layout.group])
        bits = float(_rate_of(state, state.rounded_contexts, layout, rounded, apart, threads).bits)
    overhead = TENSOR_OVERHEAD_BITS * len(layout.params) + GROUP_OVERHEAD_BITS * layout.groups
    other = 8 * options.other_bytes
    if state.correction is None:
        # Rounded values may seem to need fewer bits than noisy ones; the packed size is the same.
        state.correction = 1.0 if state.bits is None else (state.bits - other) / (bits + overhead)
    state.bits = state.correction * (bits + overhead) + other
    steer(state, plan, data.samples, options.other_bytes, fraction)


def _rate_of(
    state: State, contexts: Contexts | None, layout: FlatLayout, values: torch.Tensor, residual: torch.Tensor, threads: Team
) -> Rate:
    """The rate of `values` (p,), noisy or rounded; the context network, where there is one, makes a step."""
    assert state.log_step is not None and state.log_scale is not None
    if contexts is None:
        return rate(layout, values, state.log_step, state.log_scale)
    others = leading(layout, len(layout.params) - len(contexts.tables))
    r = rate(others, values[: others.size], state.log_step[: others.groups], state.log_scale[: others.groups])
    r = add_context_rate(contexts, r, values, residual, state.log_step, threads)
    contexts.optimizer.step()
    return r


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


def _watch(state: State, layout: FlatLayout, schedule: Schedule, distortion: float, variance: float, fraction: float) -> bool:
    """Follow the distortion; on divergence go back to the last good state with half the learning rate and return False."""
    bad = not math.isfinite(distortion)
    if not bad:
        average = state.distortion
        state.distortion = distortion if average is None else 0.95 * average + 0.05 * distortion
        if state.good is not None and variance > 0:
            bad = state.distortion > 10 * state.good.loss and state.distortion > 0.25 * variance
            # Before the rate stage nothing but divergence explains an image as bad as a constant.
            early = schedule.constant_is_divergence and 0.1 < fraction < schedule.rate_from
            bad = bad or (early and variance > 1e-5 and state.distortion > 0.95 * variance)
    if not bad:
        if state.step % GUARD_EVERY == 0:
            state.good = state.snapshot(state.distortion or 0.0)
        return True
    state.restarts += 1
    if state.restarts > MAX_RESTARTS:
        raise InrError(f"fit: diverged {state.restarts} times, last at step {state.step}; try a lower --set learning_rate")
    state.rate_factor *= 0.5
    state.distortion = None
    state.cycle_loss.clear()
    if state.good is not None:
        state.values.copy_(state.good.values)
        if state.log_step is not None and state.good.log_step is not None and state.log_scale is not None:
            state.log_step.copy_(state.good.log_step)
            state.log_scale.copy_(state.good.log_scale if state.good.log_scale is not None else state.log_scale)
    state.optimizers = make_optimizers(layout, state.values, state.grads, schedule)
    return False


def _keep_best(state: State, distortion: float, target: Target, samples: int, phases: int) -> None:
    """After each cycle over all phases (every sample seen once) compare the loss with the best one."""
    state.cycle_loss.append(distortion)
    if len(state.cycle_loss) < phases:
        return
    average, bits = sum(state.cycle_loss) / phases, state.bits or 0.0
    loss, reached = average + state.lam * bits / samples, False
    if target.psnr is not None:
        # Of what is good enough the smallest, else the best.
        share = average / wanted_distortion(target.psnr)
        reached = share <= 1
        loss = bits / samples * share ** (1 / DISTORTION_OVER_SIZE) if reached else 1e6 * (1 + average)
    state.cycle_loss.clear()
    if state.best is None or loss < state.best.loss:
        state.best = state.snapshot(loss, reached=reached)


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


def _both_contexts(layout: FlatLayout, plan: Plan, seed: int) -> tuple[Contexts | None, Contexts | None]:
    """Those of noisy and those of rounded values."""
    return _contexts(layout, plan, seed), _contexts(layout, plan, seed)


def _contexts(layout: FlatLayout, plan: Plan, seed: int) -> Contexts | None:
    """The context network of the tables that contexts can code, where the plan wants one."""
    names, schedule, config = _contextual(plan), plan.schedule, plan.config
    if not names:
        return None
    hidden, learning_rate = schedule.context_features, schedule.context_learning_rate
    return make_contexts(layout, config.levels, names, d=config.in_features, hidden=hidden, learning_rate=learning_rate, seed=seed)


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
