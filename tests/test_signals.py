"""Every kind of signal through the whole codec: encode, decode, verify, write."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

import inrcodec
from inrcodec.codec import verify
from inrcodec.errors import InputError, UsageError, VerificationFailed
from inrcodec.metrics import ssim
from inrcodec.outputs import Outputs
from inrcodec.signals import read_signal
from inrcodec.signals.base import Space, sampled_space
from inrcodec.signals.volume import volume_from_array
from tests.test_cli import run

QUICK = {"steps": 150}


def blob(dtype: str = "int16", shape: tuple[int, ...] = (12, 14, 16)) -> np.ndarray:
    grid = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
    values = np.exp(-2 * sum(g * g for g in grid)) * 1000 - 200
    return values.astype(dtype) if np.issubdtype(np.dtype(dtype), np.floating) else np.round(values).astype(dtype)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_volume_comes_back_in_its_own_numbers(dtype: str, tmp_path: Path) -> None:
    volume = blob(dtype)
    encoded = inrcodec.encode(volume, settings=QUICK, device="cpu")
    inr = inrcodec.open(encoded.data)
    decoded = inr.decode()
    assert inr.head["kind"] == "volume" and decoded.dtype == volume.dtype and decoded.shape == (*volume.shape, 1)
    error = np.abs(decoded[..., 0].astype(float) - volume)
    span = float(volume.max()) - float(volume.min())
    assert encoded.report.max_error == pytest.approx(error.max(), rel=1e-4)
    assert encoded.report.psnr == pytest.approx(10 * np.log10(span**2 / np.mean(error**2)), abs=0.01) and encoded.report.psnr > 30
    low = float(volume.min())
    expected = ssim((volume - low) / span, (decoded[..., 0].astype(float) - low) / span, axes=3)
    assert encoded.report.ssim == pytest.approx(expected, abs=1e-4) and expected > 0.8
    assert next(m["value"] for m in inr.info["metrics"] if m["metric"] == "ssim") == encoded.report.ssim
    checks = verify(inr, source=volume)
    assert checks["psnr"] == pytest.approx(encoded.report.psnr)
    region = inr.decode(scale=2.0, region=((2, 6), (0, 7), (3, 4)))
    np.testing.assert_array_equal(region, inr.decode(scale=2.0)[4:12, 0:14, 6:8])
    centre = inr.at([[0.0, 0.0, 0.0]])
    assert centre.shape == (1, 1) and abs(float(centre[0, 0]) - 800) < 100
    step = 1e-3
    slope = (inr.at([[step, 0, 0]]) - inr.at([[-step, 0, 0]])) / (2 * step)
    np.testing.assert_allclose(inr.gradient([[0.0, 0.0, 0.0]])[0, :, 0], slope[0], atol=0.02 * span)


def test_missing_samples_stay_missing() -> None:
    volume = blob("float32")
    volume[:6, :7] = np.nan
    encoded = inrcodec.encode(volume, settings={"steps": 300}, device="cpu")
    inr = inrcodec.open(encoded.data)
    decoded = inr.decode()[..., 0]
    assert [c.role for c in inr.channels] == ["value"] and inr.shape == (*volume.shape, 1)
    np.testing.assert_array_equal(np.isnan(decoded), np.isnan(volume))
    np.testing.assert_array_equal(inr.missing, np.isnan(volume))
    assert any("missing" in note for note in encoded.report.notes)
    assert np.isnan(inr.at([[-0.6, -0.6, 0.0]])).all() and np.isfinite(inr.at([[0.5, 0.5, 0.0]])).all()
    assert np.isnan(inr.gradient([[-0.6, -0.6, 0.0]])).all() and np.isfinite(inr.gradient([[0.5, 0.5, 0.0]])).all()
    assert encoded.report.psnr > 30 and encoded.report.ssim is None  # no window of the volume is whole
    verify(inr, source=volume)
    volume[11, 13, 15] = np.nan
    with pytest.raises(VerificationFailed, match="missing samples"):
        verify(inr, source=volume)


def test_where_a_volume_lies_goes_along(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    affine = np.array([[0.0, 0.0, 2.0, 5.0], [0.0, 1.5, 0.0, -3.0], [-1.0, 0.0, 0.0, 7.0], [0.0, 0.0, 0.0, 1.0]])
    image = nibabel.Nifti1Image(blob("int16"), affine)
    source, target = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    nibabel.save(image, source)
    inrcodec.encode(source, settings=QUICK, device="cpu").save(tmp_path / "a.inr")
    done = run("decode", "a.inr", "-o", "b.nii.gz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    back = nibabel.load(target)
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    assert back.shape == image.shape and back.get_data_dtype() == np.int16
    inrcodec.open(tmp_path / "a.inr").export(target, scale=2.0)
    finer = nibabel.load(target)
    # Samples lie at the centres of their cells: the first of twice as many lies a quarter of a cell before the first.
    np.testing.assert_allclose(finer.affine @ [0.5, 0.5, 0.5, 1], affine @ [0, 0, 0, 1], atol=1e-5)
    np.testing.assert_allclose(finer.affine[:3, :3] * 2, affine[:3, :3], atol=1e-5)


def test_a_sampled_space_without_an_affine() -> None:
    space = sampled_space(Space((2.0, 0.5, 0.5), None, "mm"), [0.5, 0.5, 2.0], [0.0, 0.0, 0.0])
    assert space == Space((1.0, 0.25, 1.0), None, "mm")


def test_raw_files_carry_their_description(tmp_path: Path) -> None:
    inrcodec.encode(blob("uint8"), settings={"steps": 20}, device="cpu").save(tmp_path / "v.inr")
    done = run("decode", "v.inr", "-o", "w.raw", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    again = read_signal(tmp_path / "w.raw")
    assert again.kind == "volume" and again.dtype == "uint8" and again.values.shape == (12, 14, 16, 1)


def sound(path: Path) -> Path:
    t = np.arange(4000) / 8000
    codes = (12000 * np.sin(2 * np.pi * 220 * t) * np.exp(-3 * t)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(codes.tobytes())
    return path


def test_sound_through_the_codec(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    encoded = inrcodec.encode(sound(tmp_path / "a.wav"), settings={"steps": 300}, device="cpu")
    encoded.save(tmp_path / "a.inr")
    assert encoded.report.psnr > 25
    inr = inrcodec.open(encoded.data)
    assert inr.head["kind"] == "audio" and inr.decode().shape == (4000, 1)
    inr.export(tmp_path / "b.wav", scale=2.0)
    samples, rate = soundfile.read(tmp_path / "b.wav")
    assert rate == 16000 and len(samples) == 8000


def test_a_long_sound_is_fitted_in_strides() -> None:
    from inrcodec.signals.base import Axis, Channel, Signal

    wave_form = np.sin(np.linspace(0, 40, 70_000, dtype=np.float32))[:, None] * 0.5 + 0.5
    signal = Signal(
        kind="audio",
        axes=(Axis("t", 70_000),),
        channels=(Channel("ch0", "value", -1.0, 1.0),),
        values=wave_form,
        bits=16,
        dtype="float32",
        weights=np.ones_like(wave_form),
    )
    assert inrcodec.open(inrcodec.encode(signal, settings={"steps": 5}, device="cpu").data).decode().shape == (70_000, 1)


def test_video_through_the_codec(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    y, x = np.mgrid[0:16, 0:24]
    frames = np.stack([np.stack([x * 8, y * 8, 0 * x + 20 * t], -1) for t in range(4)]).astype(np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    inr = inrcodec.open(inrcodec.encode(tmp_path / "a.mp4", settings=QUICK, device="cpu").data)
    assert inr.head["kind"] == "video" and inr.decode().shape == (4, 16, 24, 3)
    inr.export(tmp_path / "b.npy", size=(8, 32, 48))
    assert np.load(tmp_path / "b.npy").shape == (8, 32, 48, 3)


def test_kinds_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="kind: expected one of"):
        read_signal(b"x", kind="smell")
    with pytest.raises(UsageError, match="array"):
        read_signal(np.zeros(5), kind="audio")
    with pytest.raises(InputError):
        read_signal(io.BytesIO(b"nothing").read(), kind="volume")
    assert read_signal(np.zeros((5, 6, 3), np.uint8), kind="volume").kind == "volume"
    assert read_signal(np.zeros((5, 6, 7), np.uint8)).kind == "volume"
    assert read_signal(np.zeros((5, 6, 4), np.uint8)).kind == "image"


def test_integers_are_rounded_and_stay_in_range() -> None:
    channel = {"name": "value", "role": "value", "scale": 1.0, "offset": 0.0, "low": -3.0, "high": 7.0}
    outputs = Outputs({"bits": 4, "dtype": "int8", "channels": [channel]})
    into = np.empty((5, 1), np.int8)
    outputs.store(np.array([[-1.0, 0.049, 0.051, 0.5, 2.0]], np.float32), into, 8)
    assert into[:, 0].tolist() == [-3, -3, -2, 2, 7]


def test_a_constant_volume_is_exact() -> None:
    signal = volume_from_array(np.full((4, 5, 6), 255, np.uint8))
    encoded = inrcodec.encode(signal, settings={"steps": 60}, device="cpu")
    assert encoded.report.max_error is not None and encoded.report.max_error <= 1
