"""The IIIF Image API 3.0 as pure functions: its requests, what describes an image, its headers. https://iiif.io/api/image/3.0/

Sizes with ^ ask for more samples than the region has, which the function is evaluated for; only their number bounds them.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor, isqrt
from typing import Any

from inrcodec.serve.pictures import FORMATS, QUALITIES
from inrcodec.serve.planes import Box
from inrcodec.serve.problems import Refused

CONTEXT = "http://iiif.io/api/image/3/context.json"
PROTOCOL = "http://iiif.io/api/image"
PROFILE = "level2"
PROFILE_LINK = f'<{PROTOCOL}/3/{PROFILE}.json>;rel="profile"'
LD_JSON, PLAIN_JSON = "application/ld+json", "application/json"
FEATURES = ("canonicalLinkHeader", "mirroring", "profileLinkHeader", "sizeUpscaling")  # beyond level 2
LEVEL_FORMATS = ("jpg", "png")  # of level 2
TILE = 512

_INTEGER, _DECIMAL = "[0-9]{1,9}", r"(?:[0-9]{1,9}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})"
_REGIONS = {
    "whole": re.compile("full|square"),
    "pixels": re.compile(rf"({_INTEGER}),({_INTEGER}),({_INTEGER}),({_INTEGER})"),
    "percent": re.compile(rf"pct:({_DECIMAL}),({_DECIMAL}),({_DECIMAL}),({_DECIMAL})"),
}
_SIZES = {
    "max": re.compile(r"(\^?)max"),
    "width": re.compile(rf"(\^?)({_INTEGER}),"),
    "height": re.compile(rf"(\^?),({_INTEGER})"),
    "percent": re.compile(rf"(\^?)pct:({_DECIMAL})"),
    "both": re.compile(rf"(\^?)({_INTEGER}),({_INTEGER})"),
    "within": re.compile(rf"(\^?)!({_INTEGER}),({_INTEGER})"),
}
_ROTATION = re.compile(rf"(!?)({_DECIMAL})")


@dataclass(frozen=True)
class Most:
    """The largest pictures that are given: maxWidth, maxHeight, maxArea."""

    width: int
    height: int
    area: int

    def holds(self, width: int, height: int) -> bool:
        return width <= self.width and height <= self.height and width * height <= self.area


@dataclass(frozen=True)
class Image:
    """An image as its requests see it; quality: what `default` is of it."""

    width: int
    height: int
    most: Most
    quality: str = "color"


@dataclass(frozen=True)
class Asked:
    """A request. The quality is "default" where it is the image's."""

    region: Box
    size: tuple[int, int]  # width, height, before rotation
    mirrored: bool
    rotation: int
    quality: str
    format: str


def parse(image: Image, region: str, size: str, rotation: str, last: str) -> Asked:
    """The request of four decoded segments of a path. Raises Refused (400) for what the API does not know or this image does not have."""
    box = region_of(region, image.width, image.height)
    mirrored, turn = rotation_of(rotation)
    quality, dot, form = last.rpartition(".")
    if not dot or quality not in QUALITIES:
        raise _wrong("quality", f"one of {', '.join(QUALITIES)}, then a dot and a format", last)
    if form not in FORMATS:
        raise _wrong("format", f"one of {', '.join(FORMATS)}", form)
    plain = "default" if quality == image.quality else quality
    return Asked(box, size_of(size, box.w, box.h, image.most), mirrored, turn, plain, form)


