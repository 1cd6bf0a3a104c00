"""Image codecs beside which the codec is measured: JPEG, WebP and AVIF of Pillow, JPEG XL of pillow-jxl-plugin."""

import importlib
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from inrcodec.bench.base import Array, Missing, Peer, Trial
from inrcodec.bench.machine import versions

QUALITIES = (2, *range(5, 100, 5), 98)  # on every codec's own scale of 0 to 100
LABELS = {"jpeg": "JPEG", "jpeg-444": "JPEG 4:4:4", "webp": "WebP", "avif": "AVIF 4:4:4", "jxl": "JPEG XL"}
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"optimize": True}),
    "jpeg-444": ("JPEG", {"optimize": True, "subsampling": "4:4:4"}),
    "webp": ("WEBP", {"method": 6}),
    "avif": ("AVIF", {"subsampling": "4:4:4", "speed": 4}),
    "jxl": ("JXL", {"effort": 7}),
}


def image_peers() -> tuple[Peer | Missing, ...]:
    """Every codec of LABELS, as installed or as missing. Trials want (h, w, 3) uint8."""
    return tuple(_peer(name) for name in LABELS)


def _peer(name: str) -> Peer | Missing:
    from PIL import features

    form, options = _OPTIONS[name]
    pillow = f"Pillow {versions(('pillow',))['pillow']}"
    if form == "JXL":
        try:
            importlib.import_module("pillow_jxl")
        except ImportError:
            return Missing(name, "pillow-jxl-plugin is not installed; install it with: pip install pillow-jxl-plugin")
        version = f"pillow-jxl-plugin {versions(('pillow-jxl-plugin',))['pillow-jxl-plugin']}, {pillow}"
    else:
        feature = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif"}[form]
        if not features.check(feature):
            return Missing(name, f"{pillow} was built without {form}")
        version = f"{pillow} with {feature} {features.version(feature)}"
    return Peer(name, version, partial(_trials, form=form, options=options))


def _trials(pixels: Array, *, form: str, options: dict[str, Any]) -> list[Trial]:
    return [Trial(f"quality={quality}", _encoder(pixels, form, {**options, "quality": quality}), _decode) for quality in QUALITIES]


def _encoder(pixels: Array, form: str, options: dict[str, Any]) -> Callable[[], bytes]:
    def encode() -> bytes:
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(pixels).save(out, form, **options)
        return out.getvalue()

    return encode


def _decode(stream: bytes) -> Array:
    from PIL import Image

    with Image.open(io.BytesIO(stream)) as image:
        return np.asarray(image.convert("RGB"))
