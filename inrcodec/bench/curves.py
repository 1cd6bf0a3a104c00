"""Rate-distortion curves: interpolation, and the averages of Bjontegaard.

A size is any positive measure of rate of which fewer is better: bytes, or bits per pixel. PSNR is in dB.
"""

import importlib
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from inrcodec.errors import BackendMissing

MIN_POINTS = 2  # of a curve that is integrated: the cubic through two points is a straight line
MEAN_POINTS = 64


@dataclass(frozen=True)
class Point:
    """One file: size and PSNR."""

    size: float
    psnr: float


Curve = tuple[Point, ...]  # as `front` gives it: both ascend from point to point


@dataclass(frozen=True)
class Found:
    """A PSNR in dB, or None and why there is none."""

    psnr: float | None
    why: str | None = None


@dataclass(frozen=True)
class Average:
    """An average difference of two curves over the range from `low` to `high` that both have, or None and why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    why: str | None = None


def front(points: Iterable[Point]) -> Curve:
    """The points that no smaller or equally large one reaches in PSNR: whoever wants the best file of a size takes one of these.

    Both coordinates ascend strictly, which is what interpolation either way needs, whatever the points were.
    """
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.size, -p.psnr)):
        if not kept or point.psnr > kept[-1].psnr:
            kept.append(point)
    return tuple(kept)


def psnr_at(curve: Curve, size: float) -> Found:
    """PSNR of the curve at a size, linear in log(size) between its points; nothing is made up outside of them."""
    if not curve:
        return Found(None, "no points")
    if size < curve[0].size:
        return Found(None, f"outside the measured range: {size:g} is below its smallest, {curve[0].size:g}")
    if size > curve[-1].size:
        return Found(None, f"outside the measured range: {size:g} is above its largest, {curve[-1].size:g}")
    after = bisect_right(curve, size, key=lambda p: p.size)
    if after == len(curve):
        return Found(curve[-1].psnr)
    a, b = curve[after - 1], curve[after]
    part = math.log(size / a.size) / math.log(b.size / a.size)
    return Found(a.psnr + part * (b.psnr - a.psnr))


def bd_rate(ours: Curve, theirs: Curve) -> Average:
    """How many percent more bytes ours takes than theirs at equal PSNR: negative is better. low, high: dB.

    With r(q) the monotone piecewise cubic (PCHIP) through (PSNR, ln size) of each curve, over the PSNRs [low, high] that both reach:
    100 * (exp((integral of r_ours - integral of r_theirs) / (high - low)) - 1).
    """
    found = _mean_difference([_swapped(curve) for curve in (ours, theirs)], "PSNR")
    return found if found.value is None else Average(100 * math.expm1(found.value), found.low, found.high)


def bd_psnr(ours: Curve, theirs: Curve) -> Average:
    """How many dB ours is above theirs at equal size. low, high: sizes.

    The mean over ln(size) in [low, high], the sizes that both have, of the difference of the PCHIPs through (ln size, PSNR).
    """
    found = _mean_difference([[(math.log(p.size), p.psnr) for p in curve] for curve in (ours, theirs)], "size")
    if found.low is None or found.high is None:
        return found
    return Average(found.value, math.exp(found.low), math.exp(found.high))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean PSNR of several curves at equal sizes, over the sizes that all of them have; empty where there are none."""
    if not curves or not all(curves):
        return ()
    low, high = max(curve[0].size for curve in curves), min(curve[-1].size for curve in curves)
    if low >= high:
        return ()
    inner = [low * (high / low) ** (k / (MEAN_POINTS - 1)) for k in range(1, MEAN_POINTS - 1)]
    result = []
    for size in (low, *inner, high):
        found = [psnr_at(curve, size).psnr for curve in curves]
        result.append(Point(size, sum(value for value in found if value is not None) / len(curves)))
    return tuple(result)


def need_scipy() -> Any:
    """scipy.interpolate; raises BackendMissing naming the extra."""
    try:
        return importlib.import_module("scipy.interpolate")
    except ImportError as error:
        raise BackendMissing("BD-rate: needs scipy, which is not installed; install it with: pip install 'inrcodec[bench]'") from error


def _swapped(curve: Curve) -> list[tuple[float, float]]:
    return [(p.psnr, math.log(p.size)) for p in curve]


def _mean_difference(pairs: Sequence[list[tuple[float, float]]], axis: str) -> Average:
    """Mean of first - second over the abscissae that both have."""
    fewest = min(len(points) for points in pairs)
    if fewest < MIN_POINTS:
        return Average(None, why=f"too few points: expected at least {MIN_POINTS} per curve, got {fewest}")
    low, high = max(points[0][0] for points in pairs), min(points[-1][0] for points in pairs)
    if low >= high:
        return Average(None, why=f"no overlap: the curves have no range of {axis} in common")
    pchip = need_scipy().PchipInterpolator
    first, second = (float(pchip(*zip(*points, strict=True)).integrate(low, high)) for points in pairs)
    return Average((first - second) / (high - low), low, high)
