"""From 8-bit codes to the bytes of a picture: mirrored, rotated, in grey or black and white, in one of the formats."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.signals import writer_for
from inrcodec.signals.base import Metadata, Samples
from inrcodec.signals.image import CHANNELS, with_fitting_icc

Codes = NDArray[np.uint8]  # (h, w, c), c 1 to 4: grey, grey and alpha, red green blue, these and alpha
FORMATS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "tif": "image/tiff", "gif": "image/gif"}
QUALITIES = ("default", "color", "gray", "bitonal")
_LUMA = np.array([299, 587, 114])  # thousandths, of ITU-R BT.601


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is done to a picture, in this order: mirrored left to right, rotated clockwise by degrees, its colours, its format."""

    mirrored: bool = False
    rotation: int = 0
    quality: str = "default"
    format: str = "png"


def picture(codes: Codes, look: Look, *, icc: bytes | None = None) -> bytes:
    """The file. The colour profile is kept where the channels are. Raises UsageError for an unknown look and what a format cannot hold."""
    if look.format not in FORMATS or look.quality not in QUALITIES:
        raise UsageError(f"picture: expected one of {', '.join(FORMATS)} as {', '.join(QUALITIES)}, got {look.format} as {look.quality}")
    codes, bits = colored(turned(codes, mirrored=look.mirrored, rotation=look.rotation), look.quality)
    if look.format == "jpg":
        codes = on_white(codes)
    metadata = Metadata() if bits == 1 else with_fitting_icc(Metadata(icc=icc), codes.shape[2])[0]
    samples = Samples(kind="image", channels=CHANNELS[codes.shape[2]], codes=codes, bits=bits, metadata=metadata)
    return writer_for("image", f".{look.format}")(samples, f".{look.format}")


def turned(codes: Codes, *, mirrored: bool, rotation: int) -> Codes:
    """Mirrored left to right, then rotated clockwise by a multiple of 90 degrees."""
    if rotation % 90:
        raise UsageError(f"rotation: expected a multiple of 90, got {rotation}")
    return np.asarray(np.rot90(codes[:, ::-1] if mirrored else codes, -(rotation // 90)))


def colored(codes: Codes, quality: str) -> tuple[Codes, int]:
    """Codes of a quality and their bits: grey keeps alpha, black and white stands on white and has one bit."""
    if quality == "gray":
        return gray(codes), 8
    if quality == "bitonal":
        return (gray(on_white(codes)) >= 128).astype(np.uint8), 1
    return codes, 8


def gray(codes: Codes) -> Codes:
    """Luma (h, w, 1), or with alpha (h, w, 2)."""
    if codes.shape[2] < 3:
        return codes
    luma = (codes[..., :3].astype(np.int64) @ _LUMA + 500) // 1000
    return np.concatenate([luma[..., None].astype(np.uint8), codes[..., 3:]], axis=-1)


def on_white(codes: Codes) -> Codes:
    """Without alpha: what lies behind is white."""
    if codes.shape[2] not in (2, 4):
        return codes
    alpha = codes[..., -1:].astype(np.int64)
    mixed = (codes[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def heat(values: NDArray[np.floating]) -> Codes:
    """Colours (h, w, 3) of values (h, w): black for 0, then red, yellow, and white from 1 on."""
    rising = np.clip(np.nan_to_num(values)[..., None] * 3 - np.arange(3), 0, 1)
    return np.asarray(np.floor(rising * 255 + 0.5), dtype=np.uint8)
