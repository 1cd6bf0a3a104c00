"""The pictures of a signal: an image itself, a slice of a volume, a frame of a video; parts of them at any size, as 8-bit codes."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.serve.settings import Bounds
from inrcodec.signals.base import Channel

BITS = 8  # of codes in pictures
AVERAGING = 8  # times less than an answer may take
TILE_SAMPLES = 512 * 512  # of the largest tiles


@dataclass(frozen=True)
class Box:
    """A part of a picture, in nominal samples."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True)
class Plane:
    """A picture within a signal.

    shape  nominal samples per axis of the signal
    cuts   per axis the index, in nominal samples, at which the picture lies; None for its rows and columns
    """

    shape: tuple[int, ...]
    cuts: tuple[float | None, ...]

    @property
    def height(self) -> int:
        return self._sides[0]

    @property
    def width(self) -> int:
        return self._sides[1]

    @property
    def whole(self) -> Box:
        return Box(0, 0, self.width, self.height)

    @property
    def _sides(self) -> list[int]:
        return [n for n, cut in zip(self.shape, self.cuts, strict=True) if cut is None]

    def spread(self, rows: Any, columns: Any, other: Any = None) -> list[Any]:
        """Per axis of the signal what belongs to the rows, to the columns, and to each of the others: `other`, or its cut."""
        own = iter((rows, columns))
        return [next(own) if cut is None else cut if other is None else other for cut in self.cuts]

    def region(self, box: Box) -> list[tuple[float, float]]:
        parts = self.spread((box.y, box.y + box.h), (box.x, box.x + box.w))
        return [part if isinstance(part, tuple) else (part, part + 1) for part in parts]


def plane_of(
    inr: Inr,
    *,
    axis: int | None = None,
    index: float | None = None,
    frame: float | None = None,
    seconds: float | None = None,
) -> Plane:
    """A picture of a signal of two or three axes: the slice `index` along `axis` (the middle along the first if None) of a volume, the
    picture of a video at the index `frame` or after `seconds` (the first if None), between samples too. Raises UsageError."""
    kind, shape = inr.head["kind"], inr.grid_shape
    if len(shape) not in (2, 3):
        raise UsageError(f"picture: expected a signal of 2 or 3 axes, got {kind} of {len(shape)}")
    sliced, timed = len(shape) == 3 and kind != "video", len(shape) == 3 and kind == "video"
    for name, value, fits in (("axis", axis, sliced), ("index", index, sliced), ("frame", frame, timed), ("t", seconds, timed)):
        if value is not None and not fits:
            raise UsageError(f"{name}: expected {'a video' if name in ('frame', 't') else 'a volume'}, got {kind} of {len(shape)} axes")
    if frame is not None and seconds is not None:
        raise UsageError("frame, t: expected one of them, got both")
    if len(shape) == 2:
        return Plane(shape, (None, None))
    k = axis or 0
    if not 0 <= k < 3:
        raise UsageError(f"axis: expected 0, 1 or 2, got {k}")
    if seconds is not None:
        at = _frame_at(inr, seconds)
    elif timed:
        at = 0 if frame is None else frame
    else:
        at = (shape[k] - 1) // 2 if index is None else index
    if not 0 <= at <= shape[k] - 1:
        raise UsageError(f"{'frame' if timed else 'index'}: expected 0 to {shape[k] - 1}, got {at:g}")
    return Plane(shape, tuple(at if i == k else None for i in range(3)))


def _frame_at(inr: Inr, seconds: float) -> float:
    """A picture is seen until the next one is due, so that the last ends a step behind its time."""
    step = inr.space.spacing[0] if inr.space is not None else 0.0
    if step <= 0:
        raise UsageError("t: the file does not say how far its frames are apart; use frame")
    if not 0 <= seconds <= inr.grid_shape[0] * step:
        raise UsageError(f"t: expected 0 to {inr.grid_shape[0] * step:g} s, got {seconds:g}")
    return min(seconds / step, inr.grid_shape[0] - 1)


def check_size(bounds: Bounds, width: int, height: int) -> None:
    """Raise LimitExceeded for a picture of more than a server gives."""
    if max(width, height) > bounds.output_side or width * height > bounds.output_samples:
        raise LimitExceeded(
            f"size: {width}x{height}: expected sides of at most {bounds.output_side} and at most {bounds.output_samples} samples"
        )


