"""NIfTI-1 and NIfTI-2 files, plain and compressed, through nibabel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError
from inrcodec.limits import Limits
from inrcodec.signals.base import Space
from inrcodec.signals.volume_formats import GZIP, Volume, check_dtype, check_shape, gunzip, gunzip_head, need, samples_of, scaled

UNITS = {"mm": "mm", "meter": "m", "micron": "um"}  # nibabel's name: ours
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}
_SIZES = {348: "Nifti1Header", 540: "Nifti2Header"}
_EXTENSIONS = 64 << 20  # bytes before the samples


def nifti_size(head: bytes) -> int:
    """348 for the first bytes (64 are enough) of a NIfTI-1 or Analyze file, 540 for those of a NIfTI-2 file, else 0."""
    for order in ("little", "big"):
        size = int.from_bytes(head[:4], "little" if order == "little" else "big")
        if size == 348 and 1 <= int.from_bytes(head[40:42], "little" if order == "little" else "big") <= 7:
            return size
        if size == 540 and head[4:7] in (b"n+2", b"ni2"):
            return size
    return 0


def read_nifti(data: bytes, name: str, limits: Limits) -> Volume:
    """A single-file NIfTI of 2 to 5 axes; the last of 4 is time, the fifth the channels. Slope and intercept are applied.

    The affine maps indices (z, y, x) to NIfTI's world: x to the right, y to the front, z up.
    """
    nibabel = need("nibabel")
    zipped = data[:2] == GZIP
    head = gunzip_head(data, name) if zipped else data[:4096]
    size = nifti_size(head)
    magic = head[4:7] if size == 540 else head[344:347]
    if size == 0 or len(head) < size or magic not in (b"n+1", b"n+2"):
        got = "a header without its samples (.hdr and .img)" if magic in (b"ni1", b"ni2") else f"a file beginning with {head[:8]!r}"
        raise InputError(f"{name}: expected a single-file NIfTI{' in gzip data' if zipped else ''}, got {got}")
    header = getattr(nibabel, _SIZES[size])(head[:size], check=False)
    shape, dtype = _shape(header, name), header.get_data_dtype()
    if dtype.names is None:
        check_dtype(dtype, name)
    axes, channels = shape[:4], (*shape, 1)[4] if len(shape) == 5 else 1
    check_shape(axes, name, limits, channels)
    offset = int(header["vox_offset"])
    if not size <= offset <= _EXTENSIONS:
        raise InputError(f"{name}: NIfTI: expected samples from byte {size} on, got the offset {offset}")
    body = gunzip(data, name, offset + math.prod(shape) * dtype.itemsize) if zipped else data
    array = samples_of(memoryview(body)[offset:], dtype, shape, name, order="F").T
    slope, intercept = header.get_slope_inter()
    notes: tuple[str, ...] = ()
    if slope is not None and (slope, intercept) != (1, 0) and array.dtype.names is None:
        notes = (f"{dtype.name} samples times {slope:g} plus {intercept:g} read as floating point",)
        array = scaled(array, slope, intercept)
    array, channels_last = _channels(array, len(shape))
    space, more = _space(header, array.ndim - channels_last)
    return Volume(array=array, channels_last=channels_last, space=space, notes=notes + more)


def _shape(header: Any, name: str) -> tuple[int, ...]:
    """Three to five axes, x first: axes of one sample beyond the third are dropped."""
    shape = [int(n) for n in header.get_data_shape()]
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if not 2 <= len(shape) <= 5:
        raise InputError(f"{name}: NIfTI: expected 2 to 5 axes, got shape {shape}")
    return tuple(shape) if len(shape) > 2 else (*shape, 1)


def _channels(array: NDArray[Any], axes: int) -> tuple[NDArray[Any], bool]:
    """Array (c, t, z, y, x) as (t, z, y, x, c), or (z, y, x, c) where there is one time; colours as channels."""
    if axes == 5:
        array = np.moveaxis(array, 0, -1)
        return (array[0] if array.shape[0] == 1 else array), True
    if array.dtype.names:
        return np.stack([array[field] for field in array.dtype.names], axis=-1), True
    return array, False


def _space(header: Any, axes: int) -> tuple[Space | None, tuple[str, ...]]:
    zooms = [float(zoom) for zoom in header["pixdim"][1:5]]
    try:
        length, time = header.get_xyzt_units()
    except KeyError:
        length, time = "unknown", "unknown"
    placed = int(header["sform_code"]) > 0 or int(header["qform_code"]) > 0
    if not placed and length == "unknown" and set(zooms[:3]) <= {0.0, 1.0}:
        return None, ()  # nothing is stated
    zooms[3] *= 0.0 if time == "unknown" and zooms[3] == 1 else _SECONDS.get(time, 0.0)  # 1 is what writers put who know none
    affine: tuple[float, ...] | None = None
    notes: tuple[str, ...] = ()
    if placed:
        try:
            affine = tuple(float(number) for number in header.get_best_affine()[:, [2, 1, 0, 3]].reshape(-1))
        except Exception:  # a quaternion that is none
            notes = ("the NIfTI orientation is invalid and left out",)
    return Space(tuple(zooms[:axes][::-1]), affine, UNITS.get(length, "")), notes
