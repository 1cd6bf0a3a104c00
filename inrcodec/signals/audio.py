"""Sound: WAV, FLAC and Ogg files to signals, and back.

libsndfile decodes and encodes, through soundfile. Kept here is what it alone would lose: the samples before the end of a truncated
file, 16-bit samples through float and back, and Ogg files that are the same bytes each time.
"""

import hashlib
import importlib
import io
import math
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Axis, Channel, Samples, Signal, Space

__all__ = ["FORMATS", "SUFFIXES", "accepts", "check_window", "one_line", "read_audio", "write_audio"]

FORMATS = "WAV, FLAC or Ogg"
SUFFIXES = (".wav", ".flac", ".ogg")
_READ_SUFFIXES = (*SUFFIXES, ".wave", ".oga", ".opus")
_OGG_CODECS = (b"\x01vorbis", b"OpusHead", b"\x7fFLAC")
# Subtype of libsndfile -> bits that the codec keeps, what the note calls those that lose bits.
_BITS: dict[str, tuple[int, str | None]] = {
    "PCM_U8": (8, None),
    "PCM_S8": (8, None),
    "PCM_16": (16, None),
    "PCM_24": (16, "24-bit"),
    "PCM_32": (16, "32-bit"),
    "FLOAT": (16, "32-bit floating-point"),
    "DOUBLE": (16, "64-bit floating-point"),
}
_LOSSY = (16, None)  # Vorbis, Opus, logarithmic and differential codes
# Format, subtype, channels and rate at most: beyond them libvorbis crashes, and the other formats have no room.
_WRITERS = {
    ".wav": ("WAV", "PCM_16", 1024, (1 << 31) - 1),
    ".flac": ("FLAC", "PCM_16", 8, 655_350),
    ".ogg": ("OGG", "VORBIS", 255, 200_000),
}
_WAV_BYTES = (1 << 32) - 64  # samples of a RIFF file, which counts in 32 bits
_BLOCK = 1 << 16  # samples in time read or written at once
_UNKNOWN = 1 << 62  # libsndfile's count of samples, where the header has none, is above this
_BITS_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def accepts(head: bytes, suffix: str) -> bool:
    """Whether `read_audio` is for a file with these first bytes (64 are enough) or, where they say nothing, with this suffix."""
    return _is_sound(head) or suffix in _READ_SUFFIXES


def read_audio(
    data: bytes,
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    strip: bool = False,
    start: float | None = None,
    stop: float | None = None,
) -> Signal:
    """A sound file as a signal of one axis t: values (n, c) = (x + peak) / (2 peak), x in [-1, 1] at full scale.

    The peak is the largest |x| of what is read (1 for silence), the same for all channels, which have low = -peak and high = peak.
    Samples are numbers with 1 at full scale (dtype float32), `space` keeps the sample rate (spacing 1 / rate, in seconds). `start` and
    `stop` are seconds from the beginning. `strip` changes nothing: tags are never kept. Raises InputError for what is damaged or has no
    samples, UsageError for times outside the sound, LimitExceeded for more than `limits.output_samples` in time.
    """
    check_window(start, stop, name)
    if not _is_sound(data[:64]):
        got = f"a file beginning with {data[:8]!r}" if data else "an empty file"
        raise InputError(f"{name}: expected sound ({FORMATS}), got {got}")
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate, subtype = int(file.samplerate), str(file.subtype)
            sound, notes = _decode(file, name, limits, start or 0.0, stop)
    except InrError:
        raise
    except (soundfile.SoundFileError, ValueError, MemoryError) as error:
        raise InputError(f"{name}: damaged or unsupported sound file: {one_line(error)}") from error
    missing = _missing(data)
    if missing:
        notes += (f"truncated: {missing}",)
    peak = _check_samples(sound, name)
    bits, called = _BITS.get(subtype, _LOSSY)
    if called:
        notes += (f"{called} samples; decoded files have 16 bits",)
    if peak > 1:
        notes += (f"samples reach {peak:.4g} times full scale; decoded files are clipped there",)
    return _signal(sound, peak or 1.0, rate=rate, bits=bits, name=name, data=data, notes=notes)


