"""Sound files in and out, and how far two sounds are apart."""

import hashlib
import io
import math
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from inrcodec.errors import BackendMissing, InputError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.audio import SUFFIXES, accepts, read_audio, write_audio
from inrcodec.signals.base import Channel, Samples, Space
from inrcodec.sound_metrics import segmental_snr, snr

soundfile = pytest.importorskip("soundfile")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RATE = 8000


def tone(c=1, n=3000, level=0.6):
    """A sound (n, c) of two partials, each channel at its own pitch and level."""
    t = np.arange(n)[:, None]
    pitch = 0.03 * (1 + np.arange(c))
    return level * (np.sin(pitch * t) + 0.3 * np.sin(2.7 * pitch * t)) / 1.3 / (1 + np.arange(c))


def codes16(sound):
    return np.rint(sound * 32768).astype(np.int16)


def encoded(sound, form="WAV", subtype="PCM_16", rate=RATE):
    out = io.BytesIO()
    soundfile.write(out, sound, rate, format=form, subtype=subtype)
    return out.getvalue()


def read(data, name="a.wav", *, limits=DEFAULT_LIMITS, **options):
    return read_audio(data, name, limits=limits, strip=False, **options)


def sound_of(signal):
    """The samples behind the values, full scale 1."""
    low, high = (np.array([getattr(c, bound) for c in signal.channels]) for bound in ("low", "high"))
    return low + signal.values.astype(np.float64) * (high - low)


def samples(codes, *, bits=16, rate=RATE):
    channels = tuple(Channel(f"ch{k}", "value", -1.0, 1.0) for k in range(codes.shape[1]))
    return Samples(kind="audio", channels=channels, codes=codes, bits=bits, space=Space(spacing=(1 / rate,), units="s"))


def data_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    return path.read_bytes()


@pytest.mark.parametrize("c", [1, 2, 5])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64", "FLAC"])
def test_16_bit_files_are_read_exactly(form, c):
    codes = codes16(tone(c))
    data = encoded(codes, form)
    signal = read(data)
    peak = np.abs(codes.astype(int)).max() / 32768
    assert accepts(data[:64], "")
    assert (signal.kind, signal.bits, signal.dtype) == ("audio", 16, "float32")
    assert [(a.name, a.n, a.lo, a.hi) for a in signal.axes] == [("t", 3000, -1.0, 1.0)]
    assert signal.channels == tuple(Channel(f"ch{k}", "value", -peak, peak) for k in range(c))
    assert signal.space == Space(spacing=(1 / RATE,), units="s")
    assert signal.values.dtype == np.float32 and signal.values.min() >= 0 and signal.values.max() <= 1
    assert np.array_equal(np.rint(sound_of(signal) * 32768), codes)
    assert signal.notes == () and signal.source == "a.wav" and signal.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("form", "subtype", "bits", "error", "notes"),
    [
        ("WAV", "PCM_U8", 8, 2**-7, 0),
        ("WAV", "PCM_24", 16, 1e-6, 1),
        ("FLAC", "PCM_24", 16, 1e-6, 1),
        ("WAV", "PCM_32", 16, 1e-6, 1),
        ("WAV", "FLOAT", 16, 1e-6, 1),
        ("WAV", "DOUBLE", 16, 1e-6, 1),
        ("WAV", "ULAW", 16, 0.02, 0),
        ("OGG", "VORBIS", 16, 0.05, 0),
    ],
)
def test_sample_types(form, subtype, bits, error, notes):
    signal = read(encoded(tone(2), form, subtype))
    assert (signal.bits, signal.dtype, len(signal.notes)) == (bits, "float32", notes)
    assert np.abs(sound_of(signal) - tone(2)).max() < error


def test_silence_keeps_a_range_of_one():
    signal = read(encoded(np.zeros((50, 1), np.int16)))
    assert (signal.values == 0.5).all() and (signal.channels[0].low, signal.channels[0].high) == (-1.0, 1.0)


def test_samples_beyond_full_scale_are_kept_and_noted():
    signal = read(encoded(3.0 * tone(), subtype="FLOAT"))
    assert np.abs(sound_of(signal) - 3 * tone()).max() < 1e-6
    assert any("times full scale" in note for note in signal.notes)


def test_a_section_in_seconds():
    sound = tone(2)
    whole = encoded(codes16(sound), "FLAC")
    signal = read(whole, start=0.1, stop=0.25)
    assert signal.axes[0].n == 1200
    assert np.array_equal(np.rint(sound_of(signal) * 32768), codes16(sound)[800:2000])
    assert signal.notes == ("the section from 0.1 to 0.25 s of 0.375 s",)
    assert read(whole, start=0.3, stop=99.0).axes[0].n == 600
    assert read(whole, stop=0.01).axes[0].n == 80
    for start, stop in [
        (-1, None),
        (0.2, 0.1),
        (0.2, 0.2),
        (math.nan, None),
        (None, math.nan),
        (0.375, None),
        (math.inf, None),
        (1e300, None),
    ]:
        with pytest.raises(UsageError, match="a.wav: expected"):
            read(whole, start=start, stop=stop)


