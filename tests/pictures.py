"""Small pictures and files of them, for the tests of images."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from inrcodec.signals.base import Signal

H, W = 11, 14
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"


def picture(c: int, bits: int = 8) -> NDArray[Any]:
    """A smooth picture (H, W, c) that differs in every corner and uses the whole range; alpha, where there is one, is above 0."""
    y, x = np.mgrid[:H, :W]
    waves = np.stack([x / (W - 1), y / (H - 1), (x + 2 * y) / (W + 2 * H - 3), 0.2 + 0.8 * (x + y) / (H + W - 2)], axis=-1)
    values = waves[:, :, {1: [2], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[c]]
    return np.floor(values * (2**bits - 1) + 0.5).astype(np.uint8 if bits <= 8 else np.uint16)


def from_codes(codes: NDArray[Any]) -> Image.Image:
    return Image.fromarray(codes[:, :, 0] if codes.shape[2] == 1 else codes)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def codes_of(signal: Signal) -> NDArray[np.int64]:
    """The integer codes behind the values, which must be exactly them where they count."""
    top = 2**signal.bits - 1
    codes = np.floor(signal.values.astype(np.float64) * top + 0.5).astype(np.int64)
    wrong = signal.values != (codes / top).astype(np.float32)
    assert not (wrong if signal.weights is None else wrong & (signal.weights > 0)).any()
    return codes


def png(width: int, height: int, depth: int, kind: int, rows: list[bytes], *chunks: tuple[bytes, bytes], interlace: int = 0) -> bytes:
    """A PNG of unfiltered rows, written without a library."""

    def chunk(name: bytes, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlace))
    packed = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*c) for c in chunks) + packed + chunk(b"IEND", b"")
