"""The weight of the rate, lam, followed step by step towards a size or a PSNR.

A guess from what is wanted, more or less by how far off the run is now, and more or less the longer it is.
"""

import math

from inrcodec.fit.plan import Plan, Schedule
from inrcodec.fit.state import State

COUNTED_EVERY = 4  # steps, about, between rates of rounded values, which lam follows, as long as there is noise
LAMS = (1e-9, 1.0)
DESCENT = 0.3  # of the time between rate and rounding, in which the size comes down to the one wanted
RATE_SLOPE = 0.7  # lam is about this many times distortion over rate
PUSH_UP, PUSH_DOWN = 4.0, 8.0  # lam grows with the size over the one wanted, and falls with the size below it, to this power
ROUNDED_PUSH = 15.0  # the same for both once values are rounded
MOST_UP, MOST_DOWN = 1.2, 2.3  # in logarithms: what a moment's haste takes away does not come back
PULL = 100.0  # how fast lam follows the size beyond that, per run
ROUNDED_PULL = 150.0  # the same once values are rounded
MOST_PULL = 1 / 16  # per step: values move no faster
MOST_ERROR, MOST_GATHERED = 0.25, 4.0  # so that what cannot be followed is not made up for later
DISTORTION_SLOPE = 1.5  # lam is about this many times the distortion where tables are most of the file
MOST_SLOPE = 3.0  # lam is never more than so many times distortion over rate
CAUTION = 0.6  # of that, in another try
PSNR_MARGIN = 0.1  # dB above a target, aimed at once values are rounded
NOISE_LOSS = 0.25  # dB that uniform noise costs more than rounding
PSNR_PUSH = 3.0  # lam falls with the distortion over the one wanted to this power


def wanted_distortion(psnr: float) -> float:
    """Mean squared error that surely reaches a PSNR, up to what 8-bit codes and the last samples change."""
    return float(10 ** (-(psnr + 0.03) / 10))


def rounded_turn(schedule: Schedule) -> int:
    """Every how many evaluations of the rate of noisy values that of rounded ones is asked for as well."""
    return max(1, COUNTED_EVERY // schedule.rate_every)


def steer(state: State, plan: Plan, samples: int, other_bytes: int, fraction: float) -> None:
    """Set state.lam for the next steps; `samples` are the signal's, `other_bytes` those of the file beside its tensors."""
    if not state.distortion:
        return
    if plan.target.size is not None:
        lam = _for_size(state, plan, plan.target.size, samples, other_bytes, fraction)
    elif plan.target.psnr is not None:
        lam = _for_psnr(state, plan, plan.target.psnr, samples, fraction)
    else:
        return
    state.lam = min(LAMS[1], max(LAMS[0], lam))


def _for_size(state: State, plan: Plan, size: int, samples: int, other_bytes: int, fraction: float) -> float:
    """What the distortion asks for at the size wanted, more where the file is larger, and more the longer it is.

    The size wanted comes down to that of the target step by step: what was cut away in haste does not grow again.
    """
    schedule = plan.schedule
    assert state.bits is not None and state.distortion is not None
    error = math.log(state.bits / (8.0 * (1.0 if state.snapped else schedule.size_margin) * size))
    if state.excess is None:
        state.excess = error
    descended = _descended(plan, fraction)
    error = max(-1.0, min(1.0, error - max(0.0, 1.0 - descended) * state.excess))
    if descended >= 1:
        _gather(state, plan, error)
    # Once the size is there, a distortion that grows must not make lam grow with it: it would never end.
    state.reference = min(state.reference, state.distortion) if descended >= 1 and state.reference is not None else state.distortion
    push = max(-MOST_DOWN, min(MOST_UP, (ROUNDED_PUSH if state.snapped else PUSH_UP if error > 0 else PUSH_DOWN) * error))
    wanted = max(8.0, 8.0 * (size - other_bytes))
    return RATE_SLOPE * state.reference * samples / wanted * math.exp(push + state.pull)


def _for_psnr(state: State, plan: Plan, psnr: float, samples: int, fraction: float) -> float:
    """What the distortion wanted asks for, less where there is more of it, and less the longer there is."""
    assert state.distortion is not None and state.bits is not None
    wanted = 10 ** (-(psnr + (PSNR_MARGIN if state.snapped else -NOISE_LOSS)) / 10)
    error = max(-1.0, min(1.0, math.log(wanted / state.distortion)))
    if _descended(plan, fraction) >= 1:
        _gather(state, plan, error)
    push = max(-MOST_DOWN, min(MOST_UP, PSNR_PUSH * error))
    # Where hardly any bits are left to save a larger lam only does damage: coarser steps in the end take back what is too good.
    most = MOST_SLOPE * CAUTION**state.attempts * wanted * samples / max(1.0, state.bits)
    return min(most, DISTORTION_SLOPE * wanted * math.exp(push + state.pull))


def _descended(plan: Plan, fraction: float) -> float:
    """How much of the descent is over: 1 at its end."""
    schedule = plan.schedule
    return (fraction - schedule.rate_from) / max(1e-9, DESCENT * (schedule.round_from - schedule.rate_from))


def _gather(state: State, plan: Plan, error: float) -> None:
    schedule = plan.schedule
    rate_of_pull = min(MOST_PULL, (ROUNDED_PULL if state.snapped else PULL) / schedule.steps)
    between = schedule.rate_every * (rounded_turn(schedule) if state.contexts is not None and not state.snapped else 1)
    gathered = state.pull + rate_of_pull * max(-MOST_ERROR, min(MOST_ERROR, error)) * between
    state.pull = max(-MOST_GATHERED, min(MOST_GATHERED, gathered))
