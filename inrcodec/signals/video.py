"""Video: files that FFmpeg knows, and folders of pictures, to signals; signals to MP4, GIF and arrays.

PyAV decodes and encodes. Kept here is what it alone would lose: which way up pictures are, uneven times, the frames before damage.
"""

import hashlib
import importlib
import io
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.audio import check_window, one_line
from inrcodec.signals.base import Axis, Channel, Metadata, Samples, Signal, Space
from inrcodec.signals.codes import rescale_codes
from inrcodec.signals.image import need_pillow, read_image

FORMATS = "MP4, MOV, Matroska, WebM, AVI, MPEG, FLV, Ogg or Y4M"
SUFFIXES = (".mp4", ".gif", ".npy")
_READ_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ogv", ".y4m", ".wmv")
_SIGNATURES = (b"\x1aE\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"FLV\x01", b"YUV4MPEG2 ", b"0&\xb2u\x8ef\xcf\x11")
_PICTURE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"M4A ", b"M4B ", b"crx ")
# What FFmpeg may take the bytes for: none that opens other files or addresses (playlists, concat scripts).
_DEMUXERS = "mov,matroska,avi,mpeg,mpegts,mpegvideo,flv,ogg,yuv4mpegpipe,asf,gif"
_RGB = (Channel("R", "color"), Channel("G", "color"), Channel("B", "color"))
_ATTACHED_PICTURE = 0x400  # disposition of a stream that is a cover
_SWS = 0x4 | 0x2000 | 0x40000 | 0x80000  # bicubic chroma at full resolution, accurate rounding, the same bits on every machine
_RATE = 25  # frames a second written where the signal does not know
# x264's macroblock tree does not give the same bytes each time.
_X264 = {"crf": "12", "preset": "medium", "threads": "4", "x264-params": "mbtree=0"}
_ENCODERS = (("libx264", _X264), ("mpeg4", {"qscale": "2", "flags": "+qscale+bitexact"}))
_BT601, _VIDEO_RANGE = 6, 1  # FFmpeg's numbers


@dataclass(frozen=True)
class _Window:
    """What of a video is asked for: frames from `start` until before `stop`, in seconds after the first, and at most `frames`."""

    frames: int | None
    start: float
    stop: float


@dataclass(frozen=True)
class _Clip:
    """Frames (h, w, 3) uint8, their times in seconds after the first of the video, frames a second that the file states or 0, notes."""

    frames: list[NDArray[np.uint8]]
    times: NDArray[np.float64]
    rate: float
    tick: float
    notes: tuple[str, ...]


def accepts(head: bytes, suffix: str) -> bool:
    """Whether `read_video` is for a file with these first bytes (64 are enough) or, where they say nothing, with this suffix."""
    return _is_video(head) or suffix in _READ_SUFFIXES


def read_video(
    data: bytes,
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    strip: bool = False,
    frames: int | None = None,
    start: float | None = None,
    stop: float | None = None,
) -> Signal:
    """A video file as a signal (t, y, x) of RGB, values (t, h, w, 3), upright as its rotation says.

    `start` and `stop` are seconds after the first frame, `frames` the number of frames at most. Frames at uneven times are resampled to
    the same number at even times by the nearest, with a note; `space` keeps the time between frames in seconds (0 where unknown).
    `strip` changes nothing: tags are never kept. Raises InputError for what is damaged or holds no video, UsageError for options that
    leave no frame, LimitExceeded for more than `limits.pixels` a frame or `limits.output_samples` pixels in all.
    """
    check_window(start, stop, name)
    if frames is not None and frames < 1:
        raise UsageError(f"{name}: expected at least one frame, got frames {frames}")
    if not data:
        raise InputError(f"{name}: expected a video ({FORMATS}), got an empty file")
    _check_index(data, name)
    av = _av()
    window = _Window(frames, start or 0.0, math.inf if stop is None else stop)
    try:
        with av.open(io.BytesIO(data), options={"format_whitelist": _DEMUXERS}) as container:
            clip = _decode(container, name, limits, window)
    except InrError:
        raise
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise InputError(f"{name}: damaged or unsupported video: {one_line(error)}") from error
    order, spacing, notes = _regular(clip)
    values = np.empty((len(order), *clip.frames[0].shape), np.float32)
    for out, i in zip(values, order, strict=True):
        np.divide(clip.frames[i], 255, out=out, dtype=np.float32)
    return Signal(
        kind="video",
        axes=_axes(*values.shape[:3]),
        channels=_RGB,
        values=values,
        bits=8,
        space=Space(spacing=(spacing, 0.0, 0.0), units="s"),
        source=name,
        digest=hashlib.sha256(data).hexdigest(),
        notes=clip.notes + notes,
    )