def region_of(text: str, width: int, height: int) -> Box:
    """The part of an image, cut at its edges."""
    kind, found = _matched(_REGIONS, text, "region", "full, square, x,y,w,h or pct:x,y,w,h")
    if kind == "whole":
        side = min(width, height)
        return Box(0, 0, width, height) if text == "full" else Box((width - side) // 2, (height - side) // 2, side, side)
    x, y, w, h = (Fraction(each) for each in found)
    if kind == "percent":
        x, y, w, h = x * width / 100, y * height / 100, w * width / 100, h * height / 100
    left, right = _rounded(x), min(_rounded(x + w), width)
    top, bottom = _rounded(y), min(_rounded(y + h), height)
    if left >= right or top >= bottom:
        raise _wrong("region", f"a part of {width}x{height} samples that is not empty", text)
    return Box(left, top, right - left, bottom - top)


def size_of(text: str, width: int, height: int, most: Most) -> tuple[int, int]:
    """Width and height of a region of `width` x `height` samples when it is scaled."""
    kind, (up, *given) = _matched(_SIZES, text, "size", "max, w, or ,h or pct:n or w,h or !w,h, each also after ^")
    larger = up == "^"
    if kind == "max":
        return confined(width, height, most, larger=larger)
    if kind == "within":
        w, h = int(given[0]), int(given[1])
        if not (w and h):
            raise _wrong("size", "sides of at least one sample", text)
        # The API makes this as large as possible, but never larger than the region: !w,h beyond it is no error.
        return confined(width, height, Most(min(w, most.width), min(h, most.height), most.area), larger=larger)
    if kind == "percent":
        share = Fraction(given[0]) / 100
        if share > 1 and not larger:
            raise _wrong("size", "at most pct:100, or ^ before a larger one", text)
        w, h = _rounded(width * share), _rounded(height * share)
    elif kind == "width":
        w, h = int(given[0]), max(1, _rounded(Fraction(height * int(given[0]), width)))
    elif kind == "height":
        w, h = max(1, _rounded(Fraction(width * int(given[0]), height))), int(given[0])
    else:
        w, h = int(given[0]), int(given[1])
    if not (w and h):
        raise _wrong("size", "sides of at least one sample", text)
    if not larger and (w > width or h > height):
        raise _wrong("size", f"at most {width}x{height}, or ^ before a larger one", text)
    if not most.holds(w, h):
        raise _wrong("size", f"at most {most.width}x{most.height} and {most.area} samples", f"{w}x{h}")
    return w, h


def confined(width: int, height: int, most: Most, *, larger: bool) -> tuple[int, int]:
    """The largest size of the same proportions within `most`, and unless `larger` not above the region's own."""
    scale = min(Fraction(most.width, width), Fraction(most.height, height))
    if not larger:
        scale = min(scale, Fraction(1))
    w, h = (max(1, _rounded(side * scale)) for side in (width, height))
    if w * h <= most.area:
        return w, h
    # The shorter side from the area, the longer one from its share of it.
    if width < height:
        long, short = confined(height, width, Most(most.height, most.width, most.area), larger=larger)
        return short, long
    short = max(1, isqrt(most.area * height // width))
    return max(1, min(width * short // height, most.area // short, w)), short


def rotation_of(text: str) -> tuple[bool, int]:
    """Whether it is mirrored, and degrees clockwise: 0, 90, 180 or 270."""
    match = _ROTATION.fullmatch(text)
    degrees = Fraction(match[2]) if match else Fraction(1)
    if match is None or degrees > 360 or degrees % 90:
        raise _wrong("rotation", "a multiple of 90 up to 360, also after !", text)
    return match[1] == "!", int(degrees) % 360


def canonical(image: Image, asked: Asked) -> str:
    """The request in its one canonical form."""
    box, (w, h) = asked.region, asked.size
    region = "full" if (box.w, box.h) == (image.width, image.height) else f"{box.x},{box.y},{box.w},{box.h}"
    if (w, h) == confined(box.w, box.h, image.most, larger=False):
        size = "max"
    elif (w, h) == confined(box.w, box.h, image.most, larger=True):
        size = "^max"
    else:
        size = f"{'^' if w > box.w or h > box.h else ''}{w},{h}"
    return f"{region}/{size}/{'!' if asked.mirrored else ''}{asked.rotation}/{asked.quality}.{asked.format}"


def info(image: Image, own: str) -> dict[str, Any]:
    """info.json of the image at the address `own`."""
    factors = [1]
    while max(image.width, image.height) > TILE * factors[-1]:
        factors.append(2 * factors[-1])
    sizes = [(-(-image.width // factor), -(-image.height // factor)) for factor in reversed(factors)]
    described: dict[str, Any] = {
        "@context": CONTEXT,
        "id": own,
        "type": "ImageService3",
        "protocol": PROTOCOL,
        "profile": PROFILE,
        "width": image.width,
        "height": image.height,
        "maxWidth": image.most.width,
        "maxHeight": image.most.height,
        "maxArea": image.most.area,
        "sizes": [{"width": w, "height": h} for w, h in sizes if image.most.holds(w, h)],
        "extraQualities": [each for each in QUALITIES[1:] if each != "color" or image.quality == "color"],
        "extraFormats": [each for each in FORMATS if each not in LEVEL_FORMATS],
        "extraFeatures": list(FEATURES),
    }
    if image.most.holds(min(TILE, image.width), min(TILE, image.height)):
        described["tiles"] = [{"width": TILE, "scaleFactors": factors}]
    return described


def json_type(accept: str | None) -> str:
    """The media type of info.json: plain JSON where that is preferred."""
    weights = {name: _weight(accept, name) for name in (LD_JSON, PLAIN_JSON)}
    return PLAIN_JSON if weights[PLAIN_JSON] > weights[LD_JSON] else f'{LD_JSON};profile="{CONTEXT}"'


def _weight(accept: str | None, name: str) -> float:
    """The quality that an Accept header gives a media type, by its most exact range."""
    best = (-1, 1.0 if accept is None else 0.0)
    for part in (accept or "").split(","):
        given, *parameters = (each.strip().lower() for each in part.split(";"))
        exact = {name: 2, "application/*": 1, "*/*": 0}.get(given, -1)
        stated = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        weight = float(stated) if re.fullmatch(r"[01](\.\d{0,3})?", stated) else 0.0
        best = max(best, (exact, weight)) if exact >= 0 else best
    return best[1]


def _matched(forms: dict[str, re.Pattern[str]], text: str, what: str, expected: str) -> tuple[str, tuple[str, ...]]:
    """Which of the forms a text has, and its parts."""
    for name, form in forms.items():
        if match := form.fullmatch(text):
            return name, match.groups()
    raise _wrong(what, expected, text)


def _rounded(number: Fraction) -> int:
    return floor(number + Fraction(1, 2))


def _wrong(what: str, expected: str, got: str) -> Refused:
    return Refused(400, f"{what}: expected {expected}, got {got[:80]!r}")
