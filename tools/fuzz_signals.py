"""What is fuzzed of the readers of signals: small files of every format, built in memory; see fuzz.py."""

import gzip
import io
import json
import logging
import wave
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.limits import Limits
from inrcodec.signals import read_signal, writer_for
from inrcodec.signals.base import Axis, Channel, Metadata, Samples, Space
from tools.fuzz_bytes import damaged, resealed_png
from tools.fuzz_run import Target

SMALL = Limits(pixels=1 << 18, output_samples=1 << 18, elements=1 << 20)
SUFFIXES = (
    "",
    ".png",
    ".pgm",
    ".xyz",
    ".obj",
    ".stl",
    ".off",
    ".ply",
    ".nii",
    ".nrrd",
    ".npy",
    ".raw",
    ".json",
    ".wav",
    ".mp4",
    ".dcm",
    ".inr",
)


def _picture(*shape: int) -> NDArray[np.uint8]:
    grid = np.indices(shape).sum(axis=0)
    return (grid * 7 % 256).astype(np.uint8)


def _images() -> list[bytes]:
    from PIL import Image

    found = []
    for form, image in (
        *((form, Image.fromarray(_picture(9, 12, 3))) for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "AVIF")),
        *((form, Image.fromarray(_picture(9, 12))) for form in ("PNG", "GIF", "TIFF", "PPM")),
        ("PNG", Image.fromarray(_picture(9, 12, 4))),
        ("PNG", Image.fromarray(_picture(9, 12)).convert("P")),
        ("TIFF", Image.fromarray(_picture(9, 12, 3)).convert("CMYK")),
    ):
        out = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(out, form, **({"exif": exif} if form in ("JPEG", "PNG", "WEBP") else {}))
        found.append(out.getvalue())
    found.append(_written("image", ".png", _picture(9, 12, 3).astype(np.uint16) * 257, bits=16))
    found.append(_written("image", ".tiff", _picture(9, 12, 1).astype(np.uint16) * 16, bits=12))
    return found


def _written(kind: str, suffix: str, codes: NDArray[Any], *, bits: int = 8, space: Space | None = None) -> bytes:
    """What the package itself writes of samples (*axes, c)."""
    names = {"image": "yx", "volume": "zyx", "audio": "t", "video": "tyx"}[kind]
    axes = tuple(Axis(name, n) for name, n in zip(names, codes.shape, strict=False))
    channels = tuple(Channel(f"c{k}", "value") for k in range(codes.shape[-1]))
    samples = Samples(kind=kind, channels=channels, codes=codes, bits=bits, axes=axes, space=space, metadata=Metadata())
    return writer_for(kind, suffix)(samples, suffix)


def _volumes() -> list[bytes]:
    box, space = _picture(4, 5, 6, 1), Space((1.0, 2.0, 3.0), None, "mm")
    found = [
        _written("volume", suffix, box, space=space)
        for suffix in (".nii", ".nii.gz", ".nrrd", ".npy", ".npz", ".inr", ".tiff")
        if _known(suffix)
    ]
    found += [gzip.compress(found[0]), box[..., 0].astype(">i2").tobytes()]
    out = io.BytesIO()
    np.savez_compressed(out, data=box[..., 0].astype(np.float32))
    header = b"#INRIMAGE-4#{\nXDIM=6\nYDIM=5\nZDIM=4\nVDIM=1\nTYPE=unsigned fixed\nPIXSIZE=8 bits\nCPU=decm\n"
    inrimage = header + b"\n" * (252 - len(header)) + b"##}\n" + box.tobytes()
    described = json.dumps({"shape": [4, 5, 6], "dtype": "uint8", "file": "none.raw", "spacing": [1, 1, 1]}).encode()
    return [*found, out.getvalue(), inrimage, described, _dicom(box[0, :, :, 0])]


def _known(suffix: str) -> bool:
    from inrcodec.errors import UsageError

    try:
        writer_for("volume", suffix)
    except UsageError:
        return False
    return True


def _dicom(slice_: NDArray[np.uint8]) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID, found.SOPInstanceUID, found.SeriesInstanceUID = CTImageStorage, "1.2.3", "1.2.4"
    found.Rows, found.Columns = slice_.shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 8
    found.HighBit, found.PixelRepresentation = 7, 0
    found.ImagePositionPatient, found.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    found.PixelSpacing, found.RescaleSlope, found.RescaleIntercept = [1, 1], 1, 0
    found.PixelData = slice_.tobytes()
    out = io.BytesIO()
    found.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _sounds() -> list[bytes]:
    wide, out = np.sin(np.arange(200) / 9)[:, None] * [1, 0.5], io.BytesIO()
    codes = (wide * 30000).astype("<i2")
    with wave.open(out, "wb") as file:
        file.setparams((2, 2, 8000, len(codes), "NONE", ""))
        file.writeframes(codes.tobytes())
    import soundfile

    found = [out.getvalue()]
    for form in ("FLAC", "OGG"):
        out = io.BytesIO()
        soundfile.write(out, wide, 8000, format=form)
        found.append(out.getvalue())
    return found


def _videos() -> list[bytes]:
    return [_written("video", suffix, _picture(3, 16, 16, 3), space=Space((0.04, 0.0, 0.0), None, "")) for suffix in (".mp4", ".gif")]


def _meshes() -> list[bytes]:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=1)
    found = [mesh.export(file_type=form) for form in ("ply", "obj", "stl", "glb", "off", "stl_ascii")]
    found.append(mesh.export(file_type="ply", encoding="ascii"))
    rows = [" ".join(f"{x:.4f}" for x in (*v, *v)) for v in mesh.vertices]
    return [*(part.encode() if isinstance(part, str) else bytes(part) for part in found), "\n".join(rows).encode()]


@cache
def _seeds(name: str) -> tuple[bytes, ...]:
    makers: dict[str, Callable[[], list[bytes]]] = {
        "images": _images,
        "volumes": _volumes,
        "sounds": _sounds,
        "videos": _videos,
        "meshes": _meshes,
    }
    return tuple(makers[name]())


def _maker(name: str) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        data = random.choice(_seeds(name))
        found = damaged(data, random, _seeds(name))
        if found.startswith(b"\x89PNG") and random.random() < 0.7:
            found = resealed_png(found)
        suffix = random.choice(SUFFIXES) if random.random() < 0.3 else ""
        return bytes([SUFFIXES.index(suffix)]) + found

    return make


class Named(io.BytesIO):
    """A file in memory with a name, whose suffix readers may look at."""

    name = ""


def read(data: bytes) -> None:
    """A signal of the bytes behind the first, which is the number of the suffix of its name."""
    logging.disable(logging.CRITICAL)
    file = Named(data[1:])
    file.name = "nowhere/a" + SUFFIXES[data[0] % len(SUFFIXES)]
    read_signal(file, limits=SMALL)


def targets() -> Sequence[Target]:
    return tuple(Target(name, _maker(name), read) for name in ("images", "volumes", "sounds", "videos", "meshes"))
