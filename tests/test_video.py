"""Video files and folders of pictures in and out."""

import hashlib
import io
import math
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from inrcodec.errors import BackendMissing, InputError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.metrics import psnr
from inrcodec.signals.base import Axis, Channel, Samples, Space
from inrcodec.signals.video import SUFFIXES, accepts, read_frames, read_video, write_video

av = pytest.importorskip("av")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RGB = (Channel("R", "color"), Channel("G", "color"), Channel("B", "color"))
T, H, W = 12, 32, 48


def clip(t=T, h=H, w=W):
    """Smooth moving pictures (t, h, w, 3) that differ in every corner."""
    k, y, x = np.meshgrid(np.arange(t), np.arange(h), np.arange(w), indexing="ij")
    waves = [x / max(w - 1, 1), y / max(h - 1, 1), (x / w + y / h + k / t) / 3]
    return np.floor(np.stack(waves, axis=-1) * 255 + 0.5).astype(np.uint8)


def samples(codes, *, spacing=0.04, bits=8):
    space = None if spacing is None else Space(spacing=(spacing, 0.0, 0.0), units="s")
    return Samples(kind="video", channels=RGB, codes=codes, bits=bits, space=space)


def muxed(codes, pts, *, form="mp4", codec="libx264", layout="yuv444p", time_base=Fraction(1, 1000), **options):
    """A file with these frames at these times."""
    out = io.BytesIO()
    with av.open(out, "w", format=form) as container:
        stream = container.add_stream(codec, rate=25, options={"crf": "5", "g": "4", **options})
        stream.width, stream.height, stream.pix_fmt = codes.shape[2], codes.shape[1], layout
        stream.codec_context.time_base = time_base
        for at, pixels in zip(pts, codes, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return out.getvalue()


def turned(data, a, b, c, d):
    """An MP4 with another display matrix."""
    at = data.index(b"tkhd") + 44
    return data[:at] + struct.pack(">9i", *(v * 65536 for v in (a, b, 0, c, d, 0, 0, 0)), 1 << 30) + data[at + 36 :]


def read(data, name="a.mp4", *, limits=DEFAULT_LIMITS, **options):
    return read_video(data, name, limits=limits, strip=False, **options)


def data_file(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    return path.read_bytes()


@pytest.fixture(scope="module")
def mp4():
    return write_video(samples(clip()), ".mp4")


def test_a_video(mp4):
    signal = read(mp4)
    assert accepts(mp4[:64], "")
    assert (signal.kind, signal.bits, signal.dtype, signal.channels) == ("video", 8, None, RGB)
    assert signal.axes == (Axis("t", T, -T / W, T / W), Axis("y", H, -H / W, H / W), Axis("x", W, -1.0, 1.0))
    assert signal.values.shape == (T, H, W, 3) and signal.values.dtype == np.float32
    assert signal.values.min() >= 0 and signal.values.max() <= 1
    assert psnr(signal.values, clip() / 255) > 38
    assert signal.space == Space(spacing=(0.04, 0.0, 0.0), units="s") and signal.notes == ()
    assert signal.source == "a.mp4" and signal.digest == hashlib.sha256(mp4).hexdigest()


@pytest.mark.parametrize("spacing", [0.04, 1001 / 30000, 1 / 60, 0.5])
def test_the_rate_comes_back(spacing):
    assert read(write_video(samples(clip(5), spacing=spacing), ".mp4")).space.spacing[0] == pytest.approx(spacing, rel=1e-9)


@pytest.mark.parametrize(("h", "w"), [(31, 48), (32, 47), (1, 1), (17, 3)])
def test_odd_sizes_are_kept(h, w):
    signal = read(write_video(samples(clip(3, h, w)), ".mp4"))
    assert signal.values.shape == (3, h, w, 3) and psnr(signal.values, clip(3, h, w) / 255) > 30


def test_frames_and_seconds(mp4):
    whole = read(mp4).values
    assert np.array_equal(read(mp4, frames=5).values, whole[:5])
    assert np.array_equal(read(mp4, start=0.12, stop=0.32).values, whole[3:8])
    assert np.array_equal(read(mp4, start=0.1, frames=2).values, whole[3:5])
    assert np.array_equal(read(mp4, frames=99, stop=1e300).values, whole)
    assert read(mp4, frames=1).space.spacing[0] == 0.04
    for options in (
        {"frames": 0},
        {"start": -1},
        {"start": 0.2, "stop": 0.1},
        {"start": 5},
        {"start": 0.41, "stop": 0.42},
        {"stop": math.nan},
    ):
        with pytest.raises(UsageError, match=r"^a.mp4: expected"):
            read(mp4, **options)


def test_limits_are_checked(mp4):
    read(mp4, limits=Limits(output_samples=T * H * W, pixels=H * W))
    read(mp4, limits=Limits(output_samples=2 * H * W), frames=2)
    with pytest.raises(LimitExceeded, match=r"^a.mp4: 12 frames of 48x32 are 18432 pixels, the limit is 18431"):
        read(mp4, limits=Limits(output_samples=T * H * W - 1))
    with pytest.raises(LimitExceeded, match=r"^a.mp4: 48x32 is 1536 pixels"):
        read(mp4, limits=Limits(pixels=H * W - 1))
    unknown = muxed(clip(), range(0, 40 * T, 40), form="matroska")
    with pytest.raises(LimitExceeded, match="frames of 48x32"):
        read(unknown, limits=Limits(output_samples=5 * H * W))


@pytest.mark.parametrize(
    ("matrix", "upright"),
    [
        ((1, 0, 0, 1), lambda v: v),
        ((0, 1, -1, 0), lambda v: np.rot90(v, -1, (1, 2))),
        ((-1, 0, 0, -1), lambda v: np.rot90(v, 2, (1, 2))),
        ((0, -1, 1, 0), lambda v: np.rot90(v, 1, (1, 2))),
        ((-1, 0, 0, 1), lambda v: v[:, :, ::-1]),
        ((0, 1, 1, 0), lambda v: v.swapaxes(1, 2)),
    ],
)
def test_rotation(mp4, matrix, upright):
    signal = read(turned(mp4, *matrix))
    assert np.array_equal(signal.values, upright(read(mp4).values)) and signal.notes == ()
    assert signal.axes[1].n == signal.values.shape[1]


def test_uneven_times_are_resampled():
    codes = clip(6)
    signal = read(muxed(codes, [0, 40, 80, 400, 440, 480], form="matroska"), "a.mkv")
    assert signal.space.spacing[0] == pytest.approx(0.096)
    assert len(signal.notes) == 1 and signal.notes[0].startswith(
        "variable frame rate: frames 0.04 to 0.32 s apart resampled to 6 at every 0.096 s"
    )
    nearest = [0, 2, 2, 3, 3, 5]  # of 0, 96, 192, 288, 384, 480 ms
    assert psnr(signal.values, codes[nearest] / 255) > 38


@pytest.mark.parametrize("pts", [[0, 33, 67, 100, 133, 167], [500, 533, 567, 600, 633, 667], [7, 40, 74, 107, 140, 174]])
def test_rounded_times_are_even(pts):
    signal = read(muxed(clip(6), pts, form="matroska"), "a.mkv")
    assert signal.notes == () and signal.space.spacing[0] == pytest.approx(1 / 30, rel=0.01)


@pytest.mark.parametrize(("form", "options"), [("matroska", {}), ("mp4", {"movflags": "+faststart"}), ("avi", {})])
def test_truncated_files_are_read_up_to_the_damage(form, options, tmp_path):
    codes = np.random.default_rng(1).integers(0, 256, (T, H, W, 3), dtype=np.uint8)
    path = tmp_path / "a"  # faststart reads the file it wrote
    with av.open(str(path), "w", format=form, options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5", "g": "3", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = W, H, "yuv444p"
        for i, pixels in enumerate(codes):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    data = path.read_bytes()
    whole, part = read(data), read(data[: len(data) * 6 // 10])
    n = part.axes[0].n
    assert whole.axes[0].n == T and whole.notes == ()
    assert 4 <= n < T and np.array_equal(part.values, whole.values[:n])
    assert len(part.notes) == 1 and "truncated" in part.notes[0]
    assert len(read(data[: len(data) * 6 // 10], frames=3).notes) == 0


def test_a_file_cut_before_its_index(mp4):
    with pytest.raises(InputError, match=r"^a.mp4: truncated MP4 file: expected an index \(moov\)"):
        read(mp4[: mp4.rindex(b"moov") - 4])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected a video .* got an empty file"),
        (b"no video" * 99, "damaged or unsupported video"),
        (b"\x1aE\xdf\xa3" + bytes(99), "damaged or unsupported video"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n", "damaged or unsupported video"),
        (b"ffconcat version 1.0\nfile '/etc/hostname'\n", "damaged or unsupported video"),
    ],
)
def test_files_that_cannot_be_read(data, words):
    with pytest.raises(InputError, match=f"^a.mp4: {words}") as caught:
        read(data)
    assert "\n" not in str(caught.value)


def test_sound_alone_is_no_video():
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="without a video stream"):
        read(out.getvalue())


def test_ten_bits_are_read_as_eight():
    signal = read(muxed(clip(2), [0, 40], codec="ffv1", form="matroska", layout="yuv444p10le"))
    assert signal.notes == ("10-bit samples read as 8 bits",) and psnr(signal.values, clip(2) / 255) > 40


def test_content_before_suffix(mp4):
    pictures = (b"\0\0\0\x20ftypavif", b"\0\0\0\x20ftypmif1\0\0\0\0avif", b"\0\0\0\x20ftypM4A ", b"GIF89a", b"RIFF....WAVE", b"")
    assert not any(accepts(head, "") for head in pictures)
    assert all(accepts(head, "") for head in (b"\x1aE\xdf\xa3", b"RIFF....AVI LIST", b"OggS" + bytes(24) + b"\x80theora"))
    assert accepts(b"", ".mkv") and not accepts(b"", ".png")


def test_written_files_are_the_same_each_time(mp4):
    assert mp4 == write_video(samples(clip()), ".mp4")
    assert write_video(samples(clip(3)), ".gif") == write_video(samples(clip(3)), ".gif")
    assert SUFFIXES == (".mp4", ".gif", ".npy")


def test_without_h264(monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    for h, w in [(H, W), (H - 1, W - 1)]:
        data = write_video(samples(clip(h=h, w=w)), ".mp4")
        assert av.open(io.BytesIO(data)).streams.video[0].codec_context.name == "mpeg4"
        assert psnr(read(data).values, clip(h=h, w=w) / 255) > 28


@pytest.mark.parametrize("spacing", [0.04, 1 / 30, None])
def test_gif(spacing):
    data = write_video(samples(clip(), spacing=spacing), ".gif")
    signal = read(data, "a.gif")
    assert signal.values.shape == (T, H, W, 3) and signal.notes == ()
    assert signal.space.spacing[0] == pytest.approx(spacing or 0.04, rel=0.02)
    assert psnr(signal.values, clip() / 255) > 28


@pytest.mark.parametrize(("bits", "top", "expected"), [(8, 255, 255), (16, 65535, 255), (4, 15, 255), (16, 256, 1)])
def test_arrays_are_eight_bit_colour(bits, top, expected):
    codes = np.full((2, 3, 4, 1), top, np.uint16 if bits > 8 else np.uint8)
    array = np.load(io.BytesIO(write_video(samples(codes, bits=bits), ".npy")))
    assert array.shape == (2, 3, 4, 3) and array.dtype == np.uint8 and (array == expected).all()


@pytest.mark.parametrize(
    ("codes", "suffix", "spacing", "words"),
    [
        (clip(1), ".avi", 0.04, "cannot write a video as '.avi'; expected one of .mp4 .gif .npy"),
        (clip(1)[0], ".mp4", 0.04, "expected codes"),
        (clip(1)[..., :2], ".mp4", 0.04, "expected codes"),
        (clip(0), ".mp4", 0.04, "expected codes"),
        (clip(1).astype(np.float32), ".mp4", 0.04, "expected codes"),
        (clip(1), ".mp4", 1e-5, "frames a second"),
        (clip(1), ".mp4", math.nan, "nan seconds between frames"),
        (np.broadcast_to(np.uint8(0), (1, 1, 70000, 3)), ".gif", 0.04, "as GIF"),
        (np.broadcast_to(np.uint8(0), (1, 2, 70000, 3)), ".mp4", 0.04, "as .mp4"),
    ],
)
def test_what_cannot_be_written(codes, suffix, spacing, words):
    with pytest.raises(UsageError, match=words):
        write_video(samples(codes, spacing=spacing), suffix)


def test_without_pyav(monkeypatch, mp4):
    monkeypatch.setitem(sys.modules, "av", None)
    for call in (lambda: read(mp4), lambda: write_video(samples(clip(1)), ".mp4")):
        with pytest.raises(BackendMissing, match=r"pip install inrcodec\[video\]"):
            call()


def save_pictures(folder, pictures, **options):
    paths = []
    for i, codes in enumerate(pictures):
        paths.append(str(folder / f"{i:03}.png"))
        Image.fromarray(codes).save(paths[-1], **options)
    return paths


def test_a_folder_of_pictures(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    paths = save_pictures(tmp_path, clip(4), icc_profile=profile)
    signal = read_frames(paths, rate=24, limits=DEFAULT_LIMITS)
    assert np.array_equal(signal.values, (clip(4) / np.float32(255)).astype(np.float32))
    assert signal.axes == (Axis("t", 4, -4 / W, 4 / W), Axis("y", H, -H / W, H / W), Axis("x", W, -1.0, 1.0)) and signal.channels == RGB
    assert signal.space == Space(spacing=(1 / 24, 0.0, 0.0), units="s") and signal.bits == 8
    assert signal.metadata.icc == profile and signal.notes == ()
    assert signal.digest == hashlib.sha256(b"".join(Path(p).read_bytes() for p in paths)).hexdigest()


def test_pictures_of_several_kinds(tmp_path):
    grey, alpha = clip(1)[0, :, :, 0], np.dstack([clip(1)[0], np.full((H, W), 9, np.uint8)])
    deep = clip(1)[0, :, :, 1].astype(np.uint16) * 257
    signal = read_frames(save_pictures(tmp_path, [grey, alpha, deep]), rate=1)
    assert signal.bits == 16 and signal.notes == ("alpha is left out",)
    for frame, codes in zip(signal.values, [grey[..., None], alpha[..., :3], deep[..., None] / 257], strict=True):
        assert np.abs(frame - codes / 255).max() < 1e-6


def test_pictures_that_do_not_fit(tmp_path):
    paths = save_pictures(tmp_path, [clip(1)[0], clip(1)[0], clip(1)[0, :-1], clip(1)[0, 1:, 1:]])
    with pytest.raises(InputError, match=r"002.png: expected a picture of 48x32 like \S+000.png, got 48x31"):
        read_frames(paths, rate=25)
    with pytest.raises(InputError, match=r"none.png: cannot be read: .*No such file"):
        read_frames([str(tmp_path / "none.png")], rate=25)
    with pytest.raises(InputError, match="at least one picture, got none"):
        read_frames([], rate=25)
    with pytest.raises(LimitExceeded, match="4 frames of 48x32"):
        read_frames(paths, rate=25, limits=Limits(output_samples=3 * H * W))
    for rate in (0, -1, math.nan, math.inf):
        with pytest.raises(UsageError, match="rate above 0"):
            read_frames(paths, rate=rate)


@pytest.mark.parametrize(
    ("name", "shape", "spacing", "notes"),
    [
        ("video/bigbuckbunny.mp4", (3, 720, 1280, 3), 0.04, ("sound is left out",)),
        ("video/carphone_pristine.mp4", (3, 144, 176, 3), 1001 / 30000, ("pixels of 128:117 read as square",)),
        ("odd/animated.gif", (3, 90, 160, 3), 0.08, ()),
    ],
)
def test_files_of_others(name, shape, spacing, notes):
    signal = read(data_file(name), name, frames=3)
    assert signal.values.shape == shape and signal.notes == notes and signal.space.spacing[0] == pytest.approx(spacing)


@pytest.mark.parametrize(("name", "words"), [("odd/video_truncated.mp4", "truncated MP4"), ("odd/video_empty.mp4", "got an empty file")])
def test_damaged_files_of_others(name, words):
    with pytest.raises(InputError, match=words):
        read(data_file(name))
