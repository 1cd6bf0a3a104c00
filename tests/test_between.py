"""Between the samples: half cells keep the means, smooth pictures are followed, and a fit asked for it is smoother there."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import inrcodec
from inrcodec.fit.between import doubled, half_means, quarter_values
from inrcodec.fit.data import training_data
from inrcodec.fit.trainer import lies_between


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 1 << 30))
@settings(max_examples=40)
def test_half_cells_have_the_sample_as_their_mean(n: int, w: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((n, w, 3), dtype=np.float32)
    found = half_means(values)
    assert found.shape == (2 * n, w, 3)
    np.testing.assert_allclose(found.reshape(n, 2, w, 3).mean(axis=1), values, atol=1e-6)


def test_targets_lie_between_both_splines_along_every_axis() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random((7, 1), dtype=np.float32), rng.random((1, 9), dtype=np.float32)

    def mixed(line: np.ndarray) -> np.ndarray:
        return 0.8 * half_means(line) + 0.2 * quarter_values(line)

    np.testing.assert_allclose(doubled((a * b)[..., None])[..., 0], mixed(a) * mixed(b.T).T, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 25])
def test_quarter_values_are_those_of_the_cubic_spline(n: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    a = np.random.default_rng(n).random(n)
    expected = ndimage.map_coordinates(np.pad(a, 40, mode="symmetric"), [40 + (np.arange(2 * n) + 0.5) / 2 - 0.5], order=3)
    np.testing.assert_allclose(quarter_values(a.astype(np.float32)[:, None])[:, 0], expected, atol=2e-6)


def test_batches_between_see_every_half_cell() -> None:
    values = np.random.default_rng(0).random((32, 24, 1), dtype=np.float32)
    data = training_data(values, None, [(-1, 1), (-1, 1)], stride=2, device=torch.device("cpu"), smooth=True)
    for part in (0.25, 0.5):
        chosen = [step for step in range(256) if lies_between(step, part)]
        assert len(chosen) == pytest.approx(256 * part, abs=2)
        assert {step % 4 for step in chosen} == set(range(4))
        starts = set()
        for step in chosen:
            batch = data.between(step)
            assert batch is not None
            starts.add(tuple(float(axis[0]) for axis in batch.parts[0].coords.axes))
        assert len(starts) == 16


def test_the_spline_is_the_one_through_the_cumulative_sums() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    a = np.random.default_rng(0).random(30).astype(np.float32)
    found = half_means(a[:, None])[:, 0]
    extended = np.concatenate([a[::-1], a, a[::-1]])
    spline = interpolate.make_interp_spline(np.arange(91), np.concatenate([[0], np.cumsum(extended, dtype=np.float64)]), k=3)
    expected = 2 * np.diff(spline(30 + np.arange(61) / 2))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_means_of_a_smooth_wave_are_followed() -> None:
    def means(n: int) -> np.ndarray:
        edges = np.arange(n + 1) / n * 7
        return (np.diff(np.sin(edges)) / np.diff(edges)).astype(np.float32)

    assert np.abs(half_means(means(80)[:, None])[32:-32, 0] - means(160)[32:-32]).max() < 2e-5


def test_a_fit_that_sees_what_lies_between_is_nearer_to_it() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.random((12, 12, 3)).repeat(3, axis=0).repeat(3, axis=1)
    source = np.floor(np.clip(coarse + 0.1 * rng.standard_normal(coarse.shape), 0, 1) * 255 + 0.5).astype(np.uint8)
    wanted = doubled((source / 255).astype(np.float32))
    errors = []
    for between in (0, 0.5):
        data = inrcodec.encode(source, settings={"steps": 300, "between": between}, device="cpu").data
        found = inrcodec.open(data, backend="numpy").decode(scale=2, dtype=np.float32)
        errors.append(float(np.mean((found - wanted) ** 2)))
    assert errors[1] < 0.7 * errors[0], errors
