"""Volumes in files of one plain array (.npy, .npz, raw, Inrimage), and what the readers of all volume formats share."""

import hashlib
import importlib
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, InputError, LimitExceeded
from inrcodec.limits import Limits
from inrcodec.signals.base import Space
from inrcodec.spec import INRIMAGE_SIGNATURE

GZIP = b"\x1f\x8b"
INRIMAGE_PADDING = 256  # the header is a multiple of this long
MAX_CHANNELS = 4096  # of a container
_SLACK = 1 << 16  # decompressed beyond what is needed, to reach the checksum at the end
_CHUNK = 1 << 20  # compressed bytes at a time
_SLAB = 1 << 20  # samples computed at a time in float64
_SIDECAR_BYTES = 1 << 20
_INRIMAGE_HEADER = 1 << 16
_INRIMAGE_TYPES = {"unsigned fixed": "u", "signed fixed": "i", "fixed": "u", "float": "f"}
_INRIMAGE_ORDERS = {"decm": "<", "alpha": "<", "pc": "<", "sun": ">", "sgi": ">"}


@dataclass(frozen=True, kw_only=True)
class Volume:
    """What a file holds: array (*axes) or, with channels_last, (*axes, c), slowest axis first; digest None: that of the file's bytes."""

    array: NDArray[Any]
    channels_last: bool = False
    space: Space | None = None
    notes: tuple[str, ...] = ()
    digest: str | None = None


def need(package: str) -> Any:
    """The module; raises BackendMissing naming the extra where it is not installed."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise BackendMissing(f"this volume format needs {package}, which is not installed: pip install inrcodec[volume]") from error


def check_shape(shape: Sequence[int], name: str, limits: Limits, channels: int = 1) -> None:
    """Before anything of this size is allocated; raises InputError for an empty axis, LimitExceeded for too many samples."""
    if not shape or any(n < 1 for n in shape) or channels < 1:
        raise InputError(
            f"{name}: shape: expected at least one sample along every axis, got {[int(n) for n in shape]} x {channels} channels"
        )
    if channels > MAX_CHANNELS:
        raise InputError(f"{name}: channels: expected at most {MAX_CHANNELS}, got {channels}")
    samples = math.prod(int(n) for n in shape)
    if samples > limits.output_samples:
        text = "x".join(str(n) for n in shape)
        raise LimitExceeded(f"{name}: {text} is {samples} samples, the limit is {limits.output_samples} (Limits.output_samples)")


def samples_of(data: bytes | memoryview, dtype: np.dtype[Any], shape: Sequence[int], name: str, *, order: str = "C") -> NDArray[Any]:
    """The first samples of `data` as an array that shares its memory; raises InputError where it is too short."""
    size = math.prod(int(n) for n in shape) * dtype.itemsize
    if len(data) < size:
        raise InputError(f"{name}: truncated: expected {size} bytes of samples, got {len(data)}")
    flat: NDArray[Any] = np.frombuffer(memoryview(data)[:size], dtype)
    return flat.reshape(tuple(shape), order="F" if order == "F" else "C")


def gunzip(data: bytes | memoryview, name: str, needed: int) -> bytes:
    """At least the first `needed` bytes of a gzip file, hardly more; raises InputError where it is damaged or cut off."""
    found, ended = _inflate(data, name, needed + _SLACK)
    if not ended and len(found) < needed + _SLACK:
        raise InputError(f"{name}: truncated gzip data: it ends at byte {len(data)}, after {len(found)} bytes decompressed")
    return found


def gunzip_head(data: bytes, name: str, size: int = 4096) -> bytes:
    """At most the first `size` bytes of a gzip file."""
    return _inflate(data, name, size)[0]


def _inflate(data: bytes | memoryview, name: str, cap: int) -> tuple[bytes, bool]:
    """At most `cap` bytes of a gzip file of one or several members, and whether a member, with its checksum, ended there."""
    parts: list[bytes] = []
    size = at = 0
    view = memoryview(data)
    stream: Any = None
    try:
        while at < len(view) and size < cap:
            if stream is None:
                if parts and view[at] == 0:  # padding
                    break
                stream = zlib.decompressobj(31)
            chunk = view[at : at + _CHUNK]
            parts.append(stream.decompress(chunk, cap - size))
            size += len(parts[-1])
            at += len(chunk) - len(stream.unused_data) - len(stream.unconsumed_tail)
            if stream.eof:
                stream = None
    except zlib.error as error:
        raise InputError(f"{name}: damaged gzip data near byte {at}: {error}") from error
    return b"".join(parts), stream is None


def beside(name: str, file: str) -> tuple[bytes, str]:
    """Contents and path of the file named `file` in the folder of the file `name`; raises InputError."""
    if not file or file != Path(file).name or "\\" in file or "\0" in file:
        raise InputError(f"{name}: expected the plain name of a file in the same folder, got {file!r}")
    path = Path(name).parent / file
    try:
        return path.read_bytes(), str(path)
    except OSError as error:
        raise InputError(f"{name}: needs the file {path}, which cannot be read: {error.strerror or error}") from error


def read_npy(data: bytes, name: str, limits: Limits) -> Volume:
    """A .npy file of three axes (z, y, x) or four (t, z, y, x)."""
    shape, fortran, dtype, at = npy_header(data, name)
    check_shape(shape, name, limits)
    return Volume(array=samples_of(memoryview(data)[at:], dtype, shape, name, order="F" if fortran else "C"))


def read_npz(data: bytes, name: str, limits: Limits) -> Volume:
    """An .npz file of one array, or its array named data or arr_0."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [entry[:-4] for entry in archive.namelist() if entry.endswith(".npy")]
        chosen = names if len(names) == 1 else [wanted for wanted in ("data", "arr_0") if wanted in names]
        if not chosen:
            raise InputError(f"{name}: expected one array, or one named data or arr_0, got {', '.join(names) or 'none'}")
        notes = (f"the array {chosen[0]!r}; left out: {', '.join(n for n in names if n != chosen[0])}",) if len(names) > 1 else ()
        with archive.open(chosen[0] + ".npy") as member:
            head = member.read(1 << 16)
            shape, fortran, dtype, at = npy_header(head, name)
            check_shape(shape, name, limits)
            size = math.prod(shape) * dtype.itemsize
            body = head[at:] + member.read(max(0, size - len(head) + at))
            member.read(1)  # the end, where the checksum is compared
    array = samples_of(body, dtype, shape, name, order="F" if fortran else "C")
    return Volume(array=array, notes=notes)


