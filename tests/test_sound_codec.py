"""Sound through the whole codec: files in, seconds and rates, files out."""

import io
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import inrcodec
from inrcodec.cli.decode import command as decode_command
from inrcodec.cli.encode import command as encode_command
from inrcodec.codec import verify
from inrcodec.errors import InputError, UsageError
from inrcodec.fit.presets import make_plan
from inrcodec.fit.request import Request
from inrcodec.fit.sound import spectrum
from inrcodec.signals.base import Axis, Space
from inrcodec.timing import samples_at_rate, time_region

FAST = {"steps": 8}


def wav(n: int, channels: int = 1, rate: int = 8000) -> bytes:
    t = np.arange(n) / rate
    x = np.stack([np.sin(2 * np.pi * (300 + 100 * k) * t) for k in range(channels)], axis=1)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, 2, rate, n, "NONE", ""))
        file.writeframes(np.round(x * 20000).astype("<i2").tobytes())
    return out.getvalue()


def read_wav(path: Path) -> tuple[int, int]:
    with wave.open(str(path)) as file:
        return file.getnframes(), file.getframerate()


def fails(error: type[Exception], words: str, command: object, *arguments: str) -> None:
    result = CliRunner().invoke(command, list(arguments), obj=None)  # type: ignore[arg-type]
    assert isinstance(result.exception, error) and words in str(result.exception), result.exception


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 0.5 s at 8 kHz, in windows."""
    path = tmp_path_factory.mktemp("sound") / "a.inr"
    path.write_bytes(inrcodec.encode(wav(4000), settings=FAST, device="cpu").data)
    return path


def decoded(sound: Path, *options: str) -> tuple[int, int]:
    target = sound.parent / "out.wav"
    result = CliRunner().invoke(decode_command, [str(sound), "-o", str(target), *options], catch_exceptions=False)
    assert result.exit_code == 0
    return read_wav(target)


def test_start_and_stop_of_encode(tmp_path: Path) -> None:
    data = wav(4000)
    part = inrcodec.encode(data, start=0.1, stop=0.35, settings=FAST, device="cpu")
    inr = inrcodec.open(part.data)
    assert inr.grid_shape == (2000,)
    assert verify(inr, source=data, start=0.1, stop=0.35)["snr"] == pytest.approx(part.report.snr, abs=1e-6)
    with pytest.raises(UsageError, match="section"):
        inrcodec.encode(data, start=3.0, settings=FAST, device="cpu")
    with pytest.raises(UsageError, match="expected sound or video"):
        inrcodec.encode(np.zeros((4, 4), np.uint8), start=0.1)
    with pytest.raises(UsageError, match="expected sound or video"):
        inrcodec.encode(tmp_path, stop=0.1)
    picture = tmp_path / "a.pgm"
    picture.write_bytes(b"P5 2 2 255\n1234")
    fails(UsageError, "expected sound or video", encode_command, str(picture), "--start", "1")


def test_rates_of_decode(sound: Path) -> None:
    assert decoded(sound) == (4000, 8000)
    assert decoded(sound, "--rate", "44100") == (22050, 44100)
    assert decoded(sound, "--rate", "11025") == (5513, 11025)
    assert decoded(sound, "--rate", "3000") == (1500, 3000)
    assert decoded(sound, "--scale", "2") == (8000, 16000)


def test_seconds_of_decode(sound: Path) -> None:
    inr = inrcodec.open(sound)
    assert decoded(sound, "--start", "0.1", "--stop", "0.2") == (800, 8000)
    assert decoded(sound, "--start", "0.4", "--stop", "9") == (800, 8000)
    assert decoded(sound, "--stop", "0.1", "--rate", "16000") == (1600, 16000)
    region = time_region(inr.axes, inr.space, 0.1, 0.2)
    assert region == ((800.0, 1600.0),)
    assert np.array_equal(inr.decode(region=region), inr.decode()[800:1600])


def test_one_way_to_say_a_thing(sound: Path) -> None:
    for options, words in (
        (["--rate", "8000", "--scale", "2"], "--rate: expected it alone"),
        (["--rate", "8000", "--size", "10"], "--rate: expected it alone"),
        (["--region", "0:10", "--start", "0"], "--region: expected it alone"),
        (["--rate", "0"], "above 0"),
        (["--start", "0.5"], "within 0.5 s"),
        (["--start", "0.3", "--stop", "0.2"], "start < stop"),
    ):
        fails(UsageError, words, decode_command, str(sound), "-o", str(sound.parent / "x.wav"), *options)


def test_times_need_an_axis_of_time_and_a_rate() -> None:
    with pytest.raises(UsageError, match="axis of time"):
        samples_at_rate((Axis("y", 3), Axis("x", 3)), None, 10.0)
    with pytest.raises(UsageError, match="does not state"):
        time_region((Axis("t", 3),), None, 0.0, 1.0)
    frames = (Axis("t", 30), Axis("y", 3), Axis("x", 3))
    assert samples_at_rate(frames, Space((1001 / 30000, 0.0, 0.0)), 60.0) == (60, 3, 3)
    assert time_region(frames, Space((0.1, 0.0, 0.0)), 1.0, None) == ((10.0, 30), (0.0, 3.0), (0.0, 3.0))


@given(st.integers(1, 10**8), st.sampled_from([8000, 11025, 22050, 44100, 48000]), st.integers(1, 192_000))
def test_a_rate_gives_the_rounded_number_of_samples(n: int, source: int, rate: int) -> None:
    exact = Fraction(n * rate, source)
    (m,) = samples_at_rate((Axis("t", n),), Space((1 / source,)), float(rate))
    assert m == max(1, (2 * exact + 1) // 2)


def test_defaults_along_one_axis_follow_the_sound() -> None:
    t = np.arange(40_000) / 8000

    def plan(x: np.ndarray):  # type: ignore[no-untyped-def]
        values = (x[:, None] * 0.5 + 0.5).astype(np.float32)
        return make_plan(Request(shape=(len(x),), channels=1, settings={}, spectrum=spectrum(values)))

    low, wide = plan(np.sin(2 * np.pi * 100 * t)), plan(np.random.default_rng(0).uniform(-1, 1, len(t)))
    assert low.windows is not None and low.windows.count == 39
    assert low.config.band < 40 < wide.config.band == 255
    quiet = plan(np.sin(2 * np.pi * 100 * t) * 0.1)
    assert quiet.target.lam == pytest.approx(low.target.lam / 100, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("audio_8bit_mono_22k.wav", (11025, 1)),
        ("audio_24bit_stereo.wav", (22050, 2)),
        ("audio_silence.wav", (1600, 1)),
        ("audio_truncated.wav", (11021, 2)),
    ],
)
def test_odd_sounds_go_through(name: str, shape: tuple[int, int]) -> None:
    encoded = inrcodec.encode(odd(name), settings=FAST, device="cpu")
    assert inrcodec.open(encoded.data).decode().shape == shape


def test_silence_is_silent() -> None:
    encoded = inrcodec.encode(odd("audio_silence.wav"), settings={"steps": 300}, device="cpu")
    assert not inrcodec.open(encoded.data).decode().any()


def test_no_samples_are_told() -> None:
    with pytest.raises(InputError, match="without any"):
        inrcodec.encode(odd("audio_zero_samples.wav"))


def odd(name: str) -> Path:
    path = Path(__file__).resolve().parents[2] / "shared" / "data" / "odd" / name
    if not path.exists():
        pytest.skip(f"{path}: not there")
    return path
