"""Between the samples: half cells keep the means, smooth pictures are followed, and a fit asked for it is smoother there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inrcodec
from inrcodec.fit.between import doubled


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 1 << 30))
@settings(max_examples=40)
def test_half_cells_have_the_sample_as_their_mean(h: int, w: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((h, w, 3), dtype=np.float32)
    found = doubled(values)
    assert found.shape == (2 * h, 2 * w, 3)
    np.testing.assert_allclose(found.reshape(h, 2, w, 2, 3).mean(axis=(1, 3)), values, atol=1e-6)


def test_the_spline_is_the_one_through_the_cumulative_sums() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    a = np.random.default_rng(0).random(30).astype(np.float32)
    found = doubled(a[:, None])[:, 0]
    extended = np.concatenate([a[::-1], a, a[::-1]])
    spline = interpolate.make_interp_spline(np.arange(91), np.concatenate([[0], np.cumsum(extended, dtype=np.float64)]), k=3)
    expected = 2 * np.diff(spline(30 + np.arange(61) / 2))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_means_of_a_smooth_wave_are_followed() -> None:
    def means(n: int) -> np.ndarray:
        edges = np.arange(n + 1) / n * 7
        return (np.diff(np.sin(edges)) / np.diff(edges)).astype(np.float32)

    assert np.abs(doubled(means(80)[:, None])[32:-32, 0] - means(160)[32:-32]).max() < 2e-5


def test_a_fit_that_sees_what_lies_between_is_nearer_to_it() -> None:
    rng = np.random.default_rng(0)
    coarse = rng.random((12, 12, 3)).repeat(3, axis=0).repeat(3, axis=1)
    source = np.floor(np.clip(coarse + 0.1 * rng.standard_normal(coarse.shape), 0, 1) * 255 + 0.5).astype(np.uint8)
    wanted = doubled((source / 255).astype(np.float32))
    errors = []
    for every in (0, 2):
        data = inrcodec.encode(source, settings={"steps": 300, "between_every": every}, device="cpu").data
        found = inrcodec.open(data, backend="numpy").decode(scale=2, dtype=np.float32)
        errors.append(float(np.mean((found - wanted) ** 2)))
    assert errors[1] < 0.7 * errors[0], errors