def test_limits_are_checked_before_decoding():
    data = bytearray(encoded(codes16(tone()), "FLAC"))
    read(bytes(data), limits=Limits(output_samples=3000))
    with pytest.raises(LimitExceeded, match="a.wav: 3000 samples in time, the limit is 2999"):
        read(bytes(data), limits=Limits(output_samples=2999))
    read(bytes(data), limits=Limits(output_samples=800), stop=0.1)
    data[21] |= 0x0F  # a header that states 2^35 samples
    with pytest.raises(LimitExceeded, match=r"a\.wav: \d+ samples in time"):
        read(bytes(data))


def test_flac_of_unknown_length():
    codes = codes16(tone(n=70000))
    data = bytearray(encoded(codes, "FLAC"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    signal = read(bytes(data))
    assert np.array_equal(np.rint(sound_of(signal) * 32768), codes) and signal.notes == ()
    with pytest.raises(LimitExceeded, match="more than 69999 samples"):
        read(bytes(data), limits=Limits(output_samples=69999))


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_truncated_files_are_read_up_to_their_end(form):
    codes = codes16(tone(2, n=40000))
    data = encoded(codes, form)
    signal = read(data[: len(data) * 2 // 3])
    n = signal.axes[0].n
    assert 20000 < n < 27000 and np.array_equal(np.rint(sound_of(signal) * 32768), codes[:n])
    assert len(signal.notes) == 1 and "truncated" in signal.notes[0]


def test_wav_written_to_a_pipe_is_not_called_truncated():
    data = bytearray(encoded(codes16(tone())))
    data[40:44] = b"\xff" * 4
    assert read(bytes(data)).notes == ()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_samples_that_are_no_numbers(value):
    sound = tone(2).astype(np.float32)
    sound[7, 1] = value
    with pytest.raises(InputError, match=r"a\.wav: expected finite samples, got \S+ at sample 7 of channel 1"):
        read(encoded(sound, subtype="FLOAT"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected sound .* got an empty file"),
        (b"\x89PNG\r\n\x1a\n", "expected sound .* got a file beginning with"),
        (b"RIFF\0\0\0\0WAVE", "damaged or unsupported"),
        (b"fLaC", "damaged or unsupported"),
        (b"fLaC" + bytes(60), "damaged or unsupported"),
        (b"RIFF\0\0\0\0WAVEjunkjunkjunkjunk", "damaged or unsupported"),
        (encoded(np.zeros((0, 1), np.int16)), "expected samples"),
        (encoded(codes16(tone()), "OGG", "VORBIS")[:100], "damaged or unsupported"),
        (encoded(codes16(tone()), "FLAC")[:90], "."),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else value,  # an Ogg file has a number drawn for it
)
def test_files_that_cannot_be_read(data, words):
    with pytest.raises(InputError, match=f"^a.wav: {words}") as caught:
        read(data)
    assert "\n" not in str(caught.value) and "BytesIO" not in str(caught.value)


def test_content_before_suffix():
    assert accepts(encoded(codes16(tone()), "OGG", "VORBIS")[:64], "")
    assert not any(accepts(head, "") for head in (b"", b"RIFF....WEBP", b"RIFF....AVI LIST", b"OggS" + bytes(24) + b"\x80theora"))
    assert accepts(b"", ".wav") and not accepts(b"", ".mp4")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16, np.int32])
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_16_bits_come_back_as_they_were(suffix, dtype):
    codes = codes16(tone(2))
    codes[:3, 0] = (-32768, 32767, 0)
    scale = {np.int16: 1, np.int32: 65536}.get(dtype, 1 / 32768)
    data = write_audio(samples((codes.astype(np.int64) * scale).astype(dtype), rate=22050), suffix)
    assert data == write_audio(samples((codes.astype(np.int64) * scale).astype(dtype), rate=22050), suffix)
    back, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 22050 and np.array_equal(back, codes)
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"


def test_a_signal_survives_reading_and_writing():
    data = encoded(codes16(tone(2)))
    back = write_audio(samples(sound_of(read(data)).astype(np.float32)), ".wav")
    assert np.array_equal(soundfile.read(io.BytesIO(back), dtype="int16")[0], codes16(tone(2)))


def test_eight_bits_become_sixteen():
    data = write_audio(samples(tone().astype(np.float32), bits=8), ".wav")
    assert soundfile.info(io.BytesIO(data)).subtype == "PCM_16"


def test_values_a_file_cannot_hold_are_clipped():
    codes = np.array([[2.0], [-2.0], [np.nan], [np.inf], [1.0]], np.float32)
    back, _ = soundfile.read(io.BytesIO(write_audio(samples(codes), ".wav")), dtype="int16")
    assert back.tolist() == [32767, -32768, 0, 32767, 32767]


def test_ogg_is_the_same_bytes_each_time():
    codes = tone(2, n=70000).astype(np.float32)
    data = write_audio(samples(codes), ".ogg")
    assert data == write_audio(samples(codes), ".ogg")
    assert struct.unpack_from("<I", data, 14) == (1,)
    assert snr(codes, soundfile.read(io.BytesIO(data))[0]) > 20


@pytest.mark.parametrize(
    ("codes", "suffix", "rate", "words"),
    [
        (np.zeros((4, 1), np.float32), ".mp3", RATE, "cannot write sound as '.mp3'; expected one of .wav .flac .ogg"),
        (np.zeros((4, 9), np.float32), ".flac", RATE, "at most 8 channels"),
        (np.zeros((4, 256), np.float32), ".ogg", RATE, "at most 255 channels"),
        (np.zeros((4, 1), np.float32), ".ogg", 300_000, "1 to 200000 Hz"),
        (np.zeros((4, 1), np.float32), ".flac", 0.1, "1 to 655350 Hz"),
        (np.zeros((4, 1), np.float32), ".wav", math.inf, "without a sample rate"),
        (np.zeros((0, 1), np.float32), ".wav", RATE, "expected samples"),
        (np.zeros(4, np.float32)[:, None, None], ".wav", RATE, "expected samples"),
        (np.zeros((4, 1), np.uint8), ".wav", RATE, "expected samples"),
        (np.broadcast_to(np.float32(0), (1 << 31, 1)), ".wav", RATE, "holds 4 GiB"),
    ],
)
def test_what_cannot_be_written(codes, suffix, rate, words):
    with pytest.raises(UsageError, match=words):
        write_audio(samples(codes, rate=rate), suffix)


def test_without_soundfile(monkeypatch):
    data = encoded(codes16(tone()))
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for call in (lambda: read(data), lambda: write_audio(samples(tone()), ".wav")):
        with pytest.raises(BackendMissing, match=r"pip install inrcodec\[audio\]"):
            call()


@pytest.mark.parametrize(
    ("name", "n", "c", "rate", "bits", "words"),
    [
        ("audio/gt_bach.wav", 308207, 1, 44100, 16, ["32-bit floating-point"]),
        ("audio/flac_music_stereo_44k1_16bit.flac", 308700, 2, 44100, 16, []),
        ("odd/audio_8bit_mono_22k.wav", 11025, 1, 22050, 8, []),
        ("odd/audio_24bit_stereo.wav", 22050, 2, 44100, 16, ["24-bit"]),
        ("odd/audio_silence.wav", 1600, 1, 16000, 16, []),
        ("odd/audio_truncated.wav", 11021, 2, 44100, 16, ["truncated: 66128 of the 132300 bytes", "24-bit"]),
    ],
)
def test_files_of_others(name, n, c, rate, bits, words):
    signal = read(data_file(name), name)
    assert signal.values.shape == (n, c) and signal.bits == bits and signal.space.spacing == (1 / rate,)
    assert len(signal.notes) == len(words) and all(word in note for word, note in zip(words, signal.notes, strict=True))


def test_a_file_of_others_without_samples():
    with pytest.raises(InputError, match="^zero.wav: expected samples"):
        read(data_file("odd/audio_zero_samples.wav"), "zero.wav")


def test_suffixes_are_known_by_the_reader():
    assert all(accepts(b"", suffix) for suffix in SUFFIXES)


def test_snr():
    a = np.array([3.0, -4.0, 0.0, 5.0])
    assert snr(a, a) == math.inf
    assert snr(a, 0.9 * a) == pytest.approx(20)
    assert snr(a[:, None], a[:, None] + 0.5) == pytest.approx(10 * math.log10(50))
    assert snr(0 * a, a) == -math.inf
    assert snr(np.array([32767], np.int16), np.array([-32768], np.int16)) == pytest.approx(-6.02, abs=0.01)
    for wrong in (a[:2], a[:, None]):
        with pytest.raises(UsageError, match="one shape"):
            snr(a, wrong)
    with pytest.raises(UsageError, match="at least one sample"):
        snr(a[:0], a[:0])


def test_segmental_snr():
    a = np.concatenate([np.ones(100), np.full(100, 0.01), np.zeros(100)])
    b = a + 0.001
    assert segmental_snr(a, b, segment=100) == pytest.approx((35 + 20) / 2)
    assert segmental_snr(a, b, segment=100, high=80) == pytest.approx((60 + 20) / 2)
    assert segmental_snr(a, a) == 35 and segmental_snr(0 * a, 0 * a) == math.inf
    assert segmental_snr(a, -9 * a, segment=100, low=-5) == -5
    assert segmental_snr(a, b, segment=1000, high=99) == pytest.approx(snr(a, b))
    for options in ({"segment": 0}, {"low": 3.0, "high": 2.0}):
        with pytest.raises(UsageError, match="expected"):
            segmental_snr(a, b, **options)
