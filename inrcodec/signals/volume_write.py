"""Decoded volumes to files, with their place in the world where the format has one. The same samples give the same bytes.

Samples come in parts and are written as they come: no writer holds more than one of them.
"""

import io
import json
import math
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.signals.base import Samples, Slabs, Space, as_slabs
from inrcodec.signals.volume_formats import INRIMAGE_PADDING, need
from inrcodec.signals.volume_nifti import UNITS
from inrcodec.signals.volume_nrrd import TYPES

SUFFIXES = (".npy", ".nii", ".nii.gz", ".nrrd", ".tif", ".tiff", ".raw", ".inrimage")
_GZIP_BLOCK = 1 << 20  # bytes deflated at a time, however they come
_TIFF_MOST = (1 << 32) - (1 << 25)  # bytes of samples; more need 64-bit offsets
_NO_EXTENSIONS = bytes(4)  # of a NIfTI header
_NIFTI_1_MOST = 32767  # samples along an axis
_NIFTI_UNITS = {ours: theirs for theirs, ours in UNITS.items()}


def write_volume(samples: Samples, suffix: str) -> bytes:
    """The file that `stream_volume` writes of samples that are all there."""
    out = io.BytesIO()
    stream_volume(as_slabs(samples), suffix, out)
    return out.getvalue()


