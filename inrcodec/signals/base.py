"""What a signal is to the rest of the codec: samples on a lattice, and what belongs to them."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.signals.codes import codes_of


@dataclass(frozen=True)
class Axis:
    """One axis of the lattice: `n` samples between the coordinates `lo` and `hi` (borders, not centres)."""

    name: str
    n: int
    lo: float = -1.0
    hi: float = 1.0


@dataclass(frozen=True)
class Channel:
    """One output: its name (R, G, B, A, Y, ...), its role (spec.ROLES), and the source values that 0 and 1 stand for."""

    name: str
    role: str
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True)
class Space:
    """Where samples lie in the world.

    spacing  per axis of the signal the distance of neighbouring samples, in `units` (seconds along t); 0 where unknown
    affine   (d + 1, d + 1), row by row: the indices of the last d axes, the spatial ones, in array order, and 1 -> world, and 1
    """

    spacing: tuple[float, ...]
    affine: tuple[float, ...] | None = None
    units: str = ""


def sampled_space(space: Space, steps: Sequence[float], first: Sequence[float]) -> Space:
    """The space of a grid whose sample i lies, per axis, at (i + 0.5) * step + first - 0.5 in samples of the old one."""
    spacing = tuple(s * step for s, step in zip(space.spacing, steps, strict=True))
    if space.affine is None:
        return replace(space, spacing=spacing)
    d = round(math.sqrt(len(space.affine))) - 1
    old = np.array(space.affine).reshape(d + 1, d + 1)
    change = np.eye(d + 1)
    change[range(d), range(d)] = steps[len(steps) - d :]
    change[:d, d] = [0.5 * step + start - 0.5 for step, start in zip(steps[len(steps) - d :], first[len(first) - d :], strict=True)]
    return replace(space, spacing=spacing, affine=tuple(float(number) for number in (old @ change).reshape(-1)))


def window_space(space: Space, nominal: Sequence[int], shape: Sequence[int], starts: Sequence[int]) -> Space:
    """The space of the part of a grid of `shape` that begins at `starts`, of a signal of `nominal` samples."""
    steps = [n / m for n, m in zip(nominal, shape, strict=True)]
    return sampled_space(space, steps, [start * step for start, step in zip(starts, steps, strict=True)])


@dataclass(frozen=True)
class Metadata:
    """What travels beside the samples. None where the source has none."""

    icc: bytes | None = None  # ICC profile
    exif: bytes | None = None  # from the TIFF header on, orientation 1
    xmp: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is known of anything to encode.

    bits     bit depth of the source, 1..16; of a signal with a dtype, of its codes between low and high
    dtype    NumPy's name of the source's samples where they are numbers and not codes of `bits` bits (volumes, sound): "int16", "float32"
    digest   SHA-256 of the source's bytes, hex
    notes    one line for each conversion a user should know of
    """

    kind: str
    axes: tuple[Axis, ...]
    channels: tuple[Channel, ...]
    bits: int
    dtype: str | None = None
    space: Space | None = None
    source: str = ""
    digest: str = ""
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Signal(Content):
    """Samples to encode.

    values   (*axes, c) float32 in [0, 1]
    samples  (*axes, c) the source's own codes or numbers, or None: what `exact_samples` makes of the values
    weights  (*axes, c) float32 in {0, 1} or None: 0 where a sample does not matter (colour under alpha 0)
    missing  (*axes) or None: true where the source has no sample (NaN); weights are 0 there
    """

    values: NDArray[np.float32]
    samples: NDArray[Any] | None = None
    weights: NDArray[np.float32] | None = None
    missing: NDArray[np.bool_] | None = None


def exact_samples(signal: Signal) -> NDArray[Any]:
    """The source's samples (*axes, c): codes of signal.bits bits, or numbers of signal.dtype, where some may be missing."""
    if signal.samples is not None:
        return signal.samples
    if signal.dtype is None:
        return codes_of(signal.values, signal.bits)
    low = np.array([c.low for c in signal.channels])
    numbers = low + signal.values.astype(np.float64) * (np.array([c.high for c in signal.channels]) - low)
    dtype: np.dtype[Any] = np.dtype(signal.dtype)
    return np.asarray(np.floor(numbers + 0.5) if dtype.kind in "iu" else numbers, dtype=dtype)


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Decoded samples to write.

    codes  (*axes, c): integer codes, uint8 (bits <= 8) or uint16, with 2^bits - 1 as the largest; of a signal with a dtype the numbers
           themselves, of that dtype, NaN where the source had no sample
    """

    kind: str
    channels: tuple[Channel, ...]
    codes: NDArray[Any]
    bits: int
    axes: tuple[Axis, ...] = ()
    space: Space | None = None
    metadata: Metadata = Metadata()


@dataclass(frozen=True, kw_only=True)
class Slabs:
    """Decoded samples to write that come in parts along the first axis, so that they are never all there.

    shape  (*axes, c) of the whole
    parts  (rows, *other axes, c) in order, of `dtype`; taken once
    bits   depth of integer codes, as in Samples
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: Iterable[NDArray[Any]]
    bits: int = 16
    space: Space | None = None
    metadata: Metadata = Metadata()


def as_slabs(samples: Samples) -> Slabs:
    """`samples` as one part."""
    return Slabs(
        shape=samples.codes.shape,
        dtype=samples.codes.dtype,
        parts=(samples.codes,),
        bits=samples.bits,
        space=samples.space,
        metadata=samples.metadata,
    )


@dataclass(frozen=True)
class Modality:
    """A row of the table MODALITIES: how one kind of signal is recognised, read and written.

    accepts   (first bytes of the file, suffix in lower case) -> whether `read` knows this content
    read      (bytes, name, limits, strip) -> Signal or other Content; raises InputError, LimitExceeded
    write     (Samples, suffix in lower case) -> bytes; raises UsageError for an unknown suffix
    suffixes  what `write` knows, lower case with the dot
    stream    (Slabs, suffix, binary file) writes the same bytes part by part; None where every format needs all samples at once
    streamed  the suffixes that `stream` knows
    """

    kind: str
    axes: tuple[str, ...]
    suffixes: tuple[str, ...]
    accepts: Callable[[bytes, str], bool]
    read: Callable[..., Content]
    write: Callable[[Samples, str], bytes]
    stream: Callable[[Slabs, str, IO[bytes]], None] | None = None
    streamed: tuple[str, ...] = ()
