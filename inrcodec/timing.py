"""Seconds and rates of signals with a time axis, as samples and regions of its grid."""

import math
from fractions import Fraction

from inrcodec.errors import UsageError
from inrcodec.signals.base import Axis, Space

TIME = "t"


def samples_at_rate(axes: tuple[Axis, ...], space: Space | None, rate: float) -> tuple[int, ...]:
    """Samples per axis where time has `rate` samples a second: floor(n * rate / source rate + 1/2) of them, at least one.

    Raises UsageError for a signal without a known rate and for a rate that is not above 0.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"rate: expected a number above 0, got {rate}")
    k, source = _source_rate(axes, space, "rate")
    m = max(1, math.floor(axes[k].n * Fraction(rate) / source + Fraction(1, 2)))
    return tuple(m if i == k else axis.n for i, axis in enumerate(axes))


def at_rate(axes: tuple[Axis, ...], space: Space, rate: float) -> Space:
    """`space` with exactly `rate` samples a second along time."""
    k, _ = _source_rate(axes, space, "rate")
    return Space(tuple(1 / rate if i == k else step for i, step in enumerate(space.spacing)), space.affine, space.units)


def time_region(
    axes: tuple[Axis, ...], space: Space | None, start: float | None, stop: float | None
) -> tuple[tuple[float, float], ...] | None:
    """The region, in nominal samples, from `start` until `stop` seconds, whole along other axes; None where neither is given.

    A stop beyond the end is the end. Raises UsageError unless 0 <= start < stop and start lies inside.
    """
    if start is None and stop is None:
        return None
    k, source = _source_rate(axes, space, "start, stop")
    seconds = axes[k].n / source
    begin, end = 0.0 if start is None else start, float(seconds) if stop is None else stop
    if not (0 <= begin < end and begin < seconds):
        raise UsageError(f"start, stop: expected seconds 0 <= start < stop within {float(seconds):g} s, got start {start} and stop {stop}")
    n = axes[k].n
    inside = (float(Fraction(begin) * source), n if end >= seconds else float(Fraction(end) * source))
    return tuple(inside if i == k else (0.0, float(axis.n)) for i, axis in enumerate(axes))


def _source_rate(axes: tuple[Axis, ...], space: Space | None, what: str) -> tuple[int, Fraction]:
    """The axis of time and its samples a second; rates of sound are whole, those of video whole or over 1001."""
    k = next((i for i, axis in enumerate(axes) if axis.name == TIME), None)
    if k is None:
        raise UsageError(f"{what}: expected sound or video, got a signal without an axis of time")
    spacing = space.spacing[k] if space is not None else 0.0
    if not (math.isfinite(spacing) and spacing > 0):
        raise UsageError(f"{what}: the file does not state its samples a second; use scale, size or region")
    return k, (1 / Fraction(spacing)).limit_denominator(1001)
