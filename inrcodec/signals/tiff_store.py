"""TIFF read strip by strip and tile by tile: stacks, and pictures that are read as Pillow would."""

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import InputError
from inrcodec.signals.base import Metadata
from inrcodec.signals.image import first_of, metadata_of, open_header, with_fitting_icc
from inrcodec.signals.stores import Box, MappedStore, Rearranged, Store, covering, slices
from inrcodec.signals.volume_formats import need
from inrcodec.signals.volume_tiff import Stack, directories, numbers_of, stack_of

_BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _ORIENTATION, _SAMPLES, _PLANAR, _PREDICTOR, _EXTRA = (
    258, 259, 262, 266, 274, 277, 284, 317, 338,
)  # fmt: skip
_LOSSLESS = (1, 5, 8, 32773, 32946, 50000)  # none, LZW, Deflate, PackBits, Deflate, zstd
# Pillow's mode and the bits of a sample: photometric interpretations, extra samples
_PICTURES: dict[tuple[str, int], tuple[tuple[int, ...], tuple[int, ...]]] = {
    ("L", 8): ((0, 1), ()),
    ("LA", 8): ((1,), (2,)),
    ("RGB", 8): ((2,), ()),
    ("RGBA", 8): ((2,), (2,)),
    ("I;16", 16): ((0, 1), ()),
    ("I;16B", 16): ((0, 1), ()),
    ("RGB", 16): ((2,), ()),
    ("RGBA", 16): ((2,), (2,)),
}


