"""Signals whose samples are read box by box, so that they need not fit into memory: what `read_signal` gives, cropped, bit for bit."""

import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from mmap import mmap
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.files import file_digest
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals import MODALITIES, Source, modality_of, read_signal
from inrcodec.signals.base import Axis, Content, Metadata, Signal, Space, window_space
from inrcodec.signals.codes import values_of_codes
from inrcodec.signals.image import CHANNELS
from inrcodec.signals.orientation import stored_box, turn_upright
from inrcodec.signals.stores import ArrayStore, Box, MappedStore, Store, covering, slices
from inrcodec.signals.tiff_store import TiffPicture, mapped, tiff_picture, tiff_stack
from inrcodec.signals.transparency import hide, mean_color, visible_counts
from inrcodec.signals.volume import (
    bits_of,
    guarded,
    is_dicom,
    narrow_integers,
    usable_range,
    usable_space,
    values_of,
    volume_axes,
    volume_channels,
)
from inrcodec.signals.volume_formats import MAX_CHANNELS, npy_header
from inrcodec.signals.volume_tiff import TIFF
from inrcodec.signals.volume_zarr import is_zarr, zarr_digest, zarr_store
from inrcodec.spec import DTYPES

_HEAD = 1 << 16


class Regions(Protocol):
    """A signal whose samples are read box by box. It can be pickled."""

    @property
    def content(self) -> Content:
        """What is known of the whole."""
        ...

    def read(self, box: Sequence[tuple[int, int]]) -> Signal:
        """The samples of a box, (start, stop) per axis of whole samples within the grid; its axes have the bounds of the whole.

        Weights are None where all samples of the box matter. Raises InputError where they cannot be read, UsageError for another box.
        """
        ...


@dataclass(frozen=True, eq=False)
class WholeRegions:
    """A signal in memory."""

    signal: Signal

    @property
    def content(self) -> Content:
        return _content(self.signal)

    def read(self, box: Box) -> Signal:
        place = slices(_checked(box, self.signal))
        weights = None if self.signal.weights is None else self.signal.weights[place]
        samples = None if self.signal.samples is None else self.signal.samples[place]
        matter = weights is None or bool(weights.all())
        return _signal(self.content, box, self.signal.values[place], samples, None if matter else weights)


@dataclass(frozen=True, eq=False)
class PictureRegions:
    """Codes of a picture (h, w) or (h, w, c) in a store.

    color        what lies under alpha 0 is given (c - 1), where something does
    inverted     whether the largest code stored is 0
    orientation  as in EXIF, of the codes stored
    """

    content: Content
    store: Store
    color: NDArray[np.float32] | None = None
    inverted: bool = False
    orientation: int = 1

    def read(self, box: Box) -> Signal:
        codes = self.codes(stored_box(_checked(box, self.content), self.store.shape, self.orientation))
        codes = turn_upright(codes, self.orientation)
        values = values_of_codes(codes, self.content.bits)
        return _signal(self.content, box, values, codes, None if self.color is None else hide(values, self.color))

    def codes(self, box: Box) -> NDArray[Any]:
        """(rows, columns, c) as stored, with 0 as black."""
        codes = self.store.read([*box, *((0, n) for n in self.store.shape[2:])])
        codes = codes.astype(codes.dtype.newbyteorder("="), copy=False).reshape(*codes.shape[:2], -1)
        return ((1 << self.content.bits) - 1 - codes).astype(codes.dtype) if self.inverted else codes


@dataclass(frozen=True, eq=False)
class VolumeRegions:
    """Numbers of a volume (*axes) or (*axes, c) in a store, none of them missing."""

    content: Content
    store: Store

    def read(self, box: Box) -> Signal:
        channels = len(self.store.shape) > len(self.content.axes)
        numbers = self.store.read([*_checked(box, self.content), *((0, n) for n in self.store.shape[len(box) :])])
        samples = numbers.astype(self.content.dtype, copy=False)
        samples = samples if channels else samples[..., None]
        values, _ = values_of(samples, [(channel.low, channel.high) for channel in self.content.channels], None)
        return _signal(self.content, box, values, samples, None)


