"""A region as a grid of its own, at any size."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inrcodec
from inrcodec.backends import available
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.limits import Limits
from tests.test_decoder import file_bytes

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"


@pytest.mark.parametrize("backend", available())
@pytest.mark.parametrize(("scale", "region"), [(3, ((4, 11), (2, 17))), (0.5, ((4, 12), (6, 16))), (0.25, ((0, 12), (8, 20)))])
def test_where_a_scaled_grid_has_the_samples_they_agree(backend: str, scale: float, region: tuple[tuple[int, int], ...]) -> None:
    """Finer, and coarser by means."""
    inr = inrcodec.open(file_bytes((12, 20)), backend=backend, device="cpu")
    size = [round((stop - start) * scale) for start, stop in region]
    found = inr.crop(region, size, dtype=np.float64)
    assert found.shape == (*size, 3)
    np.testing.assert_allclose(found, inr.decode(scale=scale, region=region, dtype=np.float64), atol=2e-6)


@pytest.mark.parametrize("scale", [0.5, 2])
def test_missing_samples_stay_missing(scale: float) -> None:
    inr = inrcodec.open(VALID / "volume-missing" / "input.inr", backend="numpy")
    assert inr.missing is not None
    holes = np.argwhere(inr.missing)
    region = [(0, 10), (0, 12), (0, 24)]
    for axis, n in enumerate(inr.grid_shape):
        start = max(0, int(holes[0, axis]) // 2 * 2 - 2)
        region[axis] = (start, min(n, start + 6))
    size = [round((stop - start) * scale) for start, stop in region]
    whole, found = inr.decode(scale=scale, region=region), inr.crop(region, size)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(whole))
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-5)
    nominal = inr.crop(region, [stop - start for start, stop in region])
    assert np.isnan(nominal).any() and not np.isnan(nominal).all()


@settings(max_examples=40)
@given(st.data())
def test_any_size_has_the_function_at_the_middles_of_its_cells(data: st.DataObject) -> None:
    inr = inrcodec.open(file_bytes((13, 17)), backend="numpy")
    region, size, axes = [], [], []
    for n in (13, 17):
        start = data.draw(st.floats(0, n - 0.5))
        stop = data.draw(st.floats(start + 0.25, n))
        m = data.draw(st.integers(int(np.ceil(stop - start)), 40))
        if float(start).is_integer() and stop - start == m:
            m += 1
        region.append((start, stop))
        size.append(m)
        axes.append(2 * (start + (np.arange(m) + 0.5) / m * (stop - start)) / n - 1)
    np.testing.assert_allclose(inr.crop(region, size, dtype=np.float32), np.clip(inr.on(*axes), 0, 1), atol=2e-5)


def test_one_sample_between_two_slices_is_where_its_index_is() -> None:
    inr = inrcodec.open(VALID / "volume-float32" / "input.inr", backend="numpy")
    for index in (0, 3.3, 9):
        picture = inr.crop([(index, index + 1), (0, 12), (0, 24)], (1, 12, 24))
        points = [[index, y, x] for y in range(12) for x in range(24)]
        low, high = inr.channels[0].low, inr.channels[0].high
        expected = np.clip(inr.at(points, units="pixel").reshape(1, 12, 24, 1), low, high)
        np.testing.assert_allclose(picture, expected, atol=1e-4 * (high - low))


def test_as_many_as_there_are_carry_the_residual() -> None:
    path = VALID / "residual-lossless"
    inr = inrcodec.open(path / "input.inr", backend="numpy")
    source = np.load(path / "source.npy").reshape(24, 31, 3)
    np.testing.assert_array_equal(inr.crop(((3, 20), (1, 31)), (17, 30)), source[3:20, 1:31])


def test_what_is_asked_for_wrongly_or_too_much_of_is_refused() -> None:
    inr = inrcodec.open(file_bytes((12, 20)), backend="numpy", limits=Limits(output_samples=1000))
    for region, size in ((((0, 13), (0, 20)), (5, 5)), (((0, 12),), (5, 5)), (((3, 3), (0, 20)), (5, 5)), (((0, 12), (0, 20)), (0, 5))):
        with pytest.raises(UsageError):
            inr.crop(region, size)
    with pytest.raises(LimitExceeded, match="100000 x 100000"):
        inr.crop(((0, 2), (0, 2)), (100_000, 100_000))
    with pytest.raises(LimitExceeded, match="multiply"):
        inrcodec.open(file_bytes((12, 20)), backend="numpy", limits=Limits(work=1000)).crop(((0, 12), (0, 20)), (2, 2))


def test_fewer_samples_may_be_averaged() -> None:
    inr = inrcodec.open(file_bytes((12, 20)), backend="numpy")
    middles = [lo + (np.arange(4 * 2) + 0.5) / 8 * (hi - lo) for lo, hi in inr.bounds]
    expected = inr.on(*middles).reshape(4, 2, 4, 2, 3).mean(axis=(1, 3)).clip(0, 1)
    np.testing.assert_allclose(inr.decode(size=(4, 4), dtype=np.float64, averaged=2), expected, atol=2e-6)
    np.testing.assert_allclose(inr.crop(((0, 12), (0, 20)), (4, 4), dtype=np.float64, averaged=2), expected, atol=2e-6)
    np.testing.assert_array_equal(inr.decode(size=(4, 4), averaged=9), inr.decode(size=(4, 4)))
    with pytest.raises(UsageError, match="averaged: expected at least 1, got 0"):
        inr.decode(size=(4, 4), averaged=0)
