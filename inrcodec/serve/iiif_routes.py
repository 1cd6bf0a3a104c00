"""/iiif/3: images, slices and frames by the IIIF Image API 3.0, level 2."""

import json
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from inrcodec.decoder import Inr
from inrcodec.serve.answers import answered, opened
from inrcodec.serve.iiif import PROFILE_LINK, Asked, Image, Most, canonical, info, json_type, parse
from inrcodec.serve.pictures import FORMATS, Look, picture
from inrcodec.serve.planes import Plane, Tone, plane_of, resampled, shown_channels, toned
from inrcodec.serve.problems import Refused
from inrcodec.serve.service import service_of
from inrcodec.serve.settings import Bounds
from inrcodec.serve.workers import Answer

PREFIX = "/iiif/3/"
SETTLED = "public, max-age=3600"  # of what depends on the server's bounds too

router = APIRouter()


async def iiif(request: Request) -> Response:
    """Segments are decoded one by one: an identifier may hold an encoded slash."""
    raw = request.scope.get("raw_path", request.url.path.encode()).decode("ascii", "replace").partition("?")[0]
    segments = [unquote(each) for each in raw.removeprefix(PREFIX).split("/")]
    inr = await opened(request, segments[0])
    own = f"{str(request.base_url).rstrip('/')}{PREFIX}{segments[0]}"
    if len(segments) == 1 or segments[1:] == [""]:
        return RedirectResponse(f"{own}/info.json", 303)
    plane = plane_of(inr)
    bounds = service_of(request).settings.bounds
    image = image_of(inr, plane, bounds)
    if segments[1:] == ["info.json"]:
        kind = json_type(request.headers.get("accept"))
        headers = {"Vary": "Accept", "Cache-Control": SETTLED, "Link": PROFILE_LINK}
        return Response(json.dumps(info(image, own)), headers=headers, media_type=kind)
    if len(segments) != 5:
        raise Refused(404, f"iiif: expected info.json or region/size/rotation/quality.format, got {'/'.join(segments[1:])[:80]!r}")
    asked = parse(image, *segments[1:])
    one = canonical(image, asked)
    headers = {"Link": f'<{own}/{one}>;rel="canonical", {PROFILE_LINK}'}
    return await answered(request, ("iiif", segments[0], asked), lambda: drawn(inr, plane, asked, work=bounds.work), headers=headers)


def image_of(inr: Inr, plane: Plane, bounds: Bounds) -> Image:
    """Of one evaluated sample for each of the picture's."""
    area = min(bounds.output_samples, max(1, bounds.work // max(1, inr.function.work(1))))
    quality = "color" if len(shown_channels(inr.channels)) > 2 else "gray"
    return Image(plane.width, plane.height, Most(bounds.output_side, bounds.output_side, area), quality)


def drawn(inr: Inr, plane: Plane, asked: Asked, *, work: int) -> Answer:
    codes = toned(inr, resampled(inr, plane, asked.region, asked.size, work=work), Tone())
    look = Look(mirrored=asked.mirrored, rotation=asked.rotation, quality=asked.quality, format=asked.format)
    return Answer(picture(codes, look, icc=icc_of(inr)), FORMATS[asked.format])


def icc_of(inr: Inr) -> bytes | None:
    return inr.metadata(strip=True).icc


routes: dict[str, Any] = {"methods": ["GET"], "include_in_schema": False}
router.add_route(PREFIX + "{rest:path}", iiif, **routes)
