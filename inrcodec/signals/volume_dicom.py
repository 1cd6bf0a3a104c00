"""DICOM: a series of slices, or one file of one or several frames, through pydicom."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError, InrError
from inrcodec.limits import Limits
from inrcodec.signals.base import Space
from inrcodec.signals.volume_formats import Volume, check_shape, need, scaled

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_TO_NIFTI = np.array([[-1.0], [-1.0], [1.0]])  # DICOM's world: x to the left, y to the back, z up


@dataclass(frozen=True, kw_only=True)
class _Slice:
    name: str
    data: Any  # pydicom's dataset
    digest: bytes


def is_dicom(data: bytes) -> bool:
    """Whether these are the first bytes (132 are enough) of a DICOM file."""
    return data[128:132] == b"DICM"


def dicom_paths(folder: str) -> list[str]:
    """The DICOM files in a folder but not below it, by name, without an index (DICOMDIR); raises InputError where there are none."""
    found = []
    try:
        for path in sorted(Path(folder).iterdir()):
            if path.is_file() and path.name.upper() != "DICOMDIR":
                with path.open("rb") as file:
                    if is_dicom(file.read(132)):
                        found.append(str(path))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror or error}") from error
    if not found:
        raise InputError(f"{folder}: expected a folder of DICOM files, got none in it")
    return found


def read_dicom(files: Sequence[tuple[str, bytes]], limits: Limits) -> Volume:
    """One series, a file (name, contents) per slice, or the frames of one file; raises InputError, LimitExceeded.

    Slices are sorted along the normal of their planes, else by their number. Rescale slope and intercept are applied; where both are
    whole numbers samples stay integers. The affine maps indices (z, y, x) to NIfTI's world.
    """
    slices = [_open(data, name) for name, data in files]
    frames = [_whole(piece, "NumberOfFrames", 1) for piece in slices]
    first = slices[0]
    rows, columns = (_whole(first, key, 0) for key in ("Rows", "Columns"))
    channels = _whole(first, "SamplesPerPixel", 1)
    _check_series(slices, frames)
    check_shape((sum(frames), rows, columns), first.name, limits, channels)
    slices, notes = _sorted(slices)
    parts = [_samples(piece, frames[0], rows, columns, channels) for piece in slices]
    array, more = _rescaled(slices, parts)
    total = hashlib.sha256()
    for piece in slices:
        total.update(piece.digest)
    digest = total.hexdigest() if len(slices) > 1 else None
    space = _space(slices, len(array))
    return Volume(array=array, channels_last=channels > 1, space=space, notes=notes + more, digest=digest)


def _open(data: bytes, name: str) -> _Slice:
    pydicom = need("pydicom")
    if not is_dicom(data[:132]):
        raise InputError(f"{name}: expected a DICOM file, got one beginning with {data[:8]!r}")
    if _DEFLATED in data[:1024]:
        raise InputError(f"{name}: deflated DICOM is not supported; expected another transfer syntax")
    try:
        dataset = pydicom.dcmread(io.BytesIO(data))
    except Exception as error:
        raise InputError(f"{name}: damaged DICOM file: {' '.join(str(error).split()) or type(error).__name__}") from error
    if not any(key in dataset for key in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(f"{name}: expected a DICOM image, got a file without samples (modality {dataset.get('Modality', 'unknown')})")
    return _Slice(name=name, data=dataset, digest=hashlib.sha256(data).digest())


def _find(piece: _Slice, key: str) -> Any:
    """An element of the file, else of the functional groups that its frames share, else of those of its first frame; or None."""
    if piece.data.get(key) is not None:
        return piece.data.get(key)
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (piece.data.get(groups) or [])[:1]:
            for element in group:
                if element.VR == "SQ" and element.value and element.value[0].get(key) is not None:
                    return element.value[0].get(key)
    return None


def _whole(piece: _Slice, key: str, default: int) -> int:
    found = piece.data.get(key)
    return default if found is None else int(found)


def _numbers(piece: _Slice, key: str, count: int) -> NDArray[np.float64] | None:
    """Finite numbers, or None."""
    try:
        found = np.asarray(_find(piece, key), dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        return None
    return found if found.shape == (count,) and np.isfinite(found).all() else None


def _check_series(slices: list[_Slice], frames: list[int]) -> None:
    first = slices[0]
    if len(slices) > 1 and max(frames) > 1:
        many = slices[int(np.argmax(frames))]
        raise InputError(f"{many.name}: expected one frame in each of {len(slices)} files, got {max(frames)} in this one")
    for piece in slices[1:]:
        for key in ("SeriesInstanceUID", "Rows", "Columns", "SamplesPerPixel"):
            if piece.data.get(key) != first.data.get(key):
                wanted, got = first.data.get(key), piece.data.get(key)
                raise InputError(f"{piece.name}: expected {key} {wanted} as in {first.name}, got {got}: slices of one series only")
        turned, straight = _numbers(piece, "ImageOrientationPatient", 6), _numbers(first, "ImageOrientationPatient", 6)
        if (turned is None) != (straight is None) or (
            turned is not None and straight is not None and np.abs(turned - straight).max() > 1e-3
        ):
            raise InputError(f"{piece.name}: expected the orientation of {first.name}, got another one: slices of one direction only")


def _sorted(slices: list[_Slice]) -> tuple[list[_Slice], tuple[str, ...]]:
    """Slices along the normal of their planes, else by number; raises InputError for two at one place."""
    if len(slices) == 1:
        return slices, ()
    orientation = _numbers(slices[0], "ImageOrientationPatient", 6)
    positions = [_numbers(piece, "ImagePositionPatient", 3) for piece in slices]
    known = [position for position in positions if position is not None]
    if orientation is None or len(known) < len(slices):
        numbers = [piece.data.get("InstanceNumber") for piece in slices]
        if any(number is None for number in numbers):
            raise InputError(f"{slices[0].name}: expected an ImagePositionPatient or an InstanceNumber in every slice")
        order = sorted(range(len(slices)), key=lambda k: int(numbers[k]))
        return [slices[k] for k in order], ("slices in the order of their numbers: they have no positions",)
    places = np.array(known) @ np.cross(orientation[:3], orientation[3:])
    order = [int(k) for k in np.argsort(places, kind="stable")]
    steps = np.diff(places[order])
    typical = float(np.median(steps))
    close = int(np.argmin(steps))
    if steps[close] <= 1e-3 * typical or typical <= 0:
        pair = slices[order[close]].name, slices[order[close + 1]].name
        raise InputError(f"{pair[1]}: expected slices at different places, got that of {pair[0]}")
    notes: tuple[str, ...] = ()
    if float(steps.max() - steps.min()) > 0.01 * typical:
        notes = (f"slices are {steps.min():g} to {steps.max():g} mm apart; read as evenly spaced",)
    return [slices[k] for k in order], notes


def _samples(piece: _Slice, frames: int, rows: int, columns: int, channels: int) -> NDArray[Any]:
    """Samples as stored: (frames, rows, columns), or (frames, rows, columns, channels)."""
    try:
        array = np.asarray(piece.data.pixel_array)
        return array.reshape(frames, rows, columns, *([channels] if channels > 1 else []))
    except InrError:
        raise
    except Exception as error:
        syntax = getattr(getattr(piece.data, "file_meta", None), "TransferSyntaxUID", None)
        kind = getattr(syntax, "name", "unknown transfer syntax")
        raise InputError(f"{piece.name}: DICOM samples ({kind}) cannot be read: {' '.join(str(error).split())}") from error


def _rescaled(slices: list[_Slice], parts: list[NDArray[Any]]) -> tuple[NDArray[Any], tuple[str, ...]]:
    """All samples in one array, with slope and intercept of each slice."""
    pairs = []
    for piece in slices:
        slope, intercept = _numbers(piece, "RescaleSlope", 1), _numbers(piece, "RescaleIntercept", 1)
        if slope is not None and slope[0] == 0:
            raise InputError(f"{piece.name}: RescaleSlope: expected a number other than 0, which makes all samples alike")
        pairs.append((1.0 if slope is None else float(slope[0]), 0.0 if intercept is None else float(intercept[0])))
    whole = all(slope.is_integer() and intercept.is_integer() and max(abs(slope), abs(intercept)) < 2**31 for slope, intercept in pairs)
    stored = parts[0].dtype
    if any(part.dtype != stored for part in parts) or stored.kind not in "iu":
        whole = False
    if set(pairs) == {(1.0, 0.0)} and all(part.dtype == stored for part in parts):
        return np.concatenate(parts), ()
    if not whole:
        floats = [scaled(part, slope, intercept) for part, (slope, intercept) in zip(parts, pairs, strict=True)]
        return np.concatenate(floats), ("rescaled samples read as floating point",)
    sums = [part.astype(np.int64) * int(slope) + int(intercept) for part, (slope, intercept) in zip(parts, pairs, strict=True)]
    low, high = min(int(part.min()) for part in sums), max(int(part.max()) for part in sums)
    for dtype in (stored, np.dtype(np.int16), np.dtype(np.uint16), np.dtype(np.int32)):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.concatenate([part.astype(dtype) for part in sums]), ()
    return np.concatenate([part.astype(np.float64) for part in sums]), ("rescaled samples read as float64",)


def _space(slices: list[_Slice], count: int) -> Space | None:
    """Millimetres; the step from slice to slice from their positions, else from what the file says of slices."""
    first = slices[0]
    pixels = _numbers(first, "PixelSpacing", 2)
    if pixels is None:
        return None
    between = next((s for s in (_numbers(first, key, 1) for key in ("SpacingBetweenSlices", "SliceThickness")) if s is not None), None)
    step = 0.0 if between is None else abs(float(between[0]))
    orientation, origin = _numbers(first, "ImageOrientationPatient", 6), _numbers(first, "ImagePositionPatient", 3)
    affine = None
    if orientation is not None and origin is not None:
        normal = np.cross(orientation[:3], orientation[3:])
        last = _numbers(slices[-1], "ImagePositionPatient", 3)
        along = normal * step
        if len(slices) > 1 and last is not None:
            along = (last - origin) / (len(slices) - 1)
        elif count > 1 and (end := _last_frame(first)) is not None:
            along = (end - origin) / (count - 1)
        step = float(np.linalg.norm(along))
        matrix = np.eye(4)
        matrix[:3] = _TO_NIFTI * np.stack([along, orientation[3:] * pixels[0], orientation[:3] * pixels[1], origin], axis=1)
        affine = tuple(float(number) for number in matrix.reshape(-1) + 0.0) if min(step, *pixels) > 0 else None
    return Space((step, float(pixels[0]), float(pixels[1])), affine, "mm")


def _last_frame(piece: _Slice) -> NDArray[np.float64] | None:
    for group in (piece.data.get("PerFrameFunctionalGroupsSequence") or [])[-1:]:
        for place in group.get("PlanePositionSequence") or ():
            found = np.asarray(place.get("ImagePositionPatient"), dtype=np.float64)
            return found if found.shape == (3,) and np.isfinite(found).all() else None
    return None