def read_frames(paths: Sequence[str], *, rate: float, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """Pictures of one size, in this order, as a video of `rate` frames a second: values (t, h, w, 3), grey as RGB, alpha left out.

    `bits` is the largest of theirs, the digest that of their bytes one after the other; an ICC profile is kept where all have the same.
    Raises InputError for a picture that cannot be read or differs in size, UsageError for the rate, LimitExceeded as `read_video` does.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise UsageError(f"expected a rate above 0 frames a second, got {rate}")
    if not paths:
        raise InputError("expected at least one picture, got none")
    digest = hashlib.sha256()
    values: NDArray[np.float32] | None = None
    bits, profiles, alpha = 0, set(), False
    for i, path in enumerate(paths):
        try:
            data = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read: {one_line(error)}") from error
        digest.update(data)
        picture = read_image(data, path, limits=limits, strip=strip)
        h, w, c = picture.values.shape
        if values is None:
            _check_size(len(paths), h, w, paths[0], limits)
            values = np.empty((len(paths), h, w, 3), np.float32)
        if values.shape[1:3] != (h, w):
            raise InputError(f"{path}: expected a picture of {values.shape[2]}x{values.shape[1]} like {paths[0]}, got {w}x{h}")
        values[i] = picture.values[:, :, :3] if c >= 3 else picture.values[:, :, :1]
        bits, alpha = max(bits, picture.bits), alpha or c in (2, 4)
        profiles.add(picture.metadata.icc if c >= 3 else None)  # one of grey does not fit RGB
    assert values is not None
    notes = (("alpha is left out",) if alpha else ()) + (("ICC profiles differ and are left out",) if len(profiles) > 1 else ())
    return Signal(
        kind="video",
        axes=_axes(*values.shape[:3]),
        channels=_RGB,
        values=values,
        bits=bits,
        space=Space(spacing=(1 / rate, 0.0, 0.0), units="s"),
        source=paths[0],
        digest=digest.hexdigest(),
        metadata=Metadata(icc=profiles.pop() if len(profiles) == 1 else None),
        notes=notes,
    )


def write_video(samples: Samples, suffix: str) -> bytes:
    """The file with codes (t, h, w, 3) or (t, h, w, 1) as MP4 (H.264, or MPEG-4 Part 2 where the build has no encoder for it), GIF, or
    .npy (t, h, w, 3) uint8.

    The rate is 1 / samples.space.spacing[0], or 25 where that is unknown. H.264 halves the resolution of colour where width and height
    are even. GIF has 256 colours a frame, times in hundredths of a second, and joins equal frames. The same samples give the same bytes
    with the same encoder. Raises UsageError for an unknown suffix and for what the format cannot hold.
    """
    if suffix not in SUFFIXES:
        raise UsageError(f"cannot write a video as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    codes = samples.codes
    if codes.ndim != 4 or 0 in codes.shape or codes.shape[3] not in (1, 3) or codes.dtype.kind != "u":
        raise UsageError(f"expected codes (t, h, w, 3) or (t, h, w, 1), got {codes.dtype} of shape {codes.shape}")
    pixels = rescale_codes(codes, samples.bits, 8)
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
    match suffix:
        case ".npy":
            out = io.BytesIO()
            np.save(out, pixels, allow_pickle=False)
            return out.getvalue()
        case ".gif":
            return _gif(pixels, _rate(samples.space))
        case _:
            return _mp4(pixels, _rate(samples.space))


def _is_video(head: bytes) -> bool:
    kind = head[4:8]
    if kind == b"ftyp":
        return head[8:12] not in _PICTURE_BRANDS and b"avif" not in head and b"avis" not in head
    if head[:4] == b"RIFF":
        return head[8:11] == b"AVI"
    if head[:4] == b"OggS":
        return b"\x80theora" in head
    return kind in (b"moov", b"mdat", b"wide") or head.startswith(_SIGNATURES)


def _av() -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise BackendMissing("video needs PyAV, which is not installed; install it with: pip install inrcodec[video]") from error


def _check_index(data: bytes, name: str) -> None:
    """Raise InputError for an MP4 without its index, which FFmpeg calls invalid data; it is what a file cut short lacks."""
    if data[4:8] != b"ftyp":
        return
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"moov":
            return
        if size == 1 and at + 16 <= len(data):
            size = struct.unpack_from(">Q", data, at + 8)[0]
        at = at + size if size >= 8 else len(data)
    raise InputError(f"{name}: truncated MP4 file: expected an index (moov), got {len(data)} bytes without one")


def _decode(container: Any, name: str, limits: Limits, window: _Window) -> _Clip:
    streams = [s for s in container.streams.video if not int(s.disposition) & _ATTACHED_PICTURE]
    if not streams:
        raise InputError(f"{name}: expected a video, got a file without a video stream")
    stream = streams[0]
    rate = float(stream.average_rate or 0)
    seconds = stream.duration * stream.time_base if stream.duration else Fraction(container.duration or 0, 1_000_000)
    expected = stream.frames or round(float(seconds) * rate)
    wanted = min(expected, window.frames or expected)
    if rate:
        wanted = min(wanted, math.ceil((min(window.stop, expected / rate) - window.start) * rate))
    _check_size(max(wanted, 1), stream.height, stream.width, name, limits)
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    damage, complete = "", False
    notes: tuple[str, ...] = ()
    try:
        for time, frame in _timed(container.decode(stream), rate):
            if frame.is_corrupt:
                damage = f"damaged frame at {time:.3f} s"
                break
            complete = time > window.stop - 1e-6
            if complete:
                break
            if time < window.start - 1e-6:
                continue
            _check_size(len(frames) + 1, frame.height, frame.width, name, limits)
            pixels = _upright(frame.to_ndarray(format="rgb24", interpolation=_SWS), _matrix(frame))
            if not frames:
                notes = _notes(container, stream, frame)
            elif pixels.shape != frames[0].shape:
                (h, w), (h0, w0) = pixels.shape[:2], frames[0].shape[:2]
                raise InputError(f"{name}: frame {len(frames)}: expected {w0}x{h0} like the first, got {w}x{h}")
            frames.append(pixels)
            times.append(time)
            complete = len(frames) == window.frames
            if complete:
                break
    except _av().FFmpegError as error:
        damage = one_line(error)
    if not frames and (damage or not (complete or window.start)):
        raise InputError(f"{name}: damaged video: expected frames, got none" + (f": {damage}" if damage else ""))
    if not frames:
        raise UsageError(f"{name}: expected frames from {window.start} until before {window.stop} s, got none")
    if damage:
        notes += (f"damaged or truncated: decoded up to frame {len(frames) - 1} of about {expected}: {damage}",)
    elif not complete:
        end = times[-1] + max((container.start_time or 0) / 1e6, 0.0)
        if window.start == 0 and len(frames) < 0.9 * stream.frames:
            notes += (f"truncated: {len(frames)} of {stream.frames} frames decoded",)
        elif end + max(np.diff(times), default=1.0) < 0.9 * float(seconds):
            notes += (f"truncated: ends at {end:.3f} of {float(seconds):.3f} s that its header states",)
    return _Clip(frames, np.array(times), rate, float(stream.time_base or 0), notes)


def _timed(frames: Iterator[Any], rate: float) -> Iterator[tuple[float, Any]]:
    """Frames with their seconds after the first; where a file gives none, a frame's duration after the one before."""
    first = last = None
    for frame in frames:
        at = (0.0 if last is None else last + 1 / (rate or _RATE)) if frame.pts is None else float(frame.pts * frame.time_base)
        first = at if first is None else first
        yield at - first, frame
        last = at


def _matrix(frame: Any) -> tuple[int, ...]:
    """The linear part (a, b, c, d) of the display matrix, (x, y) -> (a x + c y, b x + d y), in 16.16 fixed point."""
    for side in frame.side_data:
        if side.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = struct.unpack("=5i", bytes(side)[:20])
            return a, b, c, d
    return 65536, 0, 0, 65536


def _upright(pixels: NDArray[np.uint8], matrix: tuple[int, ...]) -> NDArray[np.uint8]:
    """Turned and mirrored as the matrix says, to the nearest right angle."""
    a, b, c, d = matrix
    if abs(b) > abs(a):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return np.ascontiguousarray(pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _notes(container: Any, stream: Any, frame: Any) -> tuple[str, ...]:
    """What is lost of a video with this first frame."""
    depth = max(component.bits for component in frame.format.components)
    alpha = any(component.is_alpha for component in frame.format.components)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    a, b, c, d = _matrix(frame)
    notes = {
        "sound is left out": len(container.streams.audio) > 0,
        f"pixels of {aspect.numerator}:{aspect.denominator} read as square": aspect != 1,
        f"{depth}-bit samples read as 8 bits": depth > 8,
        "interlaced frames are kept as they are": frame.interlaced_frame,
        "alpha is left out": alpha and container.format.name != "gif",  # every GIF has it here
        "turned to the nearest right angle": min(max(abs(a), abs(d)), max(abs(b), abs(c))) > 655,
    }
    return tuple(note for note, holds in notes.items() if holds)


def _regular(clip: _Clip) -> tuple[NDArray[np.intp], float, tuple[str, ...]]:
    """Frames to take at even times, the seconds between them, and a note where that changes anything."""
    n, stated = len(clip.times), 1 / clip.rate if clip.rate else 0.0
    order = np.arange(n)
    if n == 1:
        return order, stated, ()
    gaps = np.diff(clip.times)
    if (gaps <= 0).any():
        return order, stated, ("frames without rising times taken as evenly spaced",)
    mean = float(clip.times[-1] - clip.times[0]) / (n - 1)
    even = clip.times[0] + mean * order
    if np.abs(clip.times - even).max() <= min(1.5 * clip.tick + 1e-9, mean / 4):
        return order, stated if abs(stated - mean) < 1e-3 * mean else mean, ()
    before = np.clip(np.searchsorted(clip.times, even, side="right") - 1, 0, n - 2)
    order = before + (even - clip.times[before] > clip.times[before + 1] - even)
    note = f"variable frame rate: frames {gaps.min():.4g} to {gaps.max():.4g} s apart resampled to {n} at every {mean:.6g} s by the nearest"
    return order, mean, (note,)


def _axes(t: int, h: int, w: int) -> tuple[Axis, Axis, Axis]:
    longest = max(t, h, w)  # a frame and a pixel are as far apart, so that the finest tables have a vertex for each
    return Axis("t", t, -t / longest, t / longest), Axis("y", h, -h / longest, h / longest), Axis("x", w, -w / longest, w / longest)


def _check_size(t: int, h: int, w: int, name: str, limits: Limits) -> None:
    if h < 1 or w < 1:
        raise InputError(f"{name}: expected frames with pixels, got {w}x{h}")
    if h * w > limits.pixels:
        raise LimitExceeded(f"{name}: {w}x{h} is {w * h} pixels, the limit is {limits.pixels} (Limits.pixels)")
    if t * h * w > limits.output_samples:
        what = f"{t} frames of {w}x{h} are {t * h * w} pixels, the limit is"
        raise LimitExceeded(f"{name}: {what} {limits.output_samples} (Limits.output_samples)")


def _rate(space: Space | None) -> Fraction:
    spacing = space.spacing[0] if space is not None and space.spacing else 0.0
    if not (math.isfinite(spacing) and spacing >= 0):
        raise UsageError(f"cannot write a video with {spacing} seconds between frames")
    rate = Fraction(1 / spacing).limit_denominator(1001) if spacing > 0 else Fraction(_RATE)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise UsageError(f"cannot write a video of {float(rate):g} frames a second; expected 0.001 to 1000")
    return rate


def _gif(pixels: NDArray[np.uint8], rate: Fraction) -> bytes:
    need_pillow()
    from PIL import Image

    ends = [round(100 * (i + 1) / rate) for i in range(len(pixels))]
    durations = [10 * max(2, end - begin) for begin, end in zip([0, *ends], ends, strict=False)]  # browsers slow down below 20 ms
    images = [Image.fromarray(frame).quantize(256, dither=Image.Dither.FLOYDSTEINBERG) for frame in pixels]
    out = io.BytesIO()
    try:
        images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=False)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise UsageError(f"cannot write {pixels.shape[2]}x{pixels.shape[1]} pixels as GIF: {one_line(error)}") from error
    return out.getvalue()


def _mp4(pixels: NDArray[np.uint8], rate: Fraction) -> bytes:
    av = _av()
    t, h, w, _ = pixels.shape
    name, options = _ENCODERS["libx264" not in av.codecs_available]
    layout = "yuv444p" if name == "libx264" and (h % 2 or w % 2) else "yuv420p"
    out = io.BytesIO()
    try:
        with av.open(out, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream(name, rate=rate, options=dict(options))
            stream.width, stream.height, stream.pix_fmt = w, h, layout
            stream.codec_context.colorspace, stream.codec_context.color_range = _BT601, _VIDEO_RANGE
            for i, codes in enumerate(pixels):
                frame = av.VideoFrame.from_ndarray(codes, format="rgb24")
                frame = frame.reformat(format=layout, dst_colorspace="smpte170m", interpolation=_SWS)
                frame.pts, frame.time_base = i, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as error:
        raise UsageError(f"cannot write {t} frames of {w}x{h} as .mp4: {one_line(error)}") from error
    return out.getvalue()
