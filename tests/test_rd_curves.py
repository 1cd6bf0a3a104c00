"""Rate-distortion curves: interpolation, Bjontegaard averages and published points against what can be worked out by hand."""

import math
import sys

import pytest

from inrcodec.bench.curves import Point, bd_psnr, bd_rate, front, mean_curve, psnr_at
from inrcodec.bench.published import published_curves
from inrcodec.errors import BackendMissing

LINE = tuple(Point(1000.0 * 2**k, 30.0 + 3 * k) for k in range(4))


def halved(curve: tuple[Point, ...]) -> tuple[Point, ...]:
    return tuple(Point(p.size / 2, p.psnr) for p in curve)


def test_equal_curves_are_not_apart() -> None:
    rate, level = bd_rate(LINE, LINE), bd_psnr(LINE, LINE)
    assert rate.value == pytest.approx(0, abs=1e-9) and (rate.low, rate.high) == (30.0, 39.0)
    assert level.value == pytest.approx(0, abs=1e-9) and level.low == pytest.approx(1000) and level.high == pytest.approx(8000)


def test_half_the_bytes_is_minus_50_percent() -> None:
    curved = tuple(Point(size, psnr) for size, psnr in ((500, 28.0), (900, 31.5), (2500, 36.0), (9000, 39.0)))
    for curve in (LINE, curved):
        assert bd_rate(halved(curve), curve).value == pytest.approx(-50)
        assert bd_rate(curve, halved(curve)).value == pytest.approx(100)
    assert bd_psnr(halved(LINE), LINE).value == pytest.approx(3)  # this line gains 3 dB with every doubling


def test_more_decibels_at_equal_bytes() -> None:
    better = tuple(Point(p.size, p.psnr + 1.5) for p in LINE)
    assert bd_psnr(better, LINE).value == pytest.approx(1.5)
    assert bd_rate(better, LINE).value == pytest.approx(100 * (2**-0.5 - 1))
    # only where both are: from 31.5 to 39 dB
    assert bd_rate(better, LINE).low == 31.5 and bd_rate(better, LINE).high == 39


def test_curves_without_a_common_range_or_with_too_few_points() -> None:
    apart = bd_rate(tuple(Point(p.size, p.psnr + 20) for p in LINE), LINE)
    assert apart.value is None and "no overlap" in str(apart.why)
    few = bd_psnr(LINE[:1], LINE)
    assert few.value is None and few.why == "too few points: expected at least 2 per curve, got 1"
    assert bd_rate((), LINE).value is None
    assert bd_rate(halved(LINE[1:3]), LINE).value == pytest.approx(-50)  # two points are a straight line


def test_what_is_worse_and_larger_does_not_count() -> None:
    points = [Point(100, 30), Point(200, 29), Point(150, 33), Point(150, 32), Point(300, 33), Point(400, 35)]
    assert front(points) == (Point(100, 30), Point(150, 33), Point(400, 35)) and front([]) == ()
    uneven = [*LINE, Point(3000, 31.0), Point(9000, 30.5)]
    assert bd_rate(front(uneven), LINE).value == pytest.approx(0, abs=1e-9)


def test_psnr_at_equal_bytes_is_linear_in_log_size() -> None:
    assert psnr_at(LINE, 1000).psnr == 30 and psnr_at(LINE, 8000).psnr == 39
    assert psnr_at(LINE, 1000 * math.sqrt(2)).psnr == pytest.approx(31.5)
    for size, word in ((999, "below"), (8001, "above")):
        found = psnr_at(LINE, size)
        assert found.psnr is None and "outside the measured range" in str(found.why) and word in str(found.why)
    assert psnr_at((), 5).why == "no points"


def test_mean_curves_stay_where_all_curves_are() -> None:
    mean = mean_curve([LINE, tuple(Point(p.size * 2, p.psnr + 3) for p in LINE)])
    assert mean[0].size == 2000 and mean[-1].size == 8000
    assert all(p.psnr == pytest.approx(psnr_at(LINE, p.size).psnr) for p in mean)
    assert mean_curve([LINE, ()]) == () and mean_curve([LINE[:1], LINE[2:]]) == ()


def test_bd_needs_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.interpolate", None)
    with pytest.raises(BackendMissing, match=r"inrcodec\[bench\]"):
        bd_rate(LINE, LINE)


def test_published_points() -> None:
    curves = {curve.name: curve for curve in published_curves("kodak")}
    assert len(curves) == 9 and all(front(c.curve) == c.curve and c.source for c in curves.values())
    # The table these come from has both kinds; points between published ones agree with it.
    for name, bpp, psnr in (("NIF25", 0.15, 27.67), ("NIF25", 0.5, 31.66), ("NIF25", 1.0, 34.45), ("Cool-Chic 5.0", 0.5, 34.74)):
        assert psnr_at(curves[name].curve, bpp).psnr == pytest.approx(psnr, abs=0.006) and not curves[name].interpolated
