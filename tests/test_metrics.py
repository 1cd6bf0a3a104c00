import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inrcodec import metrics
from inrcodec.errors import UsageError
from inrcodec.metrics import bits_per_sample, mse, psnr, ssim


def noisy(shape, seed=0):
    rng = np.random.default_rng(seed)
    a = np.clip(np.cumsum(rng.normal(0, 0.05, shape), axis=1) + 0.5, 0, 1)
    return a, np.clip(a + rng.normal(0, 0.05, shape), 0, 1)


@given(
    hnp.array_shapes(max_dims=4, max_side=6).flatmap(
        lambda shape: st.tuples(*[hnp.arrays(np.float64, shape, elements=st.floats(0, 1, width=32))] * 3)
    )
)
def test_mse_is_the_weighted_mean(arrays):
    a, b, weights = arrays
    assert mse(a, b) == pytest.approx(np.mean((a - b) ** 2), abs=1e-15)
    expected = np.average((a - b) ** 2, weights=weights) if weights.sum() > 0 else 0.0
    assert mse(a, b, weights) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert mse(a, b) == mse(b, a)


def test_mse_in_blocks(monkeypatch):
    a, b = noisy((37, 11, 3))
    weights = (a > 0.4).astype(np.float32)
    whole = mse(a, b, weights)
    monkeypatch.setattr(metrics, "_BLOCK", 100)
    assert mse(a, b, weights) == pytest.approx(whole, rel=1e-12)


def test_integers_do_not_wrap():
    assert mse(np.array([0], np.uint8), np.array([255], np.uint8)) == 65025


def test_psnr():
    a = np.zeros((4, 4))
    assert psnr(a, a) == math.inf
    assert psnr(a, a + 0.1) == pytest.approx(20)
    assert psnr(a, a + 25.5, peak=255) == pytest.approx(20)
    weights = np.zeros((4, 4))
    assert psnr(a, a + 0.1, weights=weights) == math.inf
    weights[0] = 1
    b = a + 0.1
    b[1:] = 9
    assert psnr(a, b, weights=weights) == pytest.approx(20)


def reference(a, b, **options):
    structural_similarity = pytest.importorskip("skimage.metrics").structural_similarity
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1, **options}
    return structural_similarity(a, b, **options)


@pytest.mark.parametrize("shape", [(11, 11, 1), (64, 48, 3), (12, 300, 2), (90, 91, 4)])
def test_ssim_as_in_scikit_image(shape):
    a, b = noisy(shape)
    assert ssim(a, b) == pytest.approx(reference(a, b, channel_axis=-1), abs=1e-4)
    assert ssim(a.astype(np.float32), b.astype(np.float32)) == pytest.approx(ssim(a, b), abs=1e-6)
    assert ssim(a[:, :, 0], b[:, :, 0]) == pytest.approx(reference(a[:, :, 0], b[:, :, 0]), abs=1e-4)


def test_ssim_in_blocks(monkeypatch):
    a, b = noisy((50, 23, 3))
    whole = ssim(a, b)
    monkeypatch.setattr(metrics, "_BLOCK", 60)
    assert ssim(a, b) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize(("shape", "side"), [((7, 20), 7), ((8, 9), 7), ((30, 3), 3), ((2, 9), 1)])
def test_ssim_of_small_images_takes_a_smaller_window(shape, side):
    a, b = noisy(shape)
    taps = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * 1.5**2))
    window = np.outer(taps, taps) / taps.sum() ** 2
    found = []
    for y in range(shape[0] - side + 1):
        for x in range(shape[1] - side + 1):
            p, q = a[y : y + side, x : x + side], b[y : y + side, x : x + side]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq, cov = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum(), (window * (p - mp) * (q - mq)).sum()
            found.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    assert ssim(a, b) == pytest.approx(np.mean(found), rel=1e-9)


def test_ssim_of_tiny_images():
    assert ssim(np.array([[0.5]]), np.array([[0.5]])) == 1
    luminance = (2 * 0.5 * 0.25 + 1e-4) / (0.25 + 0.0625 + 1e-4)
    assert ssim(np.full((2, 2), 0.5), np.full((2, 2), 0.25)) == pytest.approx(luminance)