@dataclass(frozen=True, eq=False)
class TiffStore:
    """The samples of pages of one shape and type, in strips or tiles: (*planes, y, x) or (*planes, y, x, samples).

    page     axes of a page, 2 or 3
    chunk    shape of a strip or tile
    offsets  (pages, strips or tiles) where each begins in the file, and `counts` its bytes
    """

    path: str
    shape: tuple[int, ...]
    stored: str
    page: int
    chunk: tuple[int, ...]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.stored)

    def read(self, box: Box) -> NDArray[Any]:
        planes = len(self.shape) - self.page
        result = np.empty([stop - start for start, stop in box], self.dtype)
        try:
            with need("tifffile").TiffFile(self.path, _multifile=False) as tiff:
                page = tiff.pages[0]
                for place in product(*(range(*side) for side in box[:planes])):
                    number = int(np.ravel_multi_index(place, self.shape[:planes])) if planes else 0
                    into = result[tuple(k - start for k, (start, _) in zip(place, box, strict=False))]
                    for index in self._touched(box[planes:]):
                        tiff.filehandle.seek(int(self.offsets[number, index]))
                        data = tiff.filehandle.read(int(self.counts[number, index]))
                        self._store(page.decode(data, index), box[planes:], into)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # decoders raise nearly anything on damaged files
            raise InputError(f"{self.path}: damaged TIFF: {' '.join(str(error).split()) or type(error).__name__}") from error
        return result

    def boxes(self) -> Iterator[Box]:
        return covering(self.shape, (*[1] * (len(self.shape) - self.page), *self.chunk))

    def _touched(self, box: Box) -> Iterator[int]:
        """The numbers of the strips or tiles that meet a box of a page."""
        across = -(-self.shape[len(self.shape) - self.page + 1] // self.chunk[1])
        rows, columns = (range(a // size, -(-b // size)) for (a, b), size in zip(box[:2], self.chunk[:2], strict=True))
        for row in rows:
            for column in columns:
                yield row * across + column

    def _store(self, decoded: Any, box: Box, into: NDArray[Any]) -> None:
        segment, (_, _, y, x, _), _ = decoded
        part = segment[0] if self.page == 3 else segment[0, :, :, 0]
        inside = [(max(a, at), min(b, at + n)) for (a, b), at, n in zip(box[:2], (y, x), part.shape[:2], strict=True)]
        target = tuple(slice(lo - a, hi - a) for (lo, hi), (a, _) in zip(inside, box[:2], strict=True))
        source = tuple(slice(lo - at, hi - at) for (lo, hi), at in zip(inside, (y, x), strict=True))
        into[target] = part[(*source, *slices(box[2:]))]


@dataclass(frozen=True)
class TiffPicture:
    """A TIFF picture: its codes as stored, (h, w) or (h, w, c), and what Pillow says of it."""

    store: Store
    bits: int
    inverted: bool
    orientation: int
    metadata: Metadata
    notes: tuple[str, ...]


def tiff_stack(path: str, data: mmap.mmap) -> tuple[Store, Stack] | None:
    """The samples of a stack, (*axes) or (*axes, c), None where they have to be read whole; raises InputError as `stack_of` does."""
    with need("tifffile").TiffFile(path, _multifile=False) as tiff:
        stack = stack_of(tiff, len(directories(data)), path)
        series = tiff.series[0]
        if series.dtype is None or series.dtype.itemsize * 8 != series.keyframe.bitspersample:
            return None
        start = series.dataoffset
        stored = series.dtype.newbyteorder(tiff.byteorder)
        store: Store | None
        if start is not None and series.keyframe.compression == 1:
            store = MappedStore(path, stack.shape, stored.str, start)
            if start + _nbytes(store) > len(data):
                return None
        else:
            store = _segments(path, list(series.pages), stack.shape, len(data))
        return None if store is None else (Rearranged(store, (*stack.order, *stack.last)), stack)


def tiff_picture(path: str, data: mmap.mmap) -> TiffPicture | None:
    """The first page of a TIFF as a picture, None where it has to be read whole."""
    if numbers_of(data) is not None:
        return None
    with open(path, "rb") as file:
        image = open_header(file, "TIFF")
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        bits = {*tags.get(_BITS, (1,))}
        known = _PICTURES.get((image.mode, max(bits)))
        compression, orientation = tags.get(_COMPRESSION, 1), tags.get(_ORIENTATION, 1)
        if known is None or len(bits) != 1 or tags.get(_PHOTOMETRIC) not in known[0] or tuple(tags.get(_EXTRA, ())) != known[1]:
            return None
        plain = tags.get(_PLANAR, 1) == 1 and tags.get(_FILL_ORDER, 1) == 1 and compression in _LOSSLESS
        if not plain or (compression == 1 and tags.get(_PREDICTOR, 1) != 1):
            return None
        metadata, _ = metadata_of(image)
        if metadata.xmp is not None and orientation != 1:  # Pillow rewrites the XMP of what it turns
            return None
        channels = tags.get(_SAMPLES, 1)
        first = first_of(getattr(image, "n_frames", 1))
    with need("tifffile").TiffFile(path, _multifile=False) as tiff:
        page = tiff.pages[0]
        shape = (page.imagelength, page.imagewidth, *([channels] if channels > 1 else []))
        if page.shape != shape or page.dtype is None or page.dtype.itemsize * 8 != max(bits) or 0 in shape:
            return None
        store: Store | None
        if page.is_final:
            store = MappedStore(path, shape, page.dtype.newbyteorder(tiff.byteorder).str, page.dataoffsets[0])
            if page.dataoffsets[0] + _nbytes(store) > len(data) or sum(page.databytecounts) < _nbytes(store):
                return None
        else:
            store = _segments(path, [page], shape, len(data))
    if store is None:
        return None
    metadata, told = with_fitting_icc(metadata, channels)
    turned = orientation if orientation in range(2, 9) else 1
    return TiffPicture(store, max(bits), tags.get(_PHOTOMETRIC) == 0, turned, metadata, first + told)


def _segments(path: str, pages: list[Any], shape: tuple[int, ...], size: int) -> TiffStore | None:
    """Pages in strips or tiles that all lie in the file and can be decoded, and are more than one, else None."""
    if any(page is None for page in pages):
        return None
    keyframe = pages[0].keyframe
    chunk = tuple(int(n) for n in keyframe.chunks)
    count = int(np.prod(keyframe.chunked))
    if count == len(pages) == 1:  # every box would take all of it
        return None
    planar = keyframe.planarconfig == 1 or keyframe.samplesperpixel == 1
    if keyframe.index != 0 or not planar or keyframe.imagedepth != 1 or keyframe.axes not in ("YX", "YXS"):
        return None
    if int(np.prod(shape)) != len(pages) * int(np.prod(keyframe.shape)) or shape[-len(keyframe.shape) :] != keyframe.shape:
        return None
    for page in pages:
        if len(page.dataoffsets) != count or len(page.databytecounts) != count:
            return None
        if any(n < 1 or start + n > size for start, n in zip(page.dataoffsets, page.databytecounts, strict=True)):
            return None
    offsets, counts = (np.array([getattr(page, key) for page in pages], np.int64) for key in ("dataoffsets", "databytecounts"))
    store = TiffStore(path, shape, keyframe.dtype.str, len(keyframe.shape), chunk, offsets, counts)
    try:
        first = store.read([(0, 1)] * len(shape))
    except InputError:  # of a compression that tifffile needs another package for
        return None
    return store if first.dtype == keyframe.dtype else None


def _nbytes(store: Store) -> int:
    return int(np.prod(store.shape, dtype=np.int64)) * store.dtype.itemsize


def mapped(path: str) -> mmap.mmap | None:
    """The bytes of a regular file that is not empty, read where they are looked at; None of anything else."""
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return None
