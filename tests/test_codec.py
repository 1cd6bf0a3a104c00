"""encode and verify: what a file promises is measured on its bytes."""

from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.codec import params_digest, verify
from inrcodec.errors import InputError, UsageError, VerificationFailed
from inrcodec.metrics import psnr
from tests.nets import smooth_picture

FAST = {"settings": {"steps": 60}, "device": "cpu"}


def codes(picture: np.ndarray, bits: int = 8) -> np.ndarray:
    return np.floor(picture * (2**bits - 1) + 0.5).astype(np.uint8 if bits <= 8 else np.uint16)


def test_the_report_is_of_the_decoded_bytes() -> None:
    picture = codes(smooth_picture(40, 50))
    encoded = inrcodec.encode(picture, **FAST)
    inr = inrcodec.open(encoded.data, backend="numpy")
    found = psnr(picture / 255, inr.decode().astype(np.float64) / 255)
    assert encoded.report.psnr == pytest.approx(found, abs=0.02)
    assert encoded.report.bytes == len(encoded.data) and encoded.report.bpp == pytest.approx(8 * len(encoded.data) / 2000)
    assert inr.info["metrics"][0]["value"] == pytest.approx(found, abs=0.02)
    checks = verify(inr, source=picture)
    assert checks["psnr"] == pytest.approx(found, abs=1e-6)


def test_a_good_fit_is_good() -> None:
    encoded = inrcodec.encode(codes(smooth_picture(64, 64)), quality=90, settings={"steps": 400}, device="cpu")
    assert encoded.report.psnr > 32
    assert encoded.report.ssim is not None and encoded.report.ssim > 0.9


@pytest.mark.parametrize("arch", ["siren.1", "msa.1", "sasnet.1", "sasnet.2"])
def test_every_network_goes_through_the_file(arch: str) -> None:
    picture = codes(smooth_picture(32, 40))
    encoded = inrcodec.encode(picture, arch=arch, settings={"steps": 250}, device="cpu")
    assert encoded.report.arch == arch and encoded.report.psnr > 20
    a, b = (inrcodec.open(encoded.data, backend=name) for name in ("numpy", "torch"))
    first, second = a.decode(scale=2, dtype=np.float32), b.decode(scale=2, dtype=np.float32)
    assert np.sqrt(np.mean((first - second) ** 2)) <= 2e-6 and np.abs(first - second).max() <= 2e-5
    assert (a.decode() == b.decode()).mean() > 0.999


def test_same_seed_same_bytes() -> None:
    picture = codes(smooth_picture(30, 30))
    first, second = (inrcodec.encode(picture, seed=3, **FAST) for _ in range(2))
    assert first.data == second.data
    assert inrcodec.encode(picture, seed=4, **FAST).data != first.data
    assert params_digest(inrcodec.open(first.data)) == params_digest(inrcodec.open(second.data))


def test_deterministic_leaves_out_the_provenance() -> None:
    picture = codes(smooth_picture(9, 9))
    encoded = inrcodec.encode(picture, deterministic=True, **FAST)
    assert inrcodec.open(encoded.data).info["provenance"] == {}
    told = inrcodec.open(inrcodec.encode(picture, **FAST).data).info["provenance"]
    assert told["writer"].startswith("inrcodec ") and len(told["source_sha256"]) == 64


def test_size_is_a_cap_and_more_bytes_are_better() -> None:
    picture = codes(smooth_picture(48, 48))
    results = [inrcodec.encode(picture, size=size, settings={"steps": 300}, device="cpu").report for size in (3000, 9000)]
    for report, size in zip(results, (3000, 9000), strict=True):
        assert report.bytes <= size and report.target_met and report.target == f"size <= {size} bytes"
    assert results[1].psnr > results[0].psnr
    report = inrcodec.encode(picture, bpp=9.0, settings={"steps": 100}, device="cpu").report
    assert report.bpp <= 9.0 and report.target == "bpp <= 9"


def test_an_impossible_target_is_told() -> None:
    report = inrcodec.encode(codes(smooth_picture(16, 16)), size=64, settings={"steps": 20}, device="cpu").report
    assert not report.target_met and report.bytes > 64


def test_psnr_target_steers() -> None:
    picture = codes(smooth_picture(48, 48))
    low, high = (inrcodec.encode(picture, psnr=value, settings={"steps": 600}, device="cpu").report for value in (24.0, 34.0))
    assert high.psnr > low.psnr + 4 and high.bytes > low.bytes