def write_audio(samples: Samples, suffix: str) -> bytes:
    """The file with codes (n, c), floats in [-1, 1] (or int16, int32 at full scale), as 16-bit WAV or FLAC or as Ogg Vorbis.

    The sample rate is 1 / samples.space.spacing[0], rounded to whole hertz. Values beyond full scale are clipped, NaN is silence; up to
    16 bits come out as they went in. The same samples give the same bytes. Raises UsageError for an unknown suffix and for what the
    format cannot hold.
    """
    if suffix not in SUFFIXES:
        raise UsageError(f"cannot write sound as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    form, subtype, channels_most, rate_most = _WRITERS[suffix]
    codes = samples.codes
    if codes.ndim != 2 or 0 in codes.shape or not (codes.dtype.kind == "f" or codes.dtype in (np.int16, np.int32)):
        raise UsageError(f"expected samples (n, c) of floats, int16 or int32, got {codes.dtype} of shape {codes.shape}")
    rate, c = _rate(samples.space), codes.shape[1]
    if c > channels_most or not 1 <= rate <= rate_most:
        raise UsageError(
            f"cannot write {c} channels at {rate} Hz as {suffix}; expected at most {channels_most} channels and 1 to {rate_most} Hz"
        )
    if suffix == ".wav" and 2 * codes.size > _WAV_BYTES:
        raise UsageError(f"cannot write {2 * codes.size} bytes of samples as .wav, which holds 4 GiB; expected .flac or a part")
    soundfile = _soundfile()
    out = io.BytesIO()
    try:
        with soundfile.SoundFile(out, "w", rate, c, format=form, subtype=subtype) as file:
            for at in range(0, len(codes), _BLOCK):
                file.write(_pcm(codes[at : at + _BLOCK]))
    except soundfile.SoundFileError as error:
        raise UsageError(f"cannot write {c} channels at {rate} Hz as {suffix}: {one_line(error)}") from error
    return _plain_serial(out.getvalue()) if form == "OGG" else out.getvalue()


def check_window(start: float | None, stop: float | None, name: str) -> None:
    """Raise UsageError unless 0 <= start < stop, where given, in seconds."""
    begin = 0.0 if start is None else start
    end = math.inf if stop is None else stop
    if not (0 <= begin < end and math.isfinite(begin)):
        raise UsageError(f"{name}: expected seconds 0 <= start < stop, got start {start} and stop {stop}")


def one_line(error: Exception) -> str:
    """What an error of a library says, in one line."""
    text = " ".join(str(getattr(error, "error_string", "") or error).split())
    return text or type(error).__name__


def _is_sound(head: bytes) -> bool:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return head[8:12] == b"WAVE"
    return head.startswith(b"fLaC") or (head.startswith(b"OggS") and any(codec in head[:64] for codec in _OGG_CODECS))


def _soundfile() -> Any:
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: the library libsndfile is not there
        raise BackendMissing("sound needs soundfile, which is not installed; install it with: pip install inrcodec[audio]") from error


def _decode(file: Any, name: str, limits: Limits, start: float, stop: float | None) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Samples (n, c) between two times in seconds, full scale 1, and notes."""
    declared = int(file.frames) if file.frames < _UNKNOWN else None
    total = _UNKNOWN if declared is None else declared
    if total == 0:
        raise InputError(f"{name}: expected samples, got a sound file without any")
    first = min(round(start * file.samplerate), total)
    last = total if stop is None else min(round(min(stop * file.samplerate, total)), total)
    if first >= last:
        raise UsageError(f"{name}: expected a section of {total / file.samplerate:g} s with samples, got start {start} and stop {stop}")
    most = limits.output_samples
    if last - first > most and (declared is not None or stop is not None):
        raise LimitExceeded(f"{name}: {last - first} samples in time, the limit is {most} (Limits.output_samples)")
    if first:
        file.seek(first)
    sound = _read(file, min(last - first, most + 1))
    if len(sound) > most:
        raise LimitExceeded(f"{name}: more than {most} samples in time, the limit (Limits.output_samples)")
    if len(sound) == 0:
        raise InputError(f"{name}: damaged or truncated {file.format} file: expected {last - first} samples, got none")
    notes: tuple[str, ...] = ()
    if declared is not None and len(sound) < last - first:
        notes = (f"damaged or truncated: {len(sound)} of {last - first} samples decoded",)
    if declared is not None and last - first < declared:
        notes += (f"the section from {first / file.samplerate:g} to {last / file.samplerate:g} s of {declared / file.samplerate:g} s",)
    return sound, notes


def _read(file: Any, count: int) -> NDArray[np.float32]:
    """Up to `count` samples from here, (n, c); fewer where the file ends or is damaged."""
    error_type = _soundfile().SoundFileError
    blocks: list[NDArray[np.float32]] = []
    while count > 0:
        block = np.full((min(count, _BLOCK), file.channels), np.nan, np.float32)
        try:
            got = len(file.read(out=block))
        except error_type:  # it does not say how many samples it decoded before
            blank = np.isnan(block).any(axis=1)
            got = int(blank.argmax()) if blank.any() else len(block)
        blocks.append(block[:got])
        count = count - got if got == len(block) else 0
    return np.concatenate(blocks)


def _missing(data: bytes) -> str | None:
    """What the data chunk of a RIFF file states and lacks; None where it is whole, or written by a program that could not know."""
    if data[:4] != b"RIFF":
        return None
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"data":
            held = len(data) - at - 8
            return f"{held} of the {size} bytes of its data chunk" if held < size < 0xFFFF_FF00 else None
        at += 8 + size + size % 2
    return None


def _check_samples(sound: NDArray[np.float32], name: str) -> float:
    """The largest magnitude; raises InputError for NaN and infinity."""
    peak = max(float(sound.max()), -float(sound.min()))
    if math.isfinite(peak):
        return peak
    place = tuple(int(i) for i in np.unravel_index(int(np.argmin(np.isfinite(sound))), sound.shape))
    raise InputError(f"{name}: expected finite samples, got {sound[place]} at sample {place[0]} of channel {place[1]}")


def _signal(sound: NDArray[np.float32], peak: float, *, rate: int, bits: int, name: str, data: bytes, notes: tuple[str, ...]) -> Signal:
    """The signal of samples (n, c), which are scaled in place."""
    samples = sound.copy()
    sound /= np.float32(peak)
    sound *= np.float32(0.5)
    sound += np.float32(0.5)
    n, c = sound.shape
    return Signal(
        kind="audio",
        axes=(Axis("t", n),),
        channels=tuple(Channel(f"ch{k}", "value", -peak, peak) for k in range(c)),
        values=sound,
        samples=samples,
        bits=bits,
        dtype="float32",
        space=Space(spacing=(1 / rate,), units="s"),
        source=name,
        digest=hashlib.sha256(data).hexdigest(),
        notes=notes,
    )


def _rate(space: Space | None) -> int:
    spacing = space.spacing[0] if space is not None and space.spacing else 0.0
    if not (math.isfinite(spacing) and spacing > 0):
        raise UsageError(f"cannot write sound without a sample rate; expected a spacing above 0 seconds, got {spacing}")
    return round(min(1 / spacing, 2.0**62))


def _pcm(codes: NDArray[Any]) -> NDArray[np.int16]:
    """16-bit samples. libsndfile would scale floats by 32767, and read them back divided by 32768."""
    if codes.dtype == np.int16:
        return codes.astype(np.int16, copy=False)
    scale = 32768.0 if codes.dtype.kind == "f" else 1 / 65536
    scaled = np.rint(codes.astype(np.float64) * scale)
    clipped: NDArray[np.float64] = np.clip(np.nan_to_num(scaled), -32768, 32767)
    return clipped.astype(np.int16)


def _plain_serial(data: bytes) -> bytes:
    """An Ogg file with the stream number 1 in place of a random one."""
    pages, at = [], 0
    while at < len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        end = at + 27 + len(lacing) + sum(lacing)
        page = data[at : at + 14] + struct.pack("<I", 1) + data[at + 18 : at + 22] + bytes(4) + data[at + 26 : end]
        pages.append(page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:])
        at = end
    return b"".join(pages)


def _ogg_crc(page: bytes) -> int:
    """Ogg's checksum: the polynomial of zlib's, with the bits in the other order and nothing inverted."""
    mirrored = zlib.crc32(page.translate(_BITS_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
