"""The metric SSIM: errors weighed by what they take from structural similarity."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inrcodec
from inrcodec.errors import UsageError
from inrcodec.fit.presets import make_plan
from inrcodec.fit.request import Request
from inrcodec.fit.similarity import blurred, similarity_weights
from inrcodec.metrics import SSIM_C2, ssim
from tests.nets import smooth_picture


def _busy_and_calm(side: int) -> np.ndarray:
    """Half of strong texture, half of faint: what the two metrics disagree about."""
    rng = np.random.default_rng(3)
    picture = smooth_picture(side, side).astype(np.float32) * 0.4 + 0.3
    noise = rng.uniform(-1, 1, (side, side, 1)).astype(np.float32)
    noise[:, : side // 2] *= 0.2
    noise[:, side // 2 :] *= 0.02
    return np.clip(picture + noise, 0, 1)


def test_the_window_keeps_constants_and_sums() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0, 1, (20, 31, 2)).astype(np.float32)
    assert blurred(np.full_like(values, 0.25)) == pytest.approx(0.25, abs=1e-6)
    assert blurred(values).mean() == pytest.approx(values.mean(), rel=1e-5)  # what mirrors takes from no sample
    assert blurred(values).std() < 0.5 * values.std()


def test_weights_are_1_on_average_and_more_where_there_is_little_structure() -> None:
    weights = similarity_weights(_busy_and_calm(64))
    assert weights.shape == (64, 64, 3) and weights.mean() == pytest.approx(1, rel=1e-5)
    assert weights[:, 44:].mean() > 2 * weights[:, :20].mean()


def test_weights_follow_the_variance() -> None:
    noise = np.random.default_rng(1).standard_normal((64, 128, 1)).astype(np.float32)
    noise[:, :64] *= 0.02
    noise[:, 64:] *= 0.1
    weights = similarity_weights(0.5 + noise)
    ratio = weights[:, 10:54].mean() / weights[:, 74:118].mean()
    assert ratio == pytest.approx(np.sqrt((2 * 0.1**2 + SSIM_C2) / (2 * 0.02**2 + SSIM_C2)), rel=0.1)


def test_bytes_go_where_structure_is() -> None:
    """Left noise, which takes all the bytes there are, right faint waves, which are nearly nothing to the squared error."""
    y, x = np.mgrid[0:64, 0:64] / 64
    waves = 0.04 * np.sin(50 * x + 20 * np.sin(3 * y)) + 0.03 * np.sin(40 * y + 36 * x * x)
    noise = np.random.default_rng(3).uniform(-0.3, 0.3, (64, 64))
    codes = np.floor((0.5 + np.where(x < 0.5, noise, waves)) * 255 + 0.5).astype(np.uint8)
    similar = {}
    for metric in ("psnr", "ssim"):
        encoded = inrcodec.encode(codes, metric=metric, size=2048, effort=4, device="cpu")
        found = inrcodec.open(encoded.data, backend="numpy").decode().reshape(codes.shape)
        similar[metric] = ssim(codes[:, 32:] / 255, found[:, 32:] / 255)
        assert encoded.report.target_met
    assert similar["ssim"] > similar["psnr"] + 0.1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"metric": "vmaf"}, "metric: expected one of psnr, ssim, got vmaf"),
        ({"metric": "ssim", "psnr": 30.0}, "target: expected quality, bpp or size with the metric ssim, got psnr"),
    ],
)
def test_what_cannot_be_asked(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        inrcodec.encode(np.zeros((16, 16, 3), dtype=np.uint8), **options)  # type: ignore[arg-type]


def test_sound_has_no_structural_similarity() -> None:
    request = Request(shape=(2000,), channels=1, kind="audio", metric="ssim", settings={})
    with pytest.raises(UsageError, match="metric: ssim is of images and volumes, got audio"):
        make_plan(request)


def test_the_command_line_refuses_two_aims(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(tmp_path / "a.png")
    arguments = ["encode", str(tmp_path / "a.png"), "-o", str(tmp_path / "a.inr"), "--metric", "ssim", "--psnr", "30"]
    assert subprocess.run([sys.executable, "-m", "inrcodec", *arguments], capture_output=True, check=False).returncode == 2
    assert not (tmp_path / "a.inr").exists()


def test_volumes_with_missing_samples_have_it_too() -> None:
    values = np.random.default_rng(5).uniform(0, 1, (12, 12, 12)).astype(np.float32)
    values[3:6, 2:5] = np.nan
    encoded = inrcodec.encode(values, kind="volume", metric="ssim", settings={"steps": 20}, device="cpu")
    found = inrcodec.open(encoded.data, backend="numpy").decode().reshape(values.shape)
    assert np.array_equal(np.isnan(found), np.isnan(values))
