"""Decoded volumes to files, with their place in the world where the format has one. The same samples give the same bytes."""

import gzip
import io
import json
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.signals.base import Samples, Space
from inrcodec.signals.volume_formats import INRIMAGE_PADDING, need
from inrcodec.signals.volume_nifti import UNITS
from inrcodec.signals.volume_nrrd import TYPES

SUFFIXES = (".npy", ".nii", ".nii.gz", ".nrrd", ".tif", ".tiff", ".raw", ".inrimage")
_NIFTI_1_MOST = 32767  # samples along an axis
_NIFTI_UNITS = {ours: theirs for theirs, ours in UNITS.items()}


def write_volume(samples: Samples, suffix: str) -> bytes:
    """The file with samples (*axes, c) of their own type, in the format of `suffix` (lower case, one of SUFFIXES).

    A single channel has no axis of its own. `.raw` is the samples alone: `raw_sidecar` says what they are. Raises UsageError for an
    unknown suffix and for what the format cannot hold.
    """
    writers: dict[str, Callable[[Samples], bytes]] = {
        ".npy": _npy,
        ".nii": _nifti,
        ".nii.gz": lambda samples: gzip.compress(_nifti(samples), 6, mtime=0),
        ".nrrd": _nrrd,
        ".tif": _tiff,
        ".tiff": _tiff,
        ".raw": lambda samples: _little(samples).tobytes(),
        ".inrimage": _inrimage,
    }
    if suffix not in writers:
        raise UsageError(f"cannot write a volume as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    if samples.codes.ndim not in (4, 5) or samples.codes.dtype.kind not in "iuf":
        raise UsageError(
            f"cannot write a volume of shape {samples.codes.shape[:-1]} and type {samples.codes.dtype}; expected numbers over 3 or 4 axes"
        )
    return writers[suffix](samples)


def raw_sidecar(samples: Samples, file: str) -> bytes:
    """The JSON description of `write_volume(samples, ".raw")`, to be written beside that file, which is named `file`."""
    *shape, channels = samples.codes.shape
    described: dict[str, Any] = {"file": file, "shape": shape, "dtype": samples.codes.dtype.name, "byteorder": "little", "order": "C"}
    if channels > 1:
        described["channels"] = channels
    return (json.dumps(described | _described(samples.space), indent=1) + "\n").encode()


def _array(samples: Samples) -> NDArray[Any]:
    """(*axes), or (*axes, c) of several channels."""
    return samples.codes[..., 0] if samples.codes.shape[-1] == 1 else samples.codes


def _little(samples: Samples) -> NDArray[Any]:
    array = _array(samples)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _described(space: Space | None) -> dict[str, Any]:
    if space is None:
        return {}
    affine = {"affine": np.reshape(space.affine, (4, 4)).tolist()} if space.affine is not None else {}
    return {"spacing": list(space.spacing), **affine, **({"units": space.units} if space.units else {})}


def _refuse(samples: Samples, suffix: str, held: str) -> UsageError:
    channels = samples.codes.shape[-1]
    what = f"{samples.codes.dtype.name} samples" + (f" of {channels} channels" if channels > 1 else "")
    return UsageError(f"cannot write {what} as {suffix}, which holds {held}; expected another suffix, such as .npy")


def _npy(samples: Samples) -> bytes:
    out = io.BytesIO()
    np.save(out, _little(samples), allow_pickle=False)
    return out.getvalue()


def _nifti(samples: Samples) -> bytes:
    """Axes x, y, z, then t, then channels; the affine as sform."""
    nibabel = need("nibabel")
    array, space, channels = _little(samples), samples.space, samples.codes.shape[-1]
    if array.dtype.name == "float16":
        raise _refuse(samples, ".nii", "integers, float32 and float64")
    if channels > 1:
        array = np.moveaxis(array if array.ndim == 5 else array[None], -1, 0)
    array = array.T
    kind = nibabel.Nifti1Image if max(array.shape) <= _NIFTI_1_MOST else nibabel.Nifti2Image
    header = kind.header_class()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    if space is not None:
        units = _NIFTI_UNITS.get(space.units, "unknown")
        header.set_xyzt_units(units, "sec" if samples.codes.ndim == 5 and space.spacing[0] > 0 else "unknown")
    if channels > 1:
        header.set_intent("vector")
    affine = None if space is None or space.affine is None else np.reshape(space.affine, (4, 4))[:, [2, 1, 0, 3]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = kind(array, affine, header)
        image.header["pixdim"][1:5] = _zooms(samples)
        return bytes(image.to_bytes())


def _zooms(samples: Samples) -> list[float]:
    """Steps along x, y, z and t; 1 where unknown, as other programs divide by them."""
    space, time = samples.space, samples.codes.ndim == 5
    if space is None:
        return [1.0] * 4
    steps = [step if step > 0 else 1.0 for step in space.spacing[::-1]]
    return steps if time else [*steps, 1.0]


def _nrrd(samples: Samples) -> bytes:
    """Gzip-coded. Channels are the fastest axis, time the slowest; the world is NIfTI's."""
    array, space = _little(samples), samples.space
    channels, time = samples.codes.shape[-1], samples.codes.ndim == 5
    if array.dtype.name not in TYPES:
        raise _refuse(samples, ".nrrd", "integers, float32 and float64")
    before, after = (1 if channels > 1 else 0), (1 if time else 0)
    placed = space is not None and space.affine is not None
    fields = [
        ("type", TYPES[array.dtype.name][0]),
        ("dimension", str(array.ndim)),
        *([("space", "right-anterior-superior")] if placed else []),
        ("sizes", " ".join(str(n) for n in array.shape[::-1])),
        ("kinds", " ".join(["vector"] * before + (["space"] if placed else ["domain"]) * 3 + ["time"] * after)),
        *(_nrrd_space(space, before, after) if space is not None else []),
        ("endian", "little"),
        ("encoding", "gzip"),
    ]
    text = "NRRD0005\n" + "".join(f"{key}: {value}\n" for key, value in fields) + "\n"
    return text.encode("ascii", "replace") + gzip.compress(array.tobytes(), 6, mtime=0)


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


def _tiff(samples: Samples) -> bytes:
    """A page per z, and per t; spacing, affine and units in the description."""
    tifffile = need("tifffile")
    array = _little(samples)
    if samples.codes.shape[-1] > 1:
        raise _refuse(samples, ".tif", "volumes of one channel")
    out = io.BytesIO()
    axes = "TZYX" if array.ndim == 4 else "ZYX"
    metadata = {"axes": axes, **_described(samples.space)}
    tifffile.imwrite(out, array, photometric="minisblack", metadata=metadata, software="inrcodec", byteorder="<", **_resolution(samples))
    return out.getvalue()


def _resolution(samples: Samples) -> dict[str, Any]:
    """Pixels per centimetre of x and y, where a length is known."""
    space = samples.space
    scale = {"mm": 10.0, "um": 1e4, "m": 0.01, "cm": 1.0}.get(space.units) if space is not None else None
    if space is None or scale is None or min(space.spacing[-2:]) <= 0:
        return {}
    pair = scale / space.spacing[-1], scale / space.spacing[-2]
    return {"resolution": pair, "resolutionunit": "CENTIMETER"} if all(1e-4 < number < 1e6 for number in pair) else {}


def _inrimage(samples: Samples) -> bytes:
    array, space, channels = _little(samples), samples.space, samples.codes.shape[-1]
    if samples.codes.ndim == 5 or array.dtype.name == "float16":
        raise _refuse(samples, ".inrimage", "three axes of integers, float32 and float64")
    depth, height, width = samples.codes.shape[:3]
    kind = {"u": "unsigned fixed", "i": "signed fixed", "f": "float"}[array.dtype.kind]
    lines = [
        f"XDIM={width}",
        f"YDIM={height}",
        f"ZDIM={depth}",
        f"VDIM={channels}",
        f"TYPE={kind}",
        f"PIXSIZE={array.dtype.itemsize * 8} bits",
    ]
    if array.dtype.kind != "f":
        lines.append("SCALE=2**0")
    lines.append("CPU=decm")
    if space is not None:
        lines += [f"{key}={step!r}" for key, step in zip(("VX", "VY", "VZ"), space.spacing[::-1], strict=True) if step > 0]
    head = "#INRIMAGE-4#{\n" + "\n".join(lines) + "\n"
    size = math.ceil((len(head) + 4) / INRIMAGE_PADDING) * INRIMAGE_PADDING
    return (head + "\n" * (size - len(head) - 4) + "##}\n").encode() + array.tobytes()
