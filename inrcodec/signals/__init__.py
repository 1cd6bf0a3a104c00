"""Signals: what can be encoded, and where it comes from."""

import os
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals import audio, field, image, image_write, shape, shape_signal, video, volume, volume_write, volume_zarr
from inrcodec.signals import frames as sequence
from inrcodec.signals.base import Modality, Samples, Signal, Slabs
from inrcodec.signals.shape_signal import ShapeSignal
from inrcodec.spec import SIGNATURE

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any]

# Asked in this order, first by the content alone, then by the suffix too.
MODALITIES: tuple[Modality, ...] = (
    Modality(
        "image", ("y", "x"), image_write.SUFFIXES, image.accepts, image.read_image, image_write.write_image,
        image_write.stream_image, image_write.STREAMED,
    ),
    Modality(
        "volume", ("z", "y", "x"), volume_write.SUFFIXES, volume.accepts, volume.read_volume, volume_write.write_volume,
        volume_write.stream_volume, volume_write.SUFFIXES,
    ),
    Modality("audio", ("t",), audio.SUFFIXES, audio.accepts, audio.read_audio, audio.write_audio),
    Modality("video", ("t", "y", "x"), video.SUFFIXES, video.accepts, video.read_video, video.write_video),
    Modality(
        "shape", ("z", "y", "x"), volume_write.SUFFIXES, shape.accepts, shape_signal.read_shape_signal, volume_write.write_volume,
        volume_write.stream_volume, volume_write.SUFFIXES,
    ),
    Modality("field", field.AXES, field.SUFFIXES, field.accepts, field.read_field, field.write_field, field.stream_field, field.SUFFIXES),
)  # fmt: skip
_NO_TIME = "start, stop: expected sound or video, got {}"
_EXPECTED = "an image, a volume, sound, video or a shape"


def read_signal(
    source: Source,
    *,
    kind: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    strip: bool = False,
    frames: int | None = None,
    rate: float | None = None,
    start: float | None = None,
    stop: float | None = None,
    protocol: str | None = None,
    sign: str | None = None,
) -> Signal | ShapeSignal:
    """The signal in a file (path, bytes or binary file object), a folder or a NumPy array, known by its content, then by its suffix.

    A folder holds a Zarr array, as a zip file may, the slices of one DICOM series, or pictures that are the frames of a video, as the files
    of a pattern such as frames/%04d.png are: `rate` frames a second (25 if None), the first `frames` of them.
    An array (h, w) or (h, w, 1..4) is an image, any other of three or four axes a volume.
    `kind` says which kind of signal it is to be, where the content leaves a choice. `strip` leaves out EXIF and XMP, and keeps the ICC
    profile, which is part of what colours mean. `start` and `stop` are seconds of sound or video. `protocol` and `sign` are for shapes:
    see shape_signal.py and shape.py. Raises InputError for what cannot be read, LimitExceeded for what is larger than `limits` allow,
    UsageError for an unknown kind and for options of another kind.
    """
    if kind is not None and kind not in (m.kind for m in MODALITIES):
        raise UsageError(f"kind: expected one of {', '.join(m.kind for m in MODALITIES)}, got {kind}")
    timed = start is not None or stop is not None
    if timed and (isinstance(source, np.ndarray) or (isinstance(source, str | os.PathLike) and os.path.isdir(source))):
        raise UsageError(_NO_TIME.format("an array" if isinstance(source, np.ndarray) else "a folder"))
    if isinstance(source, np.ndarray):
        _only_of_shapes(protocol, sign, "an array")
        return _from_array(source, kind, limits)
    if isinstance(source, str | os.PathLike) and kind in (None, "volume") and volume_zarr.is_zarr(os.fspath(source)):
        for option, value in (("frames", frames), ("rate", rate), ("start", start), ("stop", stop)):
            if value is not None:
                raise UsageError(f"{option}: expected sound or video, got a Zarr array")
        _only_of_shapes(protocol, sign, "a Zarr array")
        return volume.read_zarr_volume(os.fspath(source), limits=limits)
    if isinstance(source, str | os.PathLike) and kind in (None, "video") and _is_sequence(os.fspath(source), kind):
        return sequence.read_sequence(os.fspath(source), rate=rate, frames=frames, limits=limits, strip=strip)
    if rate is not None:
        raise UsageError("rate: expected a folder or a pattern of pictures, whose frames have no times of their own")
    if isinstance(source, str | os.PathLike) and os.path.isdir(source):
        if kind not in (None, "volume"):
            raise UsageError(f"kind: expected volume or video for the folder {os.fspath(source)}, got {kind}")
        _only_of_shapes(protocol, sign, "a folder")
        return volume.read_dicom_series(volume.dicom_paths(os.fspath(source)), limits=limits, strip=strip)
    data, name = _load(source)
    if not data:
        raise InputError(f"{name}: expected {_EXPECTED}, got an empty file")
    if data.startswith(SIGNATURE):
        raise InputError(f"{name}: this .inr is already encoded; expected {_EXPECTED}")
    modality = modality_of(data, name) if kind is None else next(m for m in MODALITIES if m.kind == kind)
    if modality is None:
        raise InputError(f"{name}: expected {_EXPECTED}, got a file beginning with {data[:8]!r}")
    if modality.kind == "shape":
        if timed or frames is not None:
            raise UsageError(f"{name}: frames, start, stop: expected sound or video, got a shape")
        return shape_signal.read_shape_signal(data, name, limits=limits, protocol=protocol or "default", sign=sign or "winding")
    _only_of_shapes(protocol, sign, f"{name}: {modality.kind}")
    if frames is not None:
        if modality.kind != "video":
            raise UsageError(f"{name}: frames: expected a video, got {modality.kind}")
        return video.read_video(data, name, limits=limits, strip=strip, frames=frames, start=start, stop=stop)
    if timed and modality.axes[0] != "t":
        raise UsageError(_NO_TIME.format(f"{name}, {modality.kind}"))
    times: dict[str, Any] = {"start": start, "stop": stop} if timed else {}
    signal = modality.read(data, name, limits=limits, strip=strip, **times)
    assert isinstance(signal, Signal)
    return signal


