"""What a signal is to the rest of the codec: samples on a lattice, and what belongs to them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """One axis of the lattice: `n` samples between the coordinates `lo` and `hi` (borders, not centres)."""

    name: str
    n: int
    lo: float = -1.0
    hi: float = 1.0


@dataclass(frozen=True)
class Channel:
    """One output: its name (R, G, B, A, Y) and role (spec.ROLES)."""

    name: str
    role: str


@dataclass(frozen=True)
class Metadata:
    """What travels beside the samples. None where the source has none."""

    icc: bytes | None = None  # ICC profile
    exif: bytes | None = None  # from the TIFF header on, orientation 1
    xmp: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Samples to encode.

    values   (*axes, c) float32 in [0, 1]
    weights  (*axes, c) float32 in {0, 1} or None: 0 where a sample does not matter (colour under alpha 0)
    bits     bit depth of the source, 1..16
    digest   SHA-256 of the source's bytes, hex
    notes    one line for each conversion a user should know of
    """

    kind: str
    axes: tuple[Axis, ...]
    channels: tuple[Channel, ...]
    values: NDArray[np.float32]
    bits: int
    weights: NDArray[np.float32] | None = None
    source: str = ""
    digest: str = ""
    metadata: Metadata = Metadata()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Decoded samples to write: integer codes (*axes, c), uint8 (bits <= 8) or uint16, with 2^bits - 1 as the largest."""

    kind: str
    channels: tuple[Channel, ...]
    codes: NDArray[Any]
    bits: int
    metadata: Metadata = Metadata()


@dataclass(frozen=True)
class Modality:
    """A row of the table MODALITIES: how one kind of signal is recognised, read and written.

    accepts   (first bytes of the file, suffix in lower case) -> whether `read` knows this content
    read      (bytes, name, limits, strip) -> Signal; raises InputError, LimitExceeded
    write     (Samples, suffix in lower case) -> bytes; raises UsageError for an unknown suffix
    suffixes  what `write` knows, lower case with the dot
    """

    kind: str
    axes: tuple[str, ...]
    suffixes: tuple[str, ...]
    accepts: Callable[[bytes, str], bool]
    read: Callable[..., Signal]
    write: Callable[[Samples, str], bytes]
