"""Sample centres, scales, regions and tiles."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inrcodec.coordinates import full_window, lattice, region_window, sample_centres, scaled_size, strided, tiles
from inrcodec.errors import UsageError

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=3)


def test_centres_of_four_samples() -> None:
    assert sample_centres(4).tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert sample_centres(2, 0.0, 1.0).tolist() == [0.25, 0.75]


@given(st.integers(1, 200), st.integers(1, 5))
def test_an_odd_scale_keeps_the_nominal_centres(n: int, k: int) -> None:
    fine = sample_centres(n * (2 * k + 1))
    np.testing.assert_allclose(fine[k :: 2 * k + 1], sample_centres(n), atol=1e-14)


@given(sizes, st.floats(0.01, 20))
def test_scaled_size_rounds_half_up_and_keeps_one(shape: list[int], scale: float) -> None:
    for n, m in zip(shape, scaled_size(shape, scale), strict=True):
        assert m == max(1, int(np.floor(n * scale + 0.5)))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_scale_must_be_positive(scale: float) -> None:
    with pytest.raises(UsageError, match="scale: expected a positive number"):
        scaled_size([4], scale)


@given(st.data())
def test_a_window_is_the_crop_of_the_grid_bit_for_bit(data: st.DataObject) -> None:
    shape = data.draw(sizes)
    scaled = scaled_size(shape, data.draw(st.floats(0.3, 9)))
    region = []
    for n in shape:
        start = data.draw(st.integers(0, n - 1))
        region.append((start, data.draw(st.integers(start + 1, n))))
    window = region_window(region, shape, scaled)
    bounds = [(-1.0, 1.0)] * len(shape)
    whole, part = lattice(scaled, bounds), lattice(scaled, bounds, window)
    for full, cut, (start, stop) in zip(whole.axes, part.axes, window, strict=True):
        assert 0 <= start < stop <= len(full)
        assert full[start:stop].tobytes() == cut.tobytes()


def test_adjacent_regions_share_their_border() -> None:
    first = region_window([(0, 3)], [10], [37])
    second = region_window([(3, 10)], [10], [37])
    assert first[0][1] == second[0][0] and second[0][1] == 37


@pytest.mark.parametrize("region", [[(0, 0)], [(2, 1)], [(-1, 2)], [(0, 11)], [(0, 1), (0, 1)]])
def test_bad_regions(region: list[tuple[int, int]]) -> None:
    with pytest.raises(UsageError, match="region"):
        region_window(region, [10], [20])


@given(st.data())
def test_tiles_are_anchored_and_cover_the_window_once(data: st.DataObject) -> None:
    shape = tuple(data.draw(sizes))
    tile = tuple(data.draw(st.integers(1, 17)) for _ in shape)
    window = []
    for m in shape:
        start = data.draw(st.integers(0, m - 1))
        window.append((start, data.draw(st.integers(start + 1, m))))
    everywhere = set(tiles(shape, full_window(shape), tile))
    seen = np.zeros(shape, dtype=int)
    for t in tiles(shape, tuple(window), tile):
        assert t in everywhere
        seen[tuple(slice(a, b) for a, b in t)] += 1
    inside = seen[tuple(slice(a, b) for a, b in window)]
    assert (inside == 1).all() and seen.max() == 1


@given(st.integers(1, 50), st.integers(1, 9))
def test_strided_phases_hold_every_sample_once(n: int, stride: int) -> None:
    axis = sample_centres(n)
    joined = np.sort(np.concatenate(strided(axis, stride)))
    assert joined.tobytes() == axis.tobytes()


def test_points_of_a_lattice_are_in_c_order() -> None:
    points = lattice((2, 3), [(-1, 1), (0, 3)]).points()
    assert points.values.tolist() == [[-0.5, 0.5], [-0.5, 1.5], [-0.5, 2.5], [0.5, 0.5], [0.5, 1.5], [0.5, 2.5]]
