"""Volumes: files and arrays of three axes (z, y, x), or four with time before them, to signals."""

import hashlib
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, InrError, LimitExceeded
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Axis, Channel, Signal, Space
from inrcodec.signals.volume_dicom import dicom_paths, is_dicom, read_dicom
from inrcodec.signals.volume_formats import (
    GZIP,
    Volume,
    check_dtype,
    check_shape,
    read_inrimage,
    read_npy,
    read_npz,
    read_raw,
    read_sidecar,
    slabs,
)
from inrcodec.signals.volume_nifti import nifti_size, read_nifti
from inrcodec.signals.volume_nrrd import read_nrrd
from inrcodec.signals.volume_tiff import TIFF, is_stack, read_tiff
from inrcodec.signals.volume_zarr import read_zarr
from inrcodec.spec import DTYPES, INRIMAGE_SIGNATURE

__all__ = ["FORMATS", "accepts", "dicom_paths", "is_dicom", "is_stack", "read_dicom_series", "read_volume", "volume_from_array"]

FORMATS = "NIfTI, NRRD, DICOM, TIFF stack, .npy, .npz, .raw with .json, Inrimage, Zarr"
_Reader = Callable[[bytes, str, Limits], Volume]


def _read_one_dicom(data: bytes, name: str, limits: Limits) -> Volume:
    return read_dicom([(name, data)], limits)


_READERS: dict[str, _Reader] = {
    ".npy": read_npy,
    ".npz": read_npz,
    ".raw": read_raw,
    ".json": read_sidecar,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".dcm": _read_one_dicom,
    ".dicom": _read_one_dicom,
    ".ima": _read_one_dicom,
    ".inrimage": read_inrimage,
}
_LOGGERS = ("tifffile", "pydicom", "nibabel", "nibabel.global")


def _reader_of(head: bytes) -> _Reader | None:
    """The reader for a file with these first bytes, where they tell."""
    if head.startswith(b"\x93NUMPY"):
        return read_npy
    if head.startswith(b"PK\x03\x04") and b".npy" in head[30:]:
        return read_npz
    if head.startswith(b"NRRD000"):
        return read_nrrd
    if head.startswith(INRIMAGE_SIGNATURE):
        return read_inrimage
    return read_nifti if head.startswith(GZIP) or nifti_size(head) else None


def accepts(head: bytes, suffix: str) -> bool:
    """Whether `read_volume` takes a file with these first bytes (64 are enough), for an empty suffix by them alone.

    No TIFF is accepted, whose first bytes are those of an image: ask `is_stack`. Of a raw file the suffix alone tells. DICOM files
    have no signature in their first 64 bytes: ask `is_dicom`, or let the suffix tell.
    """
    if suffix == ".json":
        return head.lstrip().startswith(b"{")
    return suffix in _READERS or _reader_of(head) is not None