def stream_volume(slabs: Slabs, suffix: str, out: IO[bytes]) -> None:
    """Write samples (*axes, c) of their own type into `out` in the format of `suffix` (lower case, one of SUFFIXES).

    A single channel has no axis of its own. `.raw` is the samples alone: `raw_sidecar` says what they are. Raises UsageError for an
    unknown suffix and for what the format cannot hold, before anything is written.
    """
    writers: dict[str, Callable[[Slabs, IO[bytes]], None]] = {
        ".npy": write_npy,
        ".nii": _nifti,
        ".nii.gz": _nifti_gz,
        ".nrrd": _nrrd,
        ".tif": _tiff,
        ".tiff": _tiff,
        ".raw": write_raw,
        ".inrimage": _inrimage,
    }
    if suffix not in writers:
        raise UsageError(f"cannot write a volume as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    if len(slabs.shape) not in (4, 5) or slabs.dtype.kind not in "iuf":
        raise UsageError(f"cannot write a volume of shape {slabs.shape[:-1]} and type {slabs.dtype}; expected numbers over 3 or 4 axes")
    writers[suffix](slabs, out)


def raw_sidecar(slabs: Slabs, file: str) -> bytes:
    """The JSON description of the samples in a `.raw` file, to be written beside that file, which is named `file`."""
    *shape, channels = slabs.shape
    described: dict[str, Any] = {"file": file, "shape": shape, "dtype": slabs.dtype.name, "byteorder": "little", "order": "C"}
    if channels > 1:
        described["channels"] = channels
    return (json.dumps(described | _described(slabs.space), indent=1) + "\n").encode()


def write_npy(slabs: Slabs, out: IO[bytes]) -> None:
    """Samples (*axes) or, of several channels, (*axes, c) as .npy."""
    described = {"descr": np.lib.format.dtype_to_descr(_dtype(slabs)), "fortran_order": False, "shape": _shape(slabs)}
    np.lib.format.write_array_header_1_0(out, described)
    write_raw(slabs, out)


def write_raw(slabs: Slabs, out: IO[bytes]) -> None:
    """The samples alone, little-endian, in C order."""
    for part in _little(slabs):
        out.write(part.data)


def _shape(slabs: Slabs) -> tuple[int, ...]:
    """(*axes), or (*axes, c) of several channels."""
    return slabs.shape[:-1] if slabs.shape[-1] == 1 else slabs.shape


def _dtype(slabs: Slabs) -> np.dtype[Any]:
    return slabs.dtype.newbyteorder("<")


def _little(slabs: Slabs) -> Iterator[NDArray[Any]]:
    """The parts (rows, *axes, c), in C order."""
    for part in slabs.parts:
        yield np.ascontiguousarray(part, _dtype(slabs))


class _Gzip:
    """A file to write into whose bytes go compressed to another, the same ones however they are cut."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out, self._held = out, bytearray()
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, 31)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        for at in range(0, len(view), _GZIP_BLOCK):
            self._held += view[at : at + _GZIP_BLOCK]
            if len(self._held) >= _GZIP_BLOCK:
                self._out.write(self._deflate.compress(self._held[:_GZIP_BLOCK]))
                del self._held[:_GZIP_BLOCK]

    def close(self) -> None:
        self._out.write(self._deflate.compress(self._held) + self._deflate.flush())


def _described(space: Space | None) -> dict[str, Any]:
    if space is None:
        return {}
    affine = {"affine": np.reshape(space.affine, (math.isqrt(len(space.affine)), -1)).tolist()} if space.affine is not None else {}
    return {"spacing": list(space.spacing), **affine, **({"units": space.units} if space.units else {})}


def _refuse(slabs: Slabs, suffix: str, held: str) -> UsageError:
    channels = slabs.shape[-1]
    what = f"{slabs.dtype.name} samples" + (f" of {channels} channels" if channels > 1 else "")
    return UsageError(f"cannot write {what} as {suffix}, which holds {held}; expected another suffix, such as .npy")


def _nifti(slabs: Slabs, out: IO[bytes]) -> None:
    """Axes x, y, z, then t, then channels; the affine as sform."""
    out.write(_nifti_head(slabs))
    if slabs.shape[-1] == 1:
        write_raw(slabs, out)
        return
    # Channels are the slowest axis: a file beside takes all but the first until it is their turn.
    channels = slabs.shape[-1]
    size = math.prod(slabs.shape[:-1]) * slabs.dtype.itemsize
    done = 0
    with tempfile.TemporaryFile() as later:
        for part in _little(slabs):
            planes = np.ascontiguousarray(np.moveaxis(part, -1, 0))
            out.write(planes[0].data)
            for k in range(1, channels):
                later.seek((k - 1) * size + done)
                later.write(planes[k].data)
            done += planes[0].nbytes
        later.seek(0)
        shutil.copyfileobj(later, out, _GZIP_BLOCK)


def _nifti_gz(slabs: Slabs, out: IO[bytes]) -> None:
    compressed = _Gzip(out)
    _nifti(slabs, compressed)  # type: ignore[arg-type]  # only written into
    compressed.close()


def _nifti_head(slabs: Slabs) -> bytes:
    """The header of a single file, up to its samples."""
    nibabel = need("nibabel")
    space, channels, time = slabs.space, slabs.shape[-1], len(slabs.shape) == 5
    if slabs.dtype.name == "float16":
        raise _refuse(slabs, ".nii", "integers, float32 and float64")
    axes = slabs.shape[:-1]
    if channels > 1:
        axes = (channels, *(axes if time else (1, *axes)))
    shape = axes[::-1]
    kind = nibabel.Nifti1Image if max(shape) <= _NIFTI_1_MOST else nibabel.Nifti2Image
    header = kind.header_class()
    header.set_data_dtype(_dtype(slabs))
    header.set_data_shape(shape)
    if space is not None:
        units = _NIFTI_UNITS.get(space.units, "unknown")
        header.set_xyzt_units(units, "sec" if time and space.spacing[0] > 0 else "unknown")
    if channels > 1:
        header.set_intent("vector")
    affine = None if space is None or space.affine is None else np.reshape(space.affine, (4, 4))[:, [2, 1, 0, 3]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = kind(np.broadcast_to(np.zeros((), _dtype(slabs)), shape), affine, header)
        image.header["pixdim"][1:5] = _zooms(slabs)
        image.update_header()
        image.header.set_slope_inter(1, 0)
        image.header["vox_offset"] = image.header.sizeof_hdr + len(_NO_EXTENSIONS)
        return bytes(image.header.binaryblock) + _NO_EXTENSIONS


def _zooms(slabs: Slabs) -> list[float]:
    """Steps along x, y, z and t; 1 where unknown, as other programs divide by them."""
    space, time = slabs.space, len(slabs.shape) == 5
    if space is None:
        return [1.0] * 4
    steps = [step if step > 0 else 1.0 for step in space.spacing[::-1]]
    return steps if time else [*steps, 1.0]


def _nrrd(slabs: Slabs, out: IO[bytes]) -> None:
    """Gzip-coded. Channels are the fastest axis, time the slowest; the world is NIfTI's."""
    shape, space = _shape(slabs), slabs.space
    channels, time = slabs.shape[-1], len(slabs.shape) == 5
    if slabs.dtype.name not in TYPES:
        raise _refuse(slabs, ".nrrd", "integers, float32 and float64")
    before, after = (1 if channels > 1 else 0), (1 if time else 0)
    placed = space is not None and space.affine is not None
    fields = [
        ("type", TYPES[slabs.dtype.name][0]),
        ("dimension", str(len(shape))),
        *([("space", "right-anterior-superior")] if placed else []),
        ("sizes", " ".join(str(n) for n in shape[::-1])),
        ("kinds", " ".join(["vector"] * before + (["space"] if placed else ["domain"]) * 3 + ["time"] * after)),
        *(_nrrd_space(space, before, after) if space is not None else []),
        ("endian", "little"),
        ("encoding", "gzip"),
    ]
    text = "NRRD0005\n" + "".join(f"{key}: {value}\n" for key, value in fields) + "\n"
    out.write(text.encode("ascii", "replace"))
    compressed = _Gzip(out)
    write_raw(slabs, compressed)  # type: ignore[arg-type]  # only written into
    compressed.close()


def _nrrd_space(space: Space, before: int, after: int) -> list[tuple[str, str]]:
    units = space.units.replace('"', "").replace("\n", " ")
    fields: list[tuple[str, str]] = []
    if space.affine is None:
        steps = [repr(float(step)) if step > 0 else "nan" for step in space.spacing[::-1]]
        fields.append(("spacings", " ".join(["nan"] * before + steps)))
        return [*fields, ("units", " ".join(['""'] * before + [f'"{units}"'] * 3 + ['"s"'] * after))] if units else fields
    matrix = np.reshape(space.affine, (4, 4))
    vectors = ["(" + ",".join(repr(float(number)) for number in matrix[:3, k]) + ")" for k in (2, 1, 0, 3)]
    fields.append(("space directions", " ".join(["none"] * before + vectors[:3] + ["none"] * after)))
    fields.append(("space origin", vectors[3]))
    if after and space.spacing[0] > 0:
        fields.append(("spacings", " ".join(["nan"] * (before + 3) + [repr(float(space.spacing[0]))])))
    return [*fields, ("space units", " ".join([f'"{units}"'] * 3))] if units else fields


def _tiff(slabs: Slabs, out: IO[bytes]) -> None:
    """A page per z, and per t; spacing, affine and units in the description."""
    tifffile = need("tifffile")
    if slabs.shape[-1] > 1:
        raise _refuse(slabs, ".tif", "volumes of one channel")
    if not out.seekable():
        with tempfile.NamedTemporaryFile() as whole:  # tifffile wants a name
            _tiff(slabs, whole)
            whole.seek(0)
            shutil.copyfileobj(whole, out, _GZIP_BLOCK)
        return
    height, width = slabs.shape[-3:-1]
    pages = (page for part in _little(slabs) for page in part.reshape(-1, height, width))
    tifffile.imwrite(
        out,
        pages,
        shape=_shape(slabs),
        dtype=_dtype(slabs),
        bigtiff=math.prod(slabs.shape) * slabs.dtype.itemsize > _TIFF_MOST,
        photometric="minisblack",
        metadata={"axes": "TZYX" if len(slabs.shape) == 5 else "ZYX", **_described(slabs.space)},
        software="inrcodec",
        byteorder="<",
        **_resolution(slabs),
    )


def _resolution(slabs: Slabs) -> dict[str, Any]:
    """Pixels per centimetre of x and y, where a length is known."""
    space = slabs.space
    scale = {"mm": 10.0, "um": 1e4, "m": 0.01, "cm": 1.0}.get(space.units) if space is not None else None
    if space is None or scale is None or min(space.spacing[-2:]) <= 0:
        return {}
    pair = scale / space.spacing[-1], scale / space.spacing[-2]
    return {"resolution": pair, "resolutionunit": "CENTIMETER"} if all(1e-4 < number < 1e6 for number in pair) else {}


def _inrimage(slabs: Slabs, out: IO[bytes]) -> None:
    space, channels = slabs.space, slabs.shape[-1]
    if len(slabs.shape) == 5 or slabs.dtype.name == "float16":
        raise _refuse(slabs, ".inrimage", "three axes of integers, float32 and float64")
    depth, height, width = slabs.shape[:3]
    kind = {"u": "unsigned fixed", "i": "signed fixed", "f": "float"}[slabs.dtype.kind]
    lines = [
        f"XDIM={width}",
        f"YDIM={height}",
        f"ZDIM={depth}",
        f"VDIM={channels}",
        f"TYPE={kind}",
        f"PIXSIZE={slabs.dtype.itemsize * 8} bits",
    ]
    if slabs.dtype.kind != "f":
        lines.append("SCALE=2**0")
    lines.append("CPU=decm")
    if space is not None:
        lines += [f"{key}={step!r}" for key, step in zip(("VX", "VY", "VZ"), space.spacing[::-1], strict=True) if step > 0]
    head = "#INRIMAGE-4#{\n" + "\n".join(lines) + "\n"
    size = math.ceil((len(head) + 4) / INRIMAGE_PADDING) * INRIMAGE_PADDING
    out.write((head + "\n" * (size - len(head) - 4) + "##}\n").encode())
    write_raw(slabs, out)
