"""Targets hold: quality is monotone, PSNR within 0.3 dB, bytes within 3 %; and nothing collapses. Minutes: `make test-slow`."""

import itertools

import numpy as np
import pytest

import inrcodec
from inrcodec.codec import Report
from tests.nets import smooth_picture

pytestmark = pytest.mark.slow
SIDE = 128


def textured(seed: int) -> np.ndarray:
    """Noise with a falling spectrum, in colour: what photographs are to a codec."""
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.rfftfreq(SIDE), indexing="ij")
    fall = 1 / (0.02 + np.hypot(y, x)) ** 1.6
    planes = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * fall) for _ in range(3)]
    mixed = np.stack([planes[0], planes[0] + 0.4 * planes[1], planes[0] + 0.3 * planes[2]], axis=-1)
    mixed = (mixed - mixed.mean()) / (4 * mixed.std()) + 0.5
    return np.floor(np.clip(mixed, 0, 1) * 255 + 0.5).astype(np.uint8)


PICTURES = {
    "waves": np.floor(smooth_picture(SIDE, SIDE) * 255 + 0.5).astype(np.uint8),
    "texture": textured(0),
    "camera": textured(1)[:, :, 0],
}


def encoded(name: str, **target: float | int) -> Report:
    result = inrcodec.encode(PICTURES[name], effort=4, device="cpu", **target)  # type: ignore[arg-type]
    decoded = inrcodec.open(result.data, backend="numpy").decode().astype(float).reshape(PICTURES[name].shape)
    error = np.mean((decoded - PICTURES[name]) ** 2)
    assert 10 * np.log10(255**2 / error) == pytest.approx(result.report.psnr, abs=0.02)
    assert len(result.data) == result.report.bytes
    return result.report


@pytest.mark.parametrize("name", PICTURES)
def test_quality_is_monotone_in_size_and_in_psnr(name: str) -> None:
    reports = [encoded(name, quality=quality) for quality in (30, 50, 70, 90)]
    assert all(a.bytes < b.bytes and a.psnr < b.psnr for a, b in itertools.pairwise(reports)), reports


@pytest.mark.parametrize("psnr", [26, 29, 32, 35])
@pytest.mark.parametrize("name", PICTURES)
def test_psnr_is_reached_and_hardly_more(name: str, psnr: int) -> None:
    report = encoded(name, psnr=psnr)
    assert report.target_met
    assert psnr <= report.psnr <= psnr + 0.3


@pytest.mark.parametrize("bpp", [1.0, 1.5, 2.5, 4.0])
@pytest.mark.parametrize("name", PICTURES)
def test_bits_per_pixel_are_used(name: str, bpp: float) -> None:
    assert 0.97 * bpp <= encoded(name, bpp=bpp).bpp <= bpp


@pytest.mark.parametrize("size", [2500, 4000, 6000, 9000])
@pytest.mark.parametrize("name", PICTURES)
def test_bytes_are_used(name: str, size: int) -> None:
    assert 0.97 * size <= encoded(name, size=size).bytes <= size


def bright_screens() -> dict[str, np.ndarray]:
    """Screens, documents, line art, gradients and constants, most of them bright."""
    found = {}
    y, x = np.mgrid[0:96, 0:96]
    for k in range(8):
        rng = np.random.default_rng(k)
        screen = np.full((96, 96, 3), 250 - k, dtype=np.uint8)
        for _ in range(3 + k):
            top, left, high, wide = rng.integers(0, 80), rng.integers(0, 80), rng.integers(3, 30), rng.integers(3, 40)
            screen[top : top + high, left : left + wide] = rng.integers(180, 256, 3)
        found[f"screen {k}"] = screen
        page = np.full((96, 96), 255, dtype=np.uint8)
        for row in range(6, 90, 7 + k % 3):
            page[row : row + 3, 6 : 60 + int(rng.integers(30))] = np.where(rng.random((3, 1)) < 0.9, 20 + 10 * k, 255)
            page[row : row + 3, 6 : 90 : 2 + int(rng.integers(3))] = 255
        found[f"document {k}"] = page
        art = np.full((96, 96), 245, dtype=np.uint8)
        art[np.abs((y * (k + 1) + x * 3) % 40 - 20) < 1.5] = 0
        art[np.abs(np.hypot(y - 48, x - 40 - k) - 20 - 2 * k) < 1] = 30
        found[f"line art {k}"] = art
        ramp = 225 + 30 * np.sin(y / (20.0 + 5 * k)) * x / 96
        found[f"gradient {k}"] = np.floor(np.clip(ramp, 0, 255) + 0.5).astype(np.uint8)
        found[f"constant {k}"] = np.full((96, 96, 3), 255 - 3 * k, dtype=np.uint8)
    return found


@pytest.mark.parametrize("name", bright_screens())
def test_nothing_collapses(name: str) -> None:
    picture = bright_screens()[name]
    result = inrcodec.encode(picture, effort=3, device="cpu")
    decoded = inrcodec.open(result.data, backend="numpy").decode().astype(float).reshape(picture.shape)
    constant = np.mean((picture - picture.mean(axis=(0, 1))) ** 2)
    error = np.mean((decoded - picture) ** 2)
    if constant == 0:
        assert np.abs(decoded - picture).max() <= 1
    else:
        assert 10 * np.log10(constant / max(error, 1e-9)) >= 10, (constant, error)


def test_there_are_forty_of_them() -> None:
    assert len(bright_screens()) == 40