def is_known(head: bytes, name: str) -> bool:
    """Whether some reader takes a file with these first bytes (132 are enough) and this name; an .inr is none that is read here."""
    return bool(head) and not head.startswith(SIGNATURE) and modality_of(head, name) is not None


def _only_of_shapes(protocol: str | None, sign: str | None, what: str) -> None:
    for option, value in (("protocol", protocol), ("sign", sign)):
        if value is not None:
            raise UsageError(f"{option}: expected a shape, got {what}")


def _is_sequence(name: str, kind: str | None) -> bool:
    """Whether a name stands for the frames of a video: a pattern, or a folder that holds pictures or is said to be a video."""
    return (kind == "video" or bool(sequence.sequence_paths(name))) if os.path.isdir(name) else sequence.is_pattern(name)


def modality_of(data: bytes | mmap, name: str) -> Modality | None:
    """The kind of signal that a file of these bytes and this name is, where the user says none."""
    # Raw samples may begin as anything; a stack and DICOM are not told by their first bytes.
    stacked = Path(name).suffix.lower() in (".raw", ".json") or volume.is_dicom(data[:132]) or volume.is_stack(data)
    for suffix in ("", Path(name).suffix.lower()):
        for modality in MODALITIES:
            if modality.kind == "volume" if stacked else modality.accepts(data[:64], suffix):
                return modality
    return None


def _from_array(array: NDArray[Any], kind: str | None, limits: Limits) -> Signal:
    if np.ma.is_masked(array):
        raise InputError("<array>: expected an array without masked samples; of a volume, NaN stands for what is missing: filled(np.nan)")
    if kind not in (None, "image", "volume"):
        raise UsageError(f"an array is read as an image or a volume, not as {kind}; give a Signal")
    picture = array.ndim <= 2 or (array.ndim == 3 and array.shape[-1] <= 4)
    if kind == "image" or (kind is None and picture):
        return image.image_from_array(array, limits=limits)
    return volume.volume_from_array(array, limits=limits)


def writer_for(kind: str, suffix: str) -> Callable[[Samples, str], bytes]:
    """The function (samples, suffix) -> bytes for this kind; raises UsageError for an unknown kind or suffix."""
    return _writer(kind, suffix).write


def stream_for(kind: str, suffix: str) -> Callable[[Slabs, str, IO[bytes]], None] | None:
    """The function (slabs, suffix, file) that writes part by part, or None where there is none; raises as `writer_for` does."""
    modality = _writer(kind, suffix)
    return modality.stream if suffix in modality.streamed else None


def _writer(kind: str, suffix: str) -> Modality:
    for modality in MODALITIES:
        if modality.kind == kind:
            if suffix not in modality.suffixes:
                raise UsageError(f"cannot write {kind} as {suffix!r}; expected one of {' '.join(modality.suffixes)}")
            return modality
    raise UsageError(f"cannot write signals of kind {kind!r}; expected one of {' '.join(m.kind for m in MODALITIES)}")


def side_files(slabs: Slabs, name: str, suffix: str) -> dict[str, bytes]:
    """What has to lie beside the file `name` written with `suffix` for it to be read again, by name."""
    if suffix != ".raw":
        return {}
    return {os.fspath(Path(name).with_suffix(".json")): volume_write.raw_sidecar(slabs, Path(name).name)}


def _load(source: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "<bytes>"
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        try:
            return Path(name).read_bytes(), name
        except FileNotFoundError as error:
            raise InputError(f"{name}: no such file") from error
        except IsADirectoryError as error:
            raise InputError(f"{name}: expected a file, got a directory") from error
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise InputError(f"{name!r}: not a file name: {error}") from error
    if not hasattr(source, "read"):
        raise UsageError(f"expected a path, bytes, a binary file object or a NumPy array, got {type(source).__name__}")
    name = str(getattr(source, "name", "<stream>"))
    try:
        data = source.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: expected a file object opened in binary mode, got one that reads {type(data).__name__}")
    return data, name