@settings(max_examples=25)
@given(hnp.arrays(np.float64, (13, 15, 2), elements=st.floats(0, 1)), hnp.arrays(np.float64, (13, 15, 2), elements=st.floats(0, 1)))
def test_ssim_properties(a, b):
    assert ssim(a, a) == pytest.approx(1)
    assert -1 <= ssim(a, b) <= 1 + 1e-12
    assert ssim(a, b) == pytest.approx(ssim(b, a))


def test_bits_per_sample():
    assert bits_per_sample(3000, (100, 80)) == 3.0
    assert bits_per_sample(1, [8]) == 1.0


def test_refusals():
    a = np.zeros((3, 3))
    for call, words in [
        (lambda: mse(a, a[:2]), r"one shape, got \(3, 3\) and \(2, 3\)"),
        (lambda: psnr(a, a, weights=a[0]), r"weights of shape \(3, 3\), got \(3,\)"),
        (lambda: ssim(a[0], a[0]), r"got shape \(3,\)"),
        (lambda: mse(a[:0], a[:0]), "at least one sample"),
    ]:
        with pytest.raises(UsageError, match=words):
            call()


def slow_volume_ssim(a, b, side, missing=None):
    """By the definition, a window at a time: places where it lies inside and holds no missing sample."""
    taps = np.exp(-((np.arange(side) - side // 2) ** 2) / (2 * 1.5**2))
    window = taps[:, None, None] * taps[:, None] * taps / taps.sum() ** 3
    found = []
    for place in np.ndindex(*(n - side + 1 for n in a.shape)):
        part = tuple(slice(k, k + side) for k in place)
        if missing is not None and missing[part].any():
            continue
        p, q = a[part], b[part]
        mp, mq = (window * p).sum(), (window * q).sum()
        vp, vq, cov = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum(), (window * (p - mp) * (q - mq)).sum()
        found.append((2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4)))
    return float(np.mean(found)) if found else float("nan")


@pytest.mark.parametrize(("shape", "side"), [((13, 12, 14), 11), ((11, 11, 11), 11), ((5, 13, 12), 5), ((20, 8, 9), 7), ((1, 6, 7), 1)])
def test_ssim_of_volumes_is_the_definition(shape, side):
    a, b = noisy(shape)
    assert ssim(a, b, axes=3) == pytest.approx(slow_volume_ssim(a, b, side), rel=1e-9)
    both = np.stack([a, b], -1)
    assert ssim(both, both[..., ::-1], axes=3) == pytest.approx(ssim(a, b, axes=3), rel=1e-9)


def test_ssim_of_volumes_as_in_scikit_image():
    a, b = noisy((16, 18, 15))
    assert ssim(a, b, axes=3) == pytest.approx(reference(a, b), abs=1e-4)


def test_ssim_leaves_out_windows_with_missing_samples():
    a, b = noisy((13, 14, 15))
    missing = np.zeros(a.shape, bool)
    missing[12, 0, 0] = missing[0, 13, 14] = True
    expected = slow_volume_ssim(a, b, 11, missing)
    assert ssim(np.where(missing, 7.0, a), b, axes=3, missing=missing) == pytest.approx(expected, rel=1e-9)
    assert expected != pytest.approx(slow_volume_ssim(a, b, 11), rel=1e-9)
    picture, other = noisy((13, 14))
    lost = np.zeros(picture.shape, bool)
    lost[0, 0] = True
    expected = ssim(picture[1:], other[1:]) * 2 * 4 + ssim(picture[:11, 1:], other[:11, 1:]) * 3
    assert ssim(np.where(lost, 7.0, picture), other, missing=lost) == pytest.approx(expected / 11, rel=1e-9)
    assert np.isnan(ssim(a, b, axes=3, missing=np.ones(a.shape, bool)))
    with pytest.raises(UsageError, match="missing samples of shape"):
        ssim(a, b, axes=3, missing=missing[0])
    with pytest.raises(UsageError, match=r"volumes \(d, h, w\)"):
        ssim(a[0], b[0], axes=3)
