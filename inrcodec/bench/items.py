"""What is measured: the images or volumes of a folder, each as the array that every codec gets."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inrcodec.bench.base import Array
from inrcodec.bench.quality import as_type
from inrcodec.errors import InputError, UsageError
from inrcodec.signals import read_signal
from inrcodec.signals.base import Signal
from inrcodec.signals.image import image_from_array

SUFFIXES = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp", ".ppm", ".pgm", ".pnm"),
    "volume": (".npy", ".npz", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".raw", ".inrimage"),
}
STACKS = (".tif", ".tiff")  # volumes too, where the folder is said to hold volumes


@dataclass(frozen=True)
class Place:
    """A file to measure under a name that no other has."""

    name: str
    path: Path


@dataclass(frozen=True, eq=False)
class Item:
    """An item as read: what our codec encodes, and the same samples as the others get them.

    samples  of an image (h, w, 3) uint8 RGB; of a volume (z, y, x) in the numbers and the type of its source
    digest   SHA-256 of the samples, their type and shape, hex
    notes    conversions, a line each
    """

    signal: Signal
    samples: Array
    digest: str
    notes: tuple[str, ...]

    def rate(self, nbytes: int) -> float:
        """Bits per pixel of an image, compression ratio of a volume, for a file of so many bytes."""
        pixels = self.samples.shape[0] * self.samples.shape[1]
        return 8 * nbytes / pixels if self.signal.kind == "image" else self.samples.nbytes / nbytes


def find_items(folder: str | os.PathLike[str], kind: str | None) -> tuple[str, list[Place]]:
    """The kind, image or volume, and the files of that kind directly in a folder, by name.

    Files of other suffixes and hidden ones are left out. Raises InputError where there is no folder or nothing in it to measure, and
    UsageError where it holds both kinds and `kind` is None.
    """
    if kind not in (None, *SUFFIXES):
        raise UsageError(f"kind: expected image or volume, got {kind}")
    try:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as error:
        raise InputError(f"{os.fspath(folder)}: expected a folder of images or volumes: {error.strerror or error}") from error
    found = {k: [name for name in names if _is(name, k, kind)] for k in SUFFIXES}
    if kind is None and all(found.values()):
        first = ", ".join(files[0] for files in found.values())
        raise UsageError(f"{os.fspath(folder)}: holds images and volumes ({first}); say which with --kind image or --kind volume")
    chosen = kind or next((k for k, files in found.items() if files), None)
    if chosen is None or not found[chosen]:
        wanted = "images or volumes" if chosen is None else f"{chosen}s"
        raise InputError(f"{os.fspath(folder)}: expected {wanted} in the folder, got none among {len(names)} files")
    files = found[chosen]
    stems = Counter(Path(name).stem for name in files)
    return chosen, [Place(Path(name).stem if stems[Path(name).stem] == 1 else name, Path(folder, name)) for name in files]


def read_item(place: Place, kind: str, crop: Sequence[int] | None) -> Item:
    """Read an image as 8-bit RGB, its centre of (width, height) `crop` samples if that is given, or a volume of one number a sample.

    Raises InputError for what cannot be read or measured, and what the readers raise.
    """
    signal = read_signal(place.path, kind=kind)
    assert isinstance(signal, Signal)
    return _image(place, signal, crop) if kind == "image" else _volume(place, signal)


def _image(place: Place, signal: Signal, crop: Sequence[int] | None) -> Item:
    colours = signal.values[..., : 1 if len(signal.channels) < 3 else 3]
    codes = np.floor(colours * 255 + 0.5).astype(np.uint8)
    notes = signal.notes
    if len(signal.channels) in (2, 4):
        notes += ("alpha left out",)
    if signal.bits > 8:
        notes += (f"{signal.bits} bits rounded to 8",)
    pixels = np.repeat(codes, 3, axis=-1) if codes.shape[-1] == 1 else codes
    if crop is not None:
        (height, width), (w, h) = pixels.shape[:2], crop
        if w > width or h > height:
            raise InputError(f"{place.path}: expected at least {w}x{h} pixels to crop, got {width}x{height}")
        top, left = (height - h) // 2, (width - w) // 2
        pixels = pixels[top : top + h, left : left + w]
    pixels = np.ascontiguousarray(pixels)
    return Item(image_from_array(pixels, str(place.path)), pixels, _digest(pixels), notes)


def _volume(place: Place, signal: Signal) -> Item:
    shape = signal.values.shape
    if len(shape) != 4 or shape[-1] != 1:
        raise InputError(f"{place.path}: expected a volume (z, y, x) of one number a sample, got shape {shape[:-1]} of {shape[-1]}")
    if signal.missing is not None:
        raise InputError(f"{place.path}: expected a volume without missing samples (NaN), which the other codecs cannot tell")
    low, high = signal.channels[0].low, signal.channels[0].high
    assert signal.dtype is not None
    values = as_type(low + signal.values[..., 0].astype(np.float64) * (high - low), np.dtype(signal.dtype))
    if values.min() == values.max():
        raise InputError(f"{place.path}: expected a volume whose samples differ, got {values.flat[0]} everywhere: its PSNR has no peak")
    return Item(signal, values, _digest(values), signal.notes)


def _is(name: str, kind: str, asked: str | None) -> bool:
    lower = name.lower()
    return lower.endswith(SUFFIXES[kind]) or (kind == asked == "volume" and lower.endswith(STACKS))


def _digest(samples: Array) -> str:
    return hashlib.sha256(f"{samples.dtype.str}{samples.shape}".encode() + np.ascontiguousarray(samples).tobytes()).hexdigest()
