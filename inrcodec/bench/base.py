"""What a measured codec is: its trials on one item, and a row for each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
OURS = "inrcodec"  # as a codec's name in rows


class Unusable(Exception):
    """A codec cannot decode what it has written."""


@dataclass(frozen=True)
class Trial:
    """One setting of a codec on one item: `encode` gives the file's bytes, `decode` an array of the item's shape from them."""

    parameter: str
    encode: Callable[[], bytes]
    decode: Callable[[bytes], Array]


@dataclass(frozen=True)
class Peer:
    """A codec that is installed. `trials` of an array: an image (h, w, 3) uint8, or a volume (z, y, x)."""

    name: str
    version: str
    trials: Callable[[Array], list[Trial]]


@dataclass(frozen=True)
class Missing:
    """A codec that is not installed, and what it lacks."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file, decoded from its bytes.

    rate        of an image bits per pixel, of a volume how many times smaller than its raw samples
    psnr        dB; None for an exact copy
    target_met  of our codec whether the file keeps to the size asked for, None of others
    """

    item: str
    codec: str
    parameter: str
    bytes: int
    rate: float
    psnr: float | None
    encode_seconds: float
    decode_seconds: float
    target_met: bool | None = None