@dataclass(frozen=True)
class Tone:
    """The numbers that are black and white, of signals of numbers; None: the least and the largest that the channel may have."""

    low: float | None = None
    high: float | None = None


def of_numbers(inr: Inr) -> bool:
    """Whether samples are numbers, and not codes of colours."""
    return "dtype" in inr.head["out"]


def resampled(inr: Inr, plane: Plane, box: Box, size: tuple[int, int], *, work: int) -> NDArray[Any]:
    """Part of a picture at a size (width, height): (height, width, c), codes of BITS bits, or numbers.

    work: multiply-accumulates of an answer, of which the averaging of smaller pictures may take a part.
    """
    w, h = size
    most = most_averaged(inr, w * h, work)
    return _part(inr, inr.crop(plane.region(box), plane.spread(h, w, 1), averaged=most, **_kept(inr)), w, h)


def of_grid(inr: Inr, plane: Plane, size: tuple[int, int], box: Box, *, work: int) -> NDArray[Any]:
    """Part of the whole picture scaled to a size (width, height), with the bits of the whole: (box.h, box.w, c).

    The box is in samples of that size. The plane lies at whole indices. work: as in `resampled`, for a whole tile.
    """
    w, h = size
    scaled = [n if cut is not None else m for n, m, cut in zip(plane.shape, plane.spread(h, w), plane.cuts, strict=True)]
    rows = (box.y * plane.height / h, (box.y + box.h) * plane.height / h)
    columns = (box.x * plane.width / w, (box.x + box.w) * plane.width / w)
    region = [part if isinstance(part, tuple) else (part, part + 1) for part in plane.spread(rows, columns)]
    return _part(inr, inr.decode(size=scaled, region=region, averaged=most_averaged(inr, TILE_SAMPLES, work), **_kept(inr)), box.w, box.h)


def most_averaged(inr: Inr, samples: int, work: int) -> int:
    """Samples per axis that are averaged for one of so many: a whole large picture made small would else take longer than an answer may."""
    return max(1, math.isqrt(work // (AVERAGING * max(1, inr.function.work(samples)))))


def _kept(inr: Inr) -> dict[str, Any]:
    return {"dtype": np.float64} if of_numbers(inr) else {"bits": BITS}


def _part(inr: Inr, samples: NDArray[Any], w: int, h: int) -> NDArray[Any]:
    return samples.reshape(h, w, len(inr.channels))


def shown_channels(channels: tuple[Channel, ...]) -> list[int]:
    """Those that make a picture: grey or three colours, with alpha where there is one; else the first alone."""
    every = list(range(len(channels)))
    colors = len(channels) - (channels[-1].role == "alpha")
    return every if colors == 1 or (colors == 3 and channels[0].role == "color") else every[:1]


def toned(inr: Inr, samples: NDArray[Any], tone: Tone) -> NDArray[np.uint8]:
    """Codes (h, w, 1..4) of the shown channels of samples (h, w, c); what is missing is transparent. Raises UsageError."""
    shown = shown_channels(inr.channels)
    samples = samples[..., shown]
    if not of_numbers(inr):
        if tone != Tone():
            raise UsageError(f"low, high: expected a signal of numbers, got {inr.head['kind']} of colours")
        return np.asarray(samples, dtype=np.uint8)
    lows = np.array([inr.channels[k].low if tone.low is None else tone.low for k in shown])
    highs = np.array([inr.channels[k].high if tone.high is None else tone.high for k in shown])
    if tone != Tone() and not (lows < highs).all():
        raise UsageError(f"low, high: expected low < high, got {lows[0]:g} and {highs[0]:g}")
    with np.errstate(all="ignore"):
        values = np.clip((samples - lows) / np.where(highs > lows, highs - lows, 1.0), 0, 1)
    lost = np.isnan(values).any(axis=-1, keepdims=True)
    codes = np.floor(np.nan_to_num(values) * 255 + 0.5).astype(np.uint8)
    return codes if inr.missing is None else np.concatenate([codes, np.where(lost, 0, 255).astype(np.uint8)], axis=-1)