def npy_header(data: bytes, name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran order, dtype, and the offset of the samples."""
    file = io.BytesIO(data[: 1 << 16])
    try:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"expected version 1.0 or 2.0, got {version[0]}.{version[1]}")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except Exception as error:
        raise InputError(f"{name}: damaged .npy header: {' '.join(str(error).split())}") from error
    check_dtype(dtype, name)
    if len(shape) not in (3, 4):
        raise InputError(f"{name}: a volume: expected an array of 3 axes (z, y, x) or 4 (t, z, y, x), got shape {shape}")
    return tuple(int(n) for n in shape), fortran, dtype, file.tell()


def check_dtype(dtype: np.dtype[Any], name: str) -> None:
    """Raise InputError for what are not real numbers."""
    if dtype.kind not in "biuf":
        raise InputError(f"{name}: samples: expected integers or floating point numbers, got {dtype}")


def read_raw(data: bytes, name: str, limits: Limits) -> Volume:
    """Plain samples; what they are stands beside them in the file of the same name with .json."""
    side, side_name = beside(name, Path(name).with_suffix(".json").name)
    return _raw(data, name, _sidecar(side, side_name), side_name, limits)


def read_sidecar(data: bytes, name: str, limits: Limits) -> Volume:
    """A .json that describes a raw file: its key "file", else the same name with .raw."""
    sidecar = _sidecar(data, name)
    file = sidecar.get("file", Path(name).with_suffix(".raw").name)
    if not isinstance(file, str):
        raise InputError(f"{name}: file: expected the name of the raw file, got {file!r}")
    raw, raw_name = beside(name, file)
    return _raw(raw, raw_name, sidecar, name, limits)


def _sidecar(data: bytes, name: str) -> dict[str, Any]:
    if len(data) > _SIDECAR_BYTES:
        raise InputError(f"{name}: expected a JSON description of at most {_SIDECAR_BYTES} bytes, got {len(data)}")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: expected the JSON description of a raw volume: {error}") from error
    if not isinstance(found, dict) or "shape" not in found or "dtype" not in found:
        raise InputError(f"{name}: expected a JSON object with shape and dtype, the description of a raw volume")
    return found


def _raw(data: bytes, name: str, sidecar: dict[str, Any], side_name: str, limits: Limits) -> Volume:
    shape, channels = sidecar["shape"], sidecar.get("channels", 1)
    if not isinstance(shape, list) or not all(type(n) is int for n in (*shape, channels)) or len(shape) not in (3, 4):
        raise InputError(f"{side_name}: shape: expected a list of 3 or 4 whole numbers, got {shape!r}, channels {channels!r}")
    check_shape(shape, side_name, limits, channels)
    order = str(sidecar.get("order", "C"))[:1].upper()
    if order not in ("C", "F"):
        raise InputError(f"{side_name}: order: expected C or F, got {sidecar['order']!r}")
    dtype = _sidecar_dtype(sidecar, side_name)
    full = (*shape, channels) if channels > 1 else tuple(shape)
    size = math.prod(full) * dtype.itemsize
    if len(data) != size:
        raise InputError(f"{name}: size: expected {size} bytes ({'x'.join(map(str, full))} {dtype.name}), got {len(data)}")
    return Volume(
        array=samples_of(data, dtype, full, name, order=order),
        channels_last=channels > 1,
        space=described_space(sidecar, len(shape)),
        digest=hashlib.sha256(data).hexdigest(),
    )


def _sidecar_dtype(sidecar: dict[str, Any], name: str) -> np.dtype[Any]:
    text, order = sidecar["dtype"], sidecar.get("byteorder")
    if order not in (None, "little", "big"):
        raise InputError(f"{name}: byteorder: expected little or big, got {order!r}")
    try:
        dtype = np.dtype(text if isinstance(text, str) else "")
    except TypeError as error:
        raise InputError(f"{name}: dtype: expected the name of a NumPy type, got {text!r}") from error
    check_dtype(dtype, name)
    if order is None and text[:1] in "<>":
        return dtype
    return dtype.newbyteorder(">" if order == "big" else "<")


def described_space(described: dict[str, Any], axes: int) -> Space | None:
    """The space of a JSON object with "spacing" (per axis), "affine" (rows) and "units", each of which may be absent or unusable."""

    def numbers(key: str, count: int) -> tuple[float, ...] | None:
        try:
            found = tuple(float(number) for number in np.asarray(described[key], dtype=np.float64).reshape(-1))
        except (KeyError, TypeError, ValueError):
            return None
        return found if len(found) == count else None

    spacing, affine = numbers("spacing", axes), numbers("affine", 16)
    if spacing is None and affine is None:
        return None
    units = described.get("units", "")
    return Space(spacing or (0.0,) * axes, affine, units if isinstance(units, str) else "")


def read_inrimage(data: bytes, name: str, limits: Limits) -> Volume:
    """An Inrimage-4 file: a text header padded to a multiple of 256 bytes, then samples, x fastest after the channels (VDIM)."""
    end = data.find(b"##}\n", 0, _INRIMAGE_HEADER)
    if not data.startswith(INRIMAGE_SIGNATURE + b"-4#{") or end < 0:
        raise InputError(f"{name}: Inrimage: expected a header #INRIMAGE-4#{{ ... ##}}, got {data[:16]!r}")
    fields = dict(re.findall(r"^\s*([A-Z]+)\s*=\s*(.*?)\s*$", data[:end].decode("latin-1"), re.MULTILINE))
    numbers = {}
    for key in ("ZDIM", "YDIM", "XDIM", "VDIM"):
        text = fields.get(key, "1")
        if not re.fullmatch(r"\d{1,10}", text):
            raise InputError(f"{name}: Inrimage: {key}: expected a whole number, got {text!r}")
        numbers[key] = int(text)
    *shape, channels = numbers.values()
    check_shape(shape, name, limits, channels)
    full = (*shape, channels) if channels > 1 else tuple(shape)
    array = samples_of(memoryview(data)[end + 4 :], _inrimage_dtype(fields, name), full, name)
    notes: tuple[str, ...] = ()
    scale = re.fullmatch(r"(\d{1,2})\s*\*\*\s*(-?\d{1,2})", fields.get("SCALE", "2**0"))
    if scale is None:
        raise InputError(f"{name}: Inrimage: SCALE: expected a power such as 2**0, got {fields['SCALE']!r}")
    factor = float(scale[1]) ** int(scale[2])
    if factor != 1 and array.dtype.kind != "f":
        array, notes = scaled(array, factor, 0.0), (f"{array.dtype.name} samples times {fields['SCALE']} read as float32",)
    spacing = tuple(_number(fields.get(key)) for key in ("VZ", "VY", "VX"))
    return Volume(array=array, channels_last=channels > 1, space=Space(spacing) if any(spacing) else None, notes=notes)


def _inrimage_dtype(fields: dict[str, str], name: str) -> np.dtype[Any]:
    kind, order = _INRIMAGE_TYPES.get(fields.get("TYPE", "").lower()), _INRIMAGE_ORDERS.get(fields.get("CPU", "").lower())
    size = re.fullmatch(r"(8|16|32|64)(\s*bits)?", fields.get("PIXSIZE", ""))
    if kind is None or size is None or (kind == "f" and size[1] not in ("32", "64")):
        got = f"{fields.get('TYPE')} of {fields.get('PIXSIZE')}"
        raise InputError(f"{name}: Inrimage: expected TYPE unsigned fixed, signed fixed or float and a PIXSIZE in bits, got {got}")
    if order is None and size[1] != "8":
        raise InputError(f"{name}: Inrimage: CPU: expected one of {' '.join(_INRIMAGE_ORDERS)}, got {fields.get('CPU')!r}")
    return np.dtype(f"{order or '<'}{kind}{int(size[1]) // 8}")


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def scaled(array: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """array * slope + intercept, computed in float64: float64 of float64, else float32."""
    result = np.empty(array.shape, np.float64 if array.dtype.itemsize == 8 and array.dtype.kind == "f" else np.float32)
    for slab in slabs(array.shape):
        result[slab] = array[slab].astype(np.float64) * slope + intercept
    return result


def slabs(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Indices that cover an array of this shape in parts of about _SLAB samples, cut along its longest axis."""
    axis = int(np.argmax(shape))
    step = max(1, _SLAB * shape[axis] // max(1, math.prod(shape)))
    for at in range(0, shape[axis], step):
        yield (*[slice(None)] * axis, slice(at, at + step))
