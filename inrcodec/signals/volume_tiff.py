"""TIFF stacks: pages of one picture each, through tifffile."""

import io
import math
import mmap
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from inrcodec.errors import BackendMissing, InputError
from inrcodec.limits import Limits
from inrcodec.signals.base import Space
from inrcodec.signals.volume_formats import Volume, check_shape, described_space, need

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION = 254, 256, 257, 258, 259, 262, 270
_SAMPLES, _FORMAT = 277, 339
_WANTED = (_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION, _SAMPLES, _FORMAT)
_PAGES = 1 << 16
Readable = bytes | mmap.mmap
_KINDS = {1: "unsigned integers", 2: "signed integers", 3: "floating-point numbers", 5: "complex integers", 6: "complex numbers"}


def is_stack(data: Readable) -> bool:
    """Whether a TIFF is a volume: more than one page, all of the same shape and type, of one grey sample per pixel.

    Reads the directories alone, no samples. False for what is not a TIFF, is damaged, or has one page, colour or a preview.
    """
    try:
        pages = directories(data)
    except (struct.error, ValueError):
        return False
    if not pages:
        return False
    first = pages[0]
    shape = [first.get(tag, default) for tag, default in ((_WIDTH, 0), (_HEIGHT, 0), (_BITS, 1), (_FORMAT, 1))]
    for page in pages:
        alike = [page.get(tag, default) for tag, default in ((_WIDTH, 0), (_HEIGHT, 0), (_BITS, 1), (_FORMAT, 1))] == shape
        if not alike or page.get(_SAMPLES, 1) != 1 or page.get(_PHOTOMETRIC, 1) not in (0, 1) or page.get(_SUBFILE, 0) & 1:
            return False
    return len(pages) > 1 or _imagej_images(data, first) > 1


def numbers_of(data: Readable) -> str | None:
    """What the samples of a TIFF's first page are where they are no colours of a picture, or None: unsigned integers of at most 16 bits
    and floating-point ones of 32 are."""
    try:
        page = directories(data)[0]
    except (struct.error, ValueError, IndexError):
        return None
    kind, bits = page.get(_FORMAT, 1), page.get(_BITS, 1)
    if kind not in _KINDS or (kind == 1 and bits <= 16) or (kind == 3 and bits == 32):
        return None
    return f"{_KINDS[kind]} of {bits} bits"


def directories(data: Readable) -> list[dict[int, int]]:
    """Per directory its numbers (of several the first; of the description where it starts); raises struct.error, ValueError."""
    if data[:4] not in TIFF:
        return []
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in (data[2], data[3])
    pointer, count_of, entry, width = ("Q", "Q", "HHQ", 20) if big else ("I", "H", "HHI", 12)
    (at,) = struct.unpack_from(order + pointer, data, 8 if big else 4)
    pages: list[dict[int, int]] = []
    seen: set[int] = set()
    while at != 0:
        if at in seen or len(pages) >= _PAGES:
            raise ValueError("a loop of directories")
        seen.add(at)
        (count,) = struct.unpack_from(order + count_of, data, at)
        at += struct.calcsize(count_of)
        if count > 4096:
            raise ValueError("too many entries")
        page: dict[int, int] = {}
        for k in range(count):
            tag, kind, n = struct.unpack_from(order + entry, data, at + k * width)
            if tag in _WANTED:
                place = at + k * width + width - struct.calcsize(pointer)
                page[tag] = _entry(data, order, kind, n, place, pointer, tag)
        pages.append(page)
        (at,) = struct.unpack_from(order + pointer, data, at + count * width)
    return pages


def _entry(data: Readable, order: str, kind: int, n: int, place: int, pointer: str, tag: int) -> int:
    code, size = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}.get(kind, ("B", 1))
    if n * size > struct.calcsize(pointer):
        (place,) = struct.unpack_from(order + pointer, data, place)
    return place if tag == _DESCRIPTION else int(struct.unpack_from(order + code, data, place)[0])


def _imagej_images(data: Readable, page: dict[int, int]) -> int:
    """How many pictures ImageJ says lie one after the other behind a single directory."""
    text = data[page[_DESCRIPTION] : page[_DESCRIPTION] + 4096].split(b"\0")[0] if _DESCRIPTION in page else b""
    found = re.search(rb"^images=(\d{1,9})\s*$", text, re.MULTILINE) if text.startswith(b"ImageJ=") else None
    return int(found[1]) if found and page.get(_COMPRESSION, 1) == 1 else 1