def constant(value: float, shape: tuple[int, ...] = (24, 32, 3)) -> np.ndarray:
    return np.full(shape, round(value * 255), np.uint8)


@pytest.mark.parametrize(
    "picture",
    [
        constant(0.0),
        constant(1.0),
        constant(0.37),
        constant(0.5, (1, 1, 3)),
        constant(0.2, (2, 2)),
        (240 + np.arange(24 * 32 * 3) % 16).reshape(24, 32, 3).astype(np.uint8),
        (128 + (np.arange(48 * 48) % 7 == 0)).reshape(48, 48).astype(np.uint8),
        np.linspace(0, 255, 768).round().astype(np.uint8).reshape(1, 768),
        np.linspace(0, 255, 300).round().astype(np.uint8).reshape(300, 1),
        np.array([[0, 255], [255, 0]], np.uint8),
        np.array([[[255, 0, 7]]], np.uint8),
    ],
    ids=["black", "white", "grey", "one", "two", "bright", "near", "row", "column", "checker", "pixel"],
)
def test_border_cases_come_back(picture: np.ndarray) -> None:
    """Within one code, or 40 dB."""
    encoded = inrcodec.encode(picture, device="cpu")
    decoded = inrcodec.open(encoded.data).decode().astype(int)
    original = picture.reshape(decoded.shape).astype(int)
    assert np.abs(decoded - original).max() <= 1 or encoded.report.psnr >= 40, encoded.report.psnr


def test_alpha_grey_bits_and_hidden_colour() -> None:
    rgba = codes(np.concatenate([smooth_picture(30, 30), smooth_picture(30, 30, 1)], axis=2))
    rgba[:10, :, 3] = 0
    rgba[:10, :, :3] = np.random.default_rng(0).integers(0, 255, (10, 30, 3))
    noisy = inrcodec.encode(rgba, settings={"steps": 300}, device="cpu")
    inr = inrcodec.open(noisy.data)
    assert inr.shape == (30, 30, 4) and [c.role for c in inr.channels] == ["color"] * 3 + ["alpha"]
    assert noisy.report.psnr > 25, "colour under alpha 0 is not paid for"
    deep = codes(smooth_picture(30, 30, 1)[:, :, 0], 16)
    found = inrcodec.open(inrcodec.encode(deep, **FAST).data)
    assert found.bits == 16 and found.decode().dtype == np.uint16
    one = smooth_picture(20, 20, 1)[:, :, 0] > 0.5
    assert inrcodec.open(inrcodec.encode(one, **FAST).data).decode().max() == 1


def test_verify_finds_another_source_and_another_size() -> None:
    picture = codes(smooth_picture(30, 30))
    inr = inrcodec.open(inrcodec.encode(picture, **FAST).data)
    with pytest.raises(VerificationFailed, match="psnr: the file states"):
        verify(inr, source=255 - picture)
    with pytest.raises(VerificationFailed, match="shape"):
        verify(inr, source=picture[:-1])
    assert "stated" in verify(inr)


def test_options_are_checked_before_the_work() -> None:
    picture = codes(smooth_picture(8, 8))
    for options, message in (
        ({"quality": 50, "bpp": 1.0}, "at most one"),
        ({"bpp": -1.0}, "bpp"),
        ({"psnr": 500.0}, "psnr"),
        ({"on_interrupt": "panic"}, "on_interrupt"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"resume": True}, "checkpoint"),
        ({"preset": "nice"}, "preset"),
        ({"seed": -1}, "seed"),
        ({"effort": 0}, "effort"),
    ):
        with pytest.raises(UsageError, match=message):
            inrcodec.encode(picture, **options)
    with pytest.raises(InputError):
        inrcodec.encode(b"neither")


def test_saving_is_atomic_and_respects_overwrite(tmp_path: Path) -> None:
    encoded = inrcodec.encode(codes(smooth_picture(8, 8)), **FAST)
    encoded.save(tmp_path / "a.inr")
    with pytest.raises(UsageError, match="exists"):
        encoded.save(tmp_path / "a.inr", overwrite=False)
    assert [p.name for p in tmp_path.iterdir()] == ["a.inr"]
    with pytest.raises(OSError):
        encoded.save(tmp_path / "missing" / "a.inr")