def read_volume(data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """A volume file as a signal. A raw file, its description or a detached header is completed by the file beside `name`.

    Raises InputError for what is damaged or not supported, LimitExceeded for more than `limits.output_samples`, BackendMissing where
    the package that reads this format is not installed. `strip` changes nothing: nothing but the samples and their place is kept.
    """
    suffix = Path(name).suffix.lower()
    reader: _Reader | None
    if suffix in (".raw", ".json"):
        reader = _READERS[suffix]
    elif is_dicom(data[:132]):
        reader = _read_one_dicom
    elif data[:4] in TIFF:
        reader = read_tiff
    else:
        reader = _reader_of(data[:64]) or _READERS.get(suffix)
    if reader is None:
        raise InputError(f"{name}: expected a volume ({FORMATS}), got a file beginning with {data[:8]!r}")
    with guarded(name):
        return _signal(reader(data, name, limits), name, limits, lambda: hashlib.sha256(data).hexdigest())


def read_dicom_series(paths: Sequence[str], *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """The slices of one DICOM series, in any order, as a volume; its digest is that of its slices' digests from first to last.

    Raises InputError naming the file that does not fit, LimitExceeded, BackendMissing; see `dicom_paths` for a folder.
    """
    if not paths:
        raise InputError("expected DICOM files, got none")
    files = []
    for path in paths:
        try:
            files.append((path, Path(path).read_bytes()))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    name = paths[0] if len(paths) == 1 else os.path.dirname(paths[0]) or "."
    with guarded(name):
        return _signal(read_dicom(files, limits), name, limits, lambda: hashlib.sha256(files[0][1]).hexdigest())


def read_zarr_volume(path: str, *, limits: Limits = DEFAULT_LIMITS) -> Signal:
    """A Zarr array, a folder or a zip file, as a volume. Raises InputError, LimitExceeded, BackendMissing."""
    with guarded(path):
        return _signal(read_zarr(path, limits), path, limits, str)


def volume_from_array(
    array: NDArray[Any],
    *,
    limits: Limits = DEFAULT_LIMITS,
    channels_last: bool = False,
    space: Space | None = None,
    notes: Sequence[str] = (),
    source: str = "<array>",
    digest: str | None = None,
) -> Signal:
    """An array (z, y, x) or (t, z, y, x), with `channels_last` (..., c), of real numbers as a signal.

    Values are (x - low) / (high - low) of the lowest and highest finite sample of each channel. Where one is NaN or infinite the sample
    is missing in all channels: weight 0, the mean as value. Without `digest` that of the array's bytes in C order.
    Raises InputError for other shapes and types and for no finite sample, LimitExceeded for more than `limits.output_samples`.
    """
    array = np.asarray(array)
    axes = array.shape[: array.ndim - channels_last]
    if len(axes) not in (3, 4):
        wanted = "(z, y, x, c) or (t, z, y, x, c)" if channels_last else "(z, y, x) or (t, z, y, x)"
        raise InputError(f"{source}: a volume: expected shape {wanted}, got {array.shape}")
    check_shape(axes, source, limits, array.shape[-1] if channels_last else 1)
    check_dtype(array.dtype, source)
    if digest is None:
        digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    array, converted = _plain(array, source)
    samples = array if channels_last else array[..., None]
    with np.errstate(all="ignore"):
        missing = None if array.dtype.kind in "iu" else ~np.isfinite(samples).all(axis=-1)
    missing = missing if missing is not None and missing.any() else None
    ranges = _ranges(samples, missing, source)
    space, dropped = usable_space(space, len(axes))
    lost = 0 if missing is None else int(np.count_nonzero(missing))
    told = (f"{lost} of {missing.size} samples are NaN or infinite and read as missing",) if missing is not None else ()
    values, weights = values_of(samples, ranges, missing)
    return Signal(
        kind="volume",
        axes=volume_axes(axes),
        channels=volume_channels(ranges),
        values=values,
        samples=samples,
        weights=weights,
        missing=missing,
        bits=bits_of(ranges, array.dtype),
        dtype=array.dtype.name,
        space=space,
        source=source,
        digest=digest,
        notes=(*notes, *converted, *dropped, *told),
    )


def _signal(volume: Volume, name: str, limits: Limits, digest: Callable[[], str]) -> Signal:
    return volume_from_array(
        volume.array,
        limits=limits,
        channels_last=volume.channels_last,
        space=volume.space,
        notes=volume.notes,
        source=name,
        digest=volume.digest or digest(),
    )


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Readers warn, log and raise nearly anything on damaged files: nothing but one InputError leaves."""
    loggers = [logging.getLogger(logger) for logger in _LOGGERS]
    before = [logger.disabled for logger in loggers]
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.disabled = True
            yield
    except InrError as error:  # may quote a line end of the file
        raise type(error)(" ".join(str(error).splitlines())) from error
    except MemoryError as error:
        raise LimitExceeded(f"{name}: the volume does not fit into memory") from error
    except Exception as error:
        raise InputError(f"{name}: damaged or unsupported volume: {' '.join(str(error).split()) or type(error).__name__}") from error
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def volume_channels(ranges: Sequence[tuple[float, float]]) -> tuple[Channel, ...]:
    names = ["value"] if len(ranges) == 1 else [f"value{k}" for k in range(len(ranges))]
    return tuple(Channel(title, "value", low, high) for title, (low, high) in zip(names, ranges, strict=True))


def volume_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """The longest axis spans [-1, 1], the others as much as they have samples of it."""
    longest = max(shape)
    names = ("t", "z", "y", "x")[-len(shape) :]
    return tuple(Axis(name, n, -n / longest, n / longest) for name, n in zip(names, shape, strict=True))


def _plain(array: NDArray[Any], name: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The array in a type of spec.DTYPES and native byte order; raises InputError where none holds every sample."""
    dtype = array.dtype.newbyteorder("=")
    if dtype == np.bool_:
        return array.view(np.uint8), ()
    if dtype.name in DTYPES:
        return array.astype(dtype, copy=False), ()
    narrow = narrow_integers(int(array.min()), int(array.max())) if dtype.kind in "iu" else None
    with np.errstate(all="ignore"):
        converted = array.astype(narrow or np.float64)
        back = converted.astype(dtype)
    if not np.array_equal(back, array, equal_nan=dtype.kind == "f"):
        raise InputError(
            f"{name}: samples: expected a type of {' '.join(DTYPES)}, got {dtype.name} samples that none of them holds exactly"
        )
    return converted, (f"{dtype.name} samples read as {converted.dtype.name}",)


def narrow_integers(low: int, high: int) -> np.dtype[Any] | None:
    """int32 or uint32, which holds all from `low` to `high`, or None."""
    types = (np.dtype(np.int32), np.dtype(np.uint32))
    return next((dtype for dtype in types if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max), None)


def _ranges(samples: NDArray[Any], missing: NDArray[np.bool_] | None, name: str) -> list[tuple[float, float]]:
    """Per channel the lowest and highest sample that counts."""
    ranges = []
    for k in range(samples.shape[-1]):
        plane = samples[..., k] if missing is None else samples[..., k][~missing]
        if plane.size == 0:
            raise InputError(f"{name}: samples: expected finite numbers, got NaN or infinity alone")
        ranges.append(usable_range(float(plane.min()), float(plane.max()), samples.dtype, name))
    return ranges


def usable_range(low: float, high: float, dtype: np.dtype[Any], name: str) -> tuple[float, float]:
    """The numbers that 0 and 1 stand for, of the lowest and highest sample; raises InputError for a range beyond float64."""
    if high == low and dtype.kind in "iu" and low == np.iinfo(dtype).max:
        low -= 1  # decoded samples stay within their type
    elif high == low:
        high = low + max(1.0, float(np.spacing(abs(low))))
    if not np.isfinite(high - low):
        raise InputError(f"{name}: samples: expected a range that float64 holds, got {low:g} to {high:g}")
    return low, high


def values_of(
    samples: NDArray[Any], ranges: list[tuple[float, float]], missing: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Values and weights (*axes, channels), weights where something is missing."""
    values = np.empty(samples.shape, np.float32)
    low, high = (np.array(numbers) for numbers in zip(*ranges, strict=True))
    with np.errstate(all="ignore"):
        for slab in slabs(samples.shape[:-1]):
            values[slab] = (samples[slab].astype(np.float64) - low) / (high - low)
    if missing is None:
        return values, None
    valid = ~missing
    for k in range(samples.shape[-1]):
        values[..., k][missing] = values[..., k].mean(where=valid, dtype=np.float64)
    weights = np.empty_like(values)
    weights[...] = valid[..., None]
    return values, weights


def bits_of(ranges: list[tuple[float, float]], dtype: np.dtype[Any]) -> int:
    if dtype.kind not in "iu":
        return 16
    return min(16, max(int(high - low).bit_length() for low, high in ranges))


def usable_space(space: Space | None, axes: int) -> tuple[Space | None, tuple[str, ...]]:
    """The space without numbers that mean nothing, and notes on what was left out."""
    if space is None:
        return None, ()
    spacing = tuple(abs(float(s)) if np.isfinite(s) else 0.0 for s in space.spacing)
    affine = space.affine
    notes: tuple[str, ...] = ()
    if affine is not None and (len(affine) != 16 or not np.isfinite(affine).all()):
        affine, notes = None, ("an orientation that is not of finite numbers is left out",)
    if len(spacing) != axes:
        spacing = (0.0,) * axes
    if affine is None and not any(spacing):
        return None, notes
    return replace(space, spacing=spacing, affine=affine), notes