def read_tiff(data: bytes, name: str, limits: Limits) -> Volume:
    """The pages of a TIFF as z, or as t and z where the file says so; raises InputError for pages of different shapes."""
    tifffile = need("tifffile")
    try:
        pages = directories(data)
    except (struct.error, ValueError) as error:
        raise InputError(f"{name}: damaged TIFF directory: {error}") from error
    with tifffile.TiffFile(io.BytesIO(data), _multifile=False) as tiff:
        stack = stack_of(tiff, len(pages), name, " ".join(sorted({f"{page.get(_HEIGHT)}x{page.get(_WIDTH)}" for page in pages})[:4]))
        series = tiff.series[0]
        check_shape([stack.shape[k] for k in stack.order], name, limits, stack.channels)
        if series.dtype is None:
            raise InputError(f"{name}: TIFF: expected samples of a known type, got none")
        _check_offsets(series, len(data), name)
        try:
            array = series.asarray()
        except (ValueError, ImportError) as error:
            if isinstance(error, ImportError) or "imagecodecs" in str(error):
                raise BackendMissing(
                    f"{name}: a TIFF compressed with {series[0].compression.name} needs: pip install imagecodecs"
                ) from error
            raise
        array = np.asarray(array).reshape(stack.shape).transpose([*stack.order, *stack.last])
        return Volume(array=array, channels_last=bool(stack.last), space=stack.space)


@dataclass(frozen=True)
class Stack:
    """What the axes of a TIFF's samples are: `shape` as stored, `order` of these the axes of the volume, `last` that of its channels."""

    shape: tuple[int, ...]
    order: tuple[int, ...]
    last: tuple[int, ...]
    space: Space | None

    @property
    def channels(self) -> int:
        return math.prod(self.shape[k] for k in self.last)


def stack_of(tiff: Any, pages: int, name: str, shapes: str = "several shapes") -> Stack:
    """Of an opened TIFF of so many pages; raises InputError for pages of different shapes."""
    if len(tiff.series) != 1 or (pages > 1 and len(tiff.series[0].pages) != pages):
        raise InputError(f"{name}: TIFF: expected pages of one shape and type, got {pages} pages of {shapes}")
    series = tiff.series[0]
    shape, axes = [int(n) for n in series.shape], str(series.axes)
    if len(shape) == 2:
        shape, axes = [1, *shape], "Z" + axes
    planes = [k for k, letter in enumerate(axes) if letter not in "YXSC"]
    channel = next((k for k, letter in enumerate(axes) if letter in "SC"), None)
    if channel is not None and not planes and axes[channel] == "C":
        planes, channel = [channel], None
    if axes.count("Y") != 1 or axes.count("X") != 1 or len(shape) != 2 + len(planes) + (channel is not None) or len(planes) not in (1, 2):
        raise InputError(f"{name}: TIFF: expected pages along z, or along t and z, got axes {axes} of {shape}")
    planes.sort(key=lambda k: axes[k] == "Z" or (axes[k] != "T" and "Z" not in axes))
    order = (*planes, axes.index("Y"), axes.index("X"))
    return Stack(tuple(shape), order, () if channel is None else (channel,), _space(tiff, len(order)))


def _check_offsets(series: Any, size: int, name: str) -> None:
    """tifffile reads zeros where a strip is missing."""
    for page in series:
        if page is None:
            continue
        end = max((a + n for a, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        if end > size or not page.dataoffsets:
            raise InputError(f"{name}: truncated TIFF: expected samples up to byte {end}, got {size} bytes")
    if series.keyframe.compression == 1 and series.dataoffset is not None:
        end = series.dataoffset + math.prod(series.shape) * series.keyframe.bitspersample // 8
        if end > size:
            raise InputError(f"{name}: truncated TIFF: expected samples up to byte {end}, got {size} bytes")


def _space(tiff: Any, axes: int) -> Space | None:
    """From the description this package writes, else from ImageJ's spacing and the resolution of the first page."""
    for described in tiff.shaped_metadata or ():
        if "spacing" in described or "affine" in described:
            return described_space(described, axes)
    imagej = tiff.imagej_metadata
    if not imagej:
        return None
    unit = {"micron": "um", "\\u00B5m": "um", "µm": "um", "inch": "", "pixel": "", "pixels": ""}.get(*[str(imagej.get("unit", ""))] * 2)
    tags = tiff.pages[0].tags
    steps = [_step(tags[tag].value if tag in tags else None) for tag in (283, 282)] if unit else [0.0, 0.0]
    z = float(imagej.get("spacing", 0.0)) if unit else 0.0
    time = float(imagej.get("finterval", 0.0))
    spacing = (*([time] if axes == 4 else []), z, *steps)
    return Space(spacing, None, str(unit)) if any(spacing) else None


def _step(resolution: Any) -> float:
    """Units per pixel of a TIFF resolution (pixels, units)."""
    try:
        pixels, length = resolution
        return float(length) / float(pixels)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
