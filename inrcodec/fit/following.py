"""What a fit learns of its own steps, read from its device a few at a time: distortion and size, divergence undone, the best kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from inrcodec.errors import InrError
from inrcodec.fit.optim import make_optimizers
from inrcodec.fit.plan import Plan, Target
from inrcodec.fit.quantized import FlatLayout
from inrcodec.fit.state import State
from inrcodec.fit.steering import steer, wanted_distortion

GUARD_EVERY = 25  # steps between looks for divergence
MAX_RESTARTS = 4
DISTORTION_OVER_SIZE = 1.5  # a file smaller by 1 % has about so many per cent more distortion
TENSOR_OVERHEAD_BITS = 8 * 8  # lanes of one tensor
GROUP_OVERHEAD_BITS = 8 * 3  # step and model codes of one group

Number = float | torch.Tensor


@dataclass(frozen=True)
class Reading:
    """A result that is not yet read, of the step `step` at this fraction of the run. It counts for the best where `keeps` says so."""

    value: Number
    step: int
    fraction: float
    is_bits: bool = False
    keeps: bool = False


class Follower:
    """The readings of a fit, in the order in which they came."""

    def __init__(
        self, state: State, layout: FlatLayout, plan: Plan, *, samples: int, phases: int, variance: float, other_bytes: int, look_every: int
    ) -> None:
        self._state, self._layout, self._plan = state, layout, plan
        self._samples, self._variance, self._other_bytes, self._every = samples, variance, other_bytes, look_every
        self._cycle = phases * -(-look_every // phases)  # whole cycles, no less than what is read together
        self._unread: list[Reading] = []

    @property
    def pending(self) -> bool:
        return bool(self._unread)

    def add(self, reading: Reading) -> None:
        self._unread.append(reading)

    def is_due(self) -> bool:
        """Whether to look now, at the end of a step: in turn, or since a cycle is complete."""
        if self._state.step % self._every == 0:
            return True
        return len(self._state.cycle_loss) + sum(reading.keeps for reading in self._unread) >= self._cycle

    def look(self) -> bool:
        """Read what there is. False if the fit had diverged and has gone back; what came after that is forgotten."""
        unread, self._unread = self._unread, []
        state, schedule = self._state, self._plan.schedule
        for reading, value in zip(unread, read([reading.value for reading in unread]), strict=True):
            if reading.is_bits:
                follow_bits(state, self._layout, self._plan, value, self._samples, self._other_bytes, reading.fraction)
                continue
            good = is_good(state, value, self._variance, reading.fraction, self._plan)
            if not good:
                go_back(state)
                state.optimizers = make_optimizers(self._layout, state.values, state.grads, schedule, halt=state.halt)
                return False
            if reading.step % GUARD_EVERY == 0:
                state.good = state.snapshot(state.distortion or 0.0)
            if reading.keeps:
                keep_best(state, value, self._plan.target, self._samples, self._cycle)
        return True


def read(values: Sequence[Number]) -> list[float]:
    """The values, those of a device at once."""
    if len(values) < 2 or not any(isinstance(value, torch.Tensor) for value in values):
        return [float(value) for value in values]
    found: list[float] = torch.stack([torch.as_tensor(value, dtype=torch.float64) for value in values]).tolist()
    return found


def follow_bits(state: State, layout: FlatLayout, plan: Plan, bits: float, samples: int, other_bytes: int, fraction: float) -> None:
    """Estimate the size of the file by the bits of its values, and steer lam towards a target."""
    overhead = TENSOR_OVERHEAD_BITS * len(layout.params) + GROUP_OVERHEAD_BITS * layout.groups
    other = 8 * other_bytes
    if state.correction is None:
        # Rounded values may seem to need fewer bits than noisy ones; the packed size is the same.
        state.correction = 1.0 if state.bits is None else (state.bits - other) / (bits + overhead)
    state.bits = state.correction * (bits + overhead) + other
    steer(state, plan, samples, other_bytes, fraction)


def is_good(state: State, distortion: float, variance: float, fraction: float, plan: Plan) -> bool:
    """Follow the distortion; False on divergence."""
    if not math.isfinite(distortion):
        return False
    average = state.distortion
    state.distortion = distortion if average is None else 0.95 * average + 0.05 * distortion
    if state.good is None or variance <= 0:
        return True
    bad = state.distortion > 10 * state.good.loss and state.distortion > 0.25 * variance
    # Before the rate stage nothing but divergence explains an image as bad as a constant.
    early = plan.schedule.constant_is_divergence and 0.1 < fraction < plan.schedule.rate_from
    return not (bad or (early and variance > 1e-5 and state.distortion > 0.95 * variance))


def go_back(state: State) -> None:
    """After a divergence, to the last good state with half the learning rate; the optimizers begin anew."""
    state.restarts += 1
    if state.restarts > MAX_RESTARTS:
        raise InrError(f"fit: diverged {state.restarts} times, last at step {state.step}; try a lower --set learning_rate")
    state.rate_factor *= 0.5
    state.distortion = None
    state.cycle_loss.clear()
    if state.halt is not None:
        state.halt.zero_()
    if state.good is None:
        return
    state.values.copy_(state.good.values)
    if state.log_step is not None and state.good.log_step is not None and state.log_scale is not None:
        state.log_step.copy_(state.good.log_step)
        state.log_scale.copy_(state.good.log_scale if state.good.log_scale is not None else state.log_scale)


def keep_best(state: State, distortion: float, target: Target, samples: int, cycle: int) -> None:
    """After each cycle over all phases (every sample seen once) compare the loss with the best one."""
    state.cycle_loss.append(distortion)
    if len(state.cycle_loss) < cycle:
        return
    average, bits = sum(state.cycle_loss) / cycle, state.bits or 0.0
    loss, reached = average + state.lam * bits / samples, False
    if target.psnr is not None:
        # Of what is good enough the smallest, else the best.
        share = average / wanted_distortion(target.psnr)
        reached = share <= 1
        loss = bits / samples * share ** (1 / DISTORTION_OVER_SIZE) if reached else 1e6 * (1 + average)
    state.cycle_loss.clear()
    if state.best is None or loss < state.best.loss:
        state.best = state.snapshot(loss, reached=reached)