def open_regions(
    source: Source | Signal,
    *,
    kind: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    strip: bool = False,
    frames: int | None = None,
    rate: float | None = None,
) -> Regions:
    """A source with the options of `read_signal`, read box by box.

    Files .npy, Zarr, plain and losslessly packed TIFF are read where a box needs them, so that their size is not limited; anything else
    is read once by `read_signal`, within the limits. Raises as that does, and UsageError for shapes, sound and missing samples.
    """
    if isinstance(source, Signal):
        return _of_signal(source, compact=False)
    if kind is not None and kind not in (m.kind for m in MODALITIES):
        raise UsageError(f"kind: expected one of {', '.join(m.kind for m in MODALITIES)}, got {kind}")
    if frames is None and rate is None:
        found = None
        if isinstance(source, np.ndarray):
            found = _of_array(source, kind)
        elif isinstance(source, str | os.PathLike):
            found = _of_path(os.fspath(source), kind, limits, strip)
        if found is not None:
            return found
    signal = read_signal(source, kind=kind, limits=limits, strip=strip, frames=frames, rate=rate)
    if not isinstance(signal, Signal) or signal.kind == "audio":
        raise UsageError(f"{signal.source}: tiles: expected an image, a volume or video, got {signal.kind}")
    return _of_signal(signal, compact=True)


def _of_signal(signal: Signal, *, compact: bool) -> Regions:
    """With `compact` its codes or numbers in place of its values, which come from them."""
    if signal.missing is not None:
        raise _missing(signal.source)
    if compact and signal.samples is not None and signal.kind == "image":
        hidden = None if signal.weights is None else signal.weights[..., 0] == 0
        color = None if hidden is None else signal.values[hidden][0, :-1]
        return PictureRegions(_content(signal), ArrayStore(signal.samples), color)
    if compact and signal.samples is not None and signal.kind == "volume":
        return VolumeRegions(_content(signal), ArrayStore(signal.samples))
    return WholeRegions(signal)


def _of_array(array: NDArray[Any], kind: str | None) -> Regions | None:
    volume = array.ndim == 4 or (array.ndim == 3 and (kind == "volume" or array.shape[-1] > 4))
    if not volume or kind not in (None, "volume") or isinstance(array, np.ma.MaskedArray):
        return None
    return _volume(ArrayStore(array), "<array>", len(array.shape), lambda: _array_digest(array))


def _of_path(name: str, kind: str | None, limits: Limits, strip: bool) -> Regions | None:
    if kind in (None, "volume") and is_zarr(name):
        store, notes = zarr_store(name, limits)
        return _volume(store, name, len(store.shape), lambda: zarr_digest(name), notes=notes)
    data = mapped(name)
    if data is None:
        return None
    with data:
        if data[:4] in TIFF:
            return _of_tiff(name, data, kind, strip)
        head = data[:_HEAD]
    plain = head.startswith(b"\x93NUMPY") and Path(name).suffix.lower() not in (".raw", ".json") and not is_dicom(head[:132])
    if not plain or kind not in (None, "volume"):
        return None
    shape, fortran, dtype, at = npy_header(head, name)
    return _volume(MappedStore(name, shape, dtype.str, at, "F" if fortran else "C"), name, len(shape), lambda: file_digest(name))


def _of_tiff(name: str, data: mmap, kind: str | None, strip: bool) -> Regions | None:
    modality = modality_of(data, name)
    kind = kind or (None if modality is None else modality.kind)
    if kind == "volume":
        with guarded(name):
            found = tiff_stack(name, data)
            if found is None:
                return None
            store, stack = found
            return _volume(store, name, len(stack.order), lambda: file_digest(name), space=stack.space)
    if kind != "image":
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = tiff_picture(name, data)
        except Exception:  # the usual reader tells what is wrong
            return None
    return None if picture is None else _picture(picture, name, strip)


def _picture(picture: TiffPicture, name: str, strip: bool) -> Regions:
    h, w, *more = picture.store.shape
    sides = (w, h) if picture.orientation >= 5 else (h, w)
    channels = more[0] if more else 1
    content = Content(
        kind="image",
        axes=(Axis("y", sides[0]), Axis("x", sides[1])),
        channels=CHANNELS[channels],
        bits=picture.bits,
        source=name,
        digest=file_digest(name),
        metadata=Metadata(icc=picture.metadata.icc) if strip else picture.metadata,
        notes=picture.notes,
    )
    regions = PictureRegions(content, picture.store, None, picture.inverted, picture.orientation)
    return replace(regions, color=_hidden_color(regions)) if channels in (2, 4) else regions


