"""Another try where the size or the PSNR of a fit came out wrong: from where its rate stage or its last stage began."""

import math
from dataclasses import dataclass

import torch

from inrcodec.fit.contexts import Contexts
from inrcodec.fit.plan import Target
from inrcodec.fit.state import State

MOST_ATTEMPTS = 2
LEAST_SIZE = 0.98  # of the size asked for: what follows may take a little more away
MOST_TIME = 0.04  # of a limit of time that a run may have taken for others to come: even the last is then not shortened by it
SIZE_OVER_STEP = 0.5  # a file is larger by about so many per cent where steps are finer by 1 %
MOST_SHIFT = 1.5  # of the logarithm of the steps

Tensor = torch.Tensor


@dataclass(frozen=True, eq=False)
class StageStart:
    """What a stage began with; of the stage of rounding also steps, scales, and the weights of what says the size of rounded values."""

    step: int
    values: Tensor
    scales: tuple[Tensor, Tensor] | None
    contexts: Contexts | None
    weights: dict[str, Tensor] | None
    pull: float
    correction: float | None


def stage_start(state: State) -> StageStart:
    scales = None if state.log_step is None or state.log_scale is None else (state.log_step.clone(), state.log_scale.clone())
    contexts = state.rounded_contexts
    weights = None if contexts is None else {name: weight.detach().clone() for name, weight in contexts.weights.items()}
    return StageStart(state.step, state.values.clone(), scales, state.contexts, weights, state.pull, state.correction)


def leaves_time(elapsed: float, limit: float | None) -> bool:
    """Whether a run that took so long leaves time for all other tries within a limit, in seconds."""
    return limit is None or elapsed <= MOST_TIME * limit


def try_again(state: State, target: Target, before_rate: StageStart | None, before_rounding: StageStart | None) -> bool:
    """Go back to where a stage began if what is wanted was not reached; False if it was, or there were attempts enough.

    A PSNR that was not reached is one that the rate has done damage to: all of it comes again, with more caution. For a size the
    last stage comes again with other steps.
    """
    if state.attempts >= MOST_ATTEMPTS:
        return False
    if target.psnr is not None and before_rate is not None:
        if state.best is not None and state.best.reached:
            return False
        _go_back(state, before_rate)
        state.log_step = state.log_scale = state.contexts = state.rounded_contexts = state.excess = state.bits = None
        return True
    if target.size is not None and before_rounding is not None and state.bits is not None:
        used = state.bits / (8 * target.size)
        if state.best is not None and used >= LEAST_SIZE:
            return False
        _go_back(state, before_rounding)
        assert state.log_step is not None
        state.log_step += max(-MOST_SHIFT, min(MOST_SHIFT, math.log(used) / SIZE_OVER_STEP))
        return True
    return False


def _go_back(state: State, start: StageStart) -> None:
    state.step, state.pull, state.correction = start.step, start.pull, start.correction
    state.values.copy_(start.values)
    if start.scales is not None and state.log_step is not None and state.log_scale is not None:
        state.log_step.copy_(start.scales[0])
        state.log_scale.copy_(start.scales[1])
    state.contexts = start.contexts
    if state.rounded_contexts is not None and start.weights is not None:
        with torch.no_grad():
            for name, weight in state.rounded_contexts.weights.items():
                weight.copy_(start.weights[name])
    state.snapped = False
    state.compared = 0.0
    state.cycle_loss.clear()
    state.attempts += 1
