"""Edges, PSNR at edges, noisiness: by what they must be for images that are known."""

import math
import sys

import numpy as np
import pytest

import inrcodec
from inrcodec.edges import edge_mask, grey
from inrcodec.errors import BackendMissing, UsageError
from inrcodec.metrics import edge_psnr, noisiness, psnr
from inrcodec.paper_metrics import file_figures, image_figures
from tests.nets import smooth_picture


def step(h: int = 32, w: int = 40) -> np.ndarray:
    image = np.full((h, w, 3), 0.2, np.float32)
    image[:, w // 2 :] = 0.8
    return image


def centres(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = ((np.arange(n) + 0.5) / n * 2 - 1 for n in (h, w))
    return np.meshgrid(y, x, indexing="ij")


def test_edges_are_a_band_about_a_step() -> None:
    edges = edge_mask(step(), radius=2)
    inner = edges[4:-4]
    assert (inner == inner[0]).all()
    columns = np.flatnonzero(inner[0])
    assert len(columns) == 5 and abs(columns.mean() - 19.5) <= 0.5
    assert edge_mask(step(), radius=4)[10].sum() == 9
    assert not edge_mask(np.full((16, 16, 1), 0.5)).any()


def test_luminance() -> None:
    assert grey(np.ones((1, 1, 3)))[0, 0] == pytest.approx(1)
    assert grey(np.array([[[0.0, 1.0, 0.0]]]))[0, 0] == pytest.approx(0.7154)
    assert grey(np.full((2, 2, 2), [0.3, 1.0])).tolist() == [[0.3, 0.3], [0.3, 0.3]]


def test_psnr_at_edges_counts_edges_only() -> None:
    source = step()
    edges = edge_mask(source)
    found = source.copy()
    found[edges] += 0.1
    assert edge_psnr(source, found, edges) == pytest.approx(20, abs=1e-4) and psnr(source, found) > 25
    found[~edges] += 0.3
    assert edge_psnr(source, found, edges) == pytest.approx(20, abs=1e-4)
    assert math.isnan(edge_psnr(source, found, np.zeros_like(edges)))


def test_noisiness_is_zero_for_the_exact_gradient_and_grows_with_noise() -> None:
    h, w = 24, 30
    y, x = centres(h, w)
    source, slopes = 0.3 * y**2 - 0.2 * x * y, np.stack([0.6 * y - 0.2 * x, -0.2 * y], axis=-1)
    everywhere = np.ones((h, w), bool)
    assert noisiness(source, slopes, everywhere) == pytest.approx(0, abs=1e-12)  # differences of second order are exact here
    plane = np.broadcast_to([0.3, 0.4], (h, w, 2))
    assert noisiness(np.full((h, w), 0.5), plane, everywhere) == pytest.approx(0.5)
    half = everywhere.copy()
    half[: h // 2] = False
    assert noisiness(np.where(half, 0.5, 0.0), np.where(half[..., None], plane, 0.0), half & np.roll(half, 1, 0)) == pytest.approx(0.5)
    assert math.isnan(noisiness(source, slopes, ~everywhere))
    with pytest.raises(UsageError, match="slopes"):
        noisiness(source, slopes[:-1], everywhere)


def test_figures_of_an_exact_function() -> None:
    h, w = 32, 32
    y, _ = centres(h, w)
    image = np.repeat((0.5 + 0.4 * y)[..., None], 3, axis=2)
    slopes = np.zeros((h, w, 3, 2))
    slopes[..., 0] = 0.4
    found = image_figures(image, image, slopes)
    assert found.psnr == math.inf and found.ssim == pytest.approx(1) and found.noisiness == pytest.approx(0, abs=1e-9)
    noisy = image_figures(image, image, slopes + np.random.default_rng(0).normal(0, 1, slopes.shape))
    assert noisy.noisiness > 0.3


def test_figures_of_a_file() -> None:
    picture = smooth_picture(24, 28)
    codes = (picture * 255).round().astype(np.uint8)
    rough, fine = (inrcodec.encode(codes, settings={"steps": steps}, deterministic=True, device="cpu").data for steps in (10, 150))
    a, b = (file_figures(inrcodec.open(data, device="cpu"), picture) for data in (rough, fine))
    assert b.psnr > a.psnr and b.edge_psnr > a.edge_psnr
    assert b.noisiness >= 0
    with pytest.raises(UsageError, match="expected an image of shape"):
        file_figures(inrcodec.open(fine, device="cpu"), picture[:-1])


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(BackendMissing, match="scikit-image"):
        edge_mask(step())