def _hidden_color(regions: PictureRegions) -> NDArray[np.float32] | None:
    """What lies under alpha 0 is to be given, None where nothing does."""
    h, w = regions.store.shape[:2]
    counts = sum(visible_counts(regions.codes(box[:2]), regions.content.bits) for box in regions.store.boxes())
    assert isinstance(counts, np.ndarray)
    return None if counts[0].sum() == h * w else mean_color(counts)


def _volume(
    store: Store, name: str, axes: int, digest: Callable[[], str], *, space: Space | None = None, notes: tuple[str, ...] = ()
) -> Regions | None:
    """None for types whose samples have to be looked at together."""
    shape = store.shape[:axes]
    channels = 1 if len(store.shape) == axes else store.shape[-1]
    if 0 in store.shape or channels > MAX_CHANNELS or store.dtype.kind not in "biuf":
        return None
    kept = np.dtype(np.uint8) if store.dtype == np.bool_ else store.dtype.newbyteorder("=")
    if kept.name not in DTYPES and kept.kind == "f":
        return None
    lows, highs = _extent(store, name, axes)
    dtype = kept if kept.name in DTYPES else narrow_integers(min(lows), max(highs))
    if dtype is None:
        return None
    converted = (f"{kept.name} samples read as {dtype.name}",) if dtype != kept else ()
    ranges = [usable_range(float(low), float(high), dtype, name) for low, high in zip(lows, highs, strict=True)]
    usable, dropped = usable_space(space, axes)
    content = Content(
        kind="volume",
        axes=volume_axes(shape),
        channels=volume_channels(ranges),
        bits=bits_of(ranges, dtype),
        dtype=dtype.name,
        space=usable,
        source=name,
        digest=digest(),
        notes=(*notes, *converted, *dropped),
    )
    return VolumeRegions(content, store)


def _extent(store: Store, name: str, axes: int) -> tuple[list[Any], list[Any]]:
    """The lowest and highest sample of each channel; raises UsageError for NaN and infinity."""
    lows: list[Any] = []
    highs: list[Any] = []
    for box in store.boxes():
        part = store.read(box)
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise _missing(name)
        over = tuple(range(axes))
        low, high = part.min(axis=over).reshape(-1).tolist(), part.max(axis=over).reshape(-1).tolist()
        lows = [min(pair) for pair in zip(lows or low, low, strict=True)]
        highs = [max(pair) for pair in zip(highs or high, high, strict=True)]
    return lows, highs


def _missing(name: str) -> UsageError:
    return UsageError(f"{name}: tiles: expected finite samples alone, got NaN or infinity, which are read as missing")


def _array_digest(array: NDArray[Any]) -> str:
    """SHA-256, hex, of the array's bytes in C order."""
    digest = hashlib.sha256()
    for box in covering(array.shape, (1,) * array.ndim):
        digest.update(np.ascontiguousarray(array[slices(box)]).data)
    return digest.hexdigest()


def _checked(box: Box, content: Content) -> Box:
    shape = [axis.n for axis in content.axes]
    if len(box) != len(shape) or not all(0 <= start < stop <= n for (start, stop), n in zip(box, shape, strict=True)):
        raise UsageError(f"{content.source}: box: expected a start and a larger stop within {shape} for each axis, got {list(box)}")
    return box


def _content(signal: Signal) -> Content:
    return Content(**{field.name: getattr(signal, field.name) for field in fields(Content)})


def _signal(
    content: Content, box: Box, values: NDArray[np.float32], samples: NDArray[Any] | None, weights: NDArray[np.float32] | None
) -> Signal:
    known = {field.name: getattr(content, field.name) for field in fields(Content)}
    shape = [axis.n for axis in content.axes]
    space = None if content.space is None else window_space(content.space, shape, shape, [start for start, _ in box])
    axes = tuple(replace(axis, n=stop - start) for axis, (start, stop) in zip(content.axes, box, strict=True))
    return Signal(**{**known, "axes": axes, "space": space}, values=values, samples=samples, weights=weights)
