"""What makes a file keep to an error bound: from a bound and a signal to a residual, and the check that it holds."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import entropy, spec
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.opening import open_inr
from inrcodec.residual import Residual
from inrcodec.signals.base import Content, Signal, exact_samples

ENOUGH = 7 / 8  # of the step without tolerance: what float32 evaluation may cost, a fifth of a bit a sample
LEAST = 1 / 4  # the same in double precision
BLOCK = 1 << 20  # samples worked on at a time
Entry = tuple[list[Any], bytes]  # of HEAD.tens, and payload


def wanted_residual(signal: Content, *, max_error: float | str | None, lossless: bool) -> Residual | None:
    """The residual that was asked for, or None. max_error: in units of the samples, or a part of their range ("0.1%").

    Raises UsageError for what no residual can keep to, LimitExceeded for more samples than decoders take.
    """
    if max_error is None and not lossless:
        return None
    if not isinstance(signal, Signal):
        raise UsageError("max_error, lossless: expected samples on a grid, got a shape")
    if signal.values.size > DEFAULT_LIMITS.elements:
        raise LimitExceeded(f"max_error, lossless: expected at most {DEFAULT_LIMITS.elements} numbers, got {signal.values.size}")
    integers = signal.dtype is None or np.dtype(signal.dtype).kind in "iu"
    if lossless and max_error is not None:
        raise UsageError("lossless: expected it alone, got max_error as well")
    if lossless and not integers:
        raise UsageError(f"lossless: expected integer samples, got {signal.dtype}; give a bound with --max-error")
    bound = 0.0 if max_error is None else _absolute(max_error, signal)
    if integers:
        bound = float(math.floor(bound * (1 + 1e-12)))  # 0.4 % of 250 is 1
    elif bound == 0:
        raise UsageError(f"max_error: expected a number above 0 for {signal.dtype} samples, got {max_error}")
    whole = 2 * bound + integers
    span, rounding = _span(signal), 0.0 if integers else _rounding(signal, bound)
    for tolerance, least in ((spec.FLOAT32_TOLERANCE, ENOUGH), (spec.FLOAT64_TOLERANCE, LEAST)):
        step = whole - 2 * (tolerance * span + rounding)
        if step >= least * whole and span / step < entropy.MAX_SYMBOL:
            return Residual(bound=bound, step=step, tolerance=tolerance)
    raise UsageError(f"max_error: {bound:g} is too little beside samples that span {span:g}")


def with_residual(head: dict[str, Any], residual: Residual) -> dict[str, Any]:
    """HEAD that states it."""
    stated = {"bound": residual.bound, "step": residual.step, "tolerance": residual.tolerance}
    return {**head, "req": sorted([*head["req"], spec.RESIDUAL_FEATURE]), "out": {**head["out"], "residual": stated}}


def residual_entry(function: bytes, signal: Signal, residual: Residual, *, seed: int) -> Entry:
    """The tensor that makes of a file without residual, `function`, one that keeps to the bound."""
    from inrcodec.fit.residual import payload

    numbers = open_inr(function, limits=Limits(output_samples=1 << 40, work=1 << 80)).unrounded()
    samples = exact_samples(signal)
    symbols = np.empty(samples.shape, dtype=np.int32)
    for part in _parts(samples):
        steps = np.rint((samples[part].astype(np.float64) - numbers[part]) / residual.step)
        if signal.missing is not None:
            steps[signal.missing[part]] = 0
        symbols[part] = steps
    content = payload(symbols, seed=seed)
    return [spec.RESIDUAL, len(content)], content


def largest_error(decoded: NDArray[Any], signal: Signal) -> float:
    """max |decoded - source| over all samples that the source has, in their units; infinite where the file lacks one."""
    samples, largest = exact_samples(signal), 0.0
    for part in _parts(samples):
        error = np.abs(decoded[part].astype(np.float64) - samples[part].astype(np.float64))
        if signal.missing is not None:
            error[signal.missing[part]] = 0
        found = float(error.max())
        largest = math.inf if math.isnan(found) else max(largest, found)
    return largest


def _parts(samples: NDArray[Any]) -> Iterator[slice]:
    rows = max(1, BLOCK * len(samples) // samples.size)
    for start in range(0, len(samples), rows):
        yield slice(start, start + rows)


def stated_bound(max_error: float | str) -> tuple[float, bool]:
    """A bound as it is given, and whether it is in per cent of the samples' range. Raises UsageError."""
    text = str(max_error).strip()
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise UsageError(f"max_error: expected a number of at least 0, or a part of the range such as 0.1%, got {max_error!r}")
    return value, text.endswith("%")


def _absolute(max_error: float | str, signal: Signal) -> float:
    """A bound in units of the samples."""
    value, relative = stated_bound(max_error)
    return value / 100 * _extent(signal) if relative else value


def _extent(signal: Signal) -> float:
    """Highest less lowest sample."""
    samples = exact_samples(signal)
    if signal.missing is not None:
        samples = samples[~signal.missing]
    return float(samples.max()) - float(samples.min())


def _span(signal: Signal) -> float:
    """What v from 0 to 1 spans at most, in units of the samples."""
    return float(2**signal.bits - 1) if signal.dtype is None else max(c.high - c.low for c in signal.channels)


def _rounding(signal: Signal, bound: float) -> float:
    """By how much arithmetic in float64 and rounding to the samples' type may move a sample."""
    largest = max(max(abs(c.low), abs(c.high)) for c in signal.channels) + bound
    assert signal.dtype is not None
    with np.errstate(over="ignore"):
        own = np.spacing(np.minimum(largest, np.finfo(signal.dtype).max).astype(signal.dtype))
    return float(own) / 2 + 8 * float(np.spacing(largest))
