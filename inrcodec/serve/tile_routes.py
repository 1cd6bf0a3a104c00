"""/dzi and /tiles: levels of a picture in tiles. XYZ tiles at an edge are filled up, with nothing, to their whole size."""

import json
import re
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from inrcodec.decoder import Inr
from inrcodec.serve.answers import answered, opened
from inrcodec.serve.deepzoom import XYZ_TILE, Level, dzi, dzi_level, filled, tilejson, xyz_level
from inrcodec.serve.iiif_routes import SETTLED, icc_of
from inrcodec.serve.library import checked
from inrcodec.serve.pictures import FORMATS, Look, picture
from inrcodec.serve.planes import Box, Plane, Tone, of_grid, plane_of, toned
from inrcodec.serve.problems import Refused
from inrcodec.serve.service import service_of
from inrcodec.serve.workers import Answer

router = APIRouter()
_NUMBER = re.compile(r"\d{1,9}", re.ASCII)
_TILE = re.compile(r"(\d{1,9})_(\d{1,9})", re.ASCII)


async def dzi_document(request: Request) -> Response:
    name = request.path_params["id"]
    inr = await opened(request, checked(name))
    plane, scale = plane_of(inr), _scale(request)
    form = _format(request.query_params.get("format", _default(inr)))
    body = dzi(plane.width, plane.height, scale, form)
    return await answered(request, ("dzi", name, scale, form), lambda: Answer(body, "application/xml"))


async def dzi_tile(request: Request) -> Response:
    name, form = request.path_params["id"], _format(request.path_params["form"])
    place = _TILE.fullmatch(request.path_params["place"])
    if place is None:
        raise Refused(404, f"tile: expected column_row, got {request.path_params['place'][:80]!r}")
    inr = await opened(request, checked(name))
    plane = plane_of(inr)
    level = dzi_level(plane.width, plane.height, _scale(request), _number(request, "level"))
    box = level.box(int(place[1]), int(place[2]))
    return await answered(request, ("tile", name, level, box, form), lambda: tile(inr, plane, level, box, form, work=_work(request)))


async def xyz_document(request: Request) -> Response:
    name = request.path_params["id"]
    inr = await opened(request, checked(name))
    plane, form = plane_of(inr), _format(request.query_params.get("format", _default(inr)))
    own = f"{str(request.base_url).rstrip('/')}/tiles/{name}"
    described = tilejson(plane.width, plane.height, own, name=service_of(request).objects.entry(name).name or name, form=form)
    return Response(json.dumps(described), headers={"Cache-Control": SETTLED}, media_type="application/json")


async def xyz_tile(request: Request) -> Response:
    name, form = request.path_params["id"], _format(request.path_params["form"])
    inr = await opened(request, checked(name))
    plane = plane_of(inr)
    level = xyz_level(plane.width, plane.height, _number(request, "z"))
    box = level.box(_number(request, "x"), _number(request, "y"))
    key = ("filled", name, level, box, form)
    return await answered(request, key, lambda: tile(inr, plane, level, box, form, work=_work(request), side=XYZ_TILE))


def tile(inr: Inr, plane: Plane, level: Level, box: Box, form: str, *, work: int, side: int | None = None) -> Answer:
    codes = toned(inr, of_grid(inr, plane, (level.width, level.height), box, work=work), Tone())
    codes = codes if side is None else filled(codes, side)
    return Answer(picture(codes, Look(format=form), icc=icc_of(inr)), FORMATS[form])


def _work(request: Request) -> int:
    return service_of(request).settings.bounds.work


def _scale(request: Request) -> int:
    return _number(request, "scale") if "scale" in request.path_params else 1


def _number(request: Request, name: str) -> int:
    text = request.path_params[name]
    if _NUMBER.fullmatch(text) is None:
        raise Refused(404, f"{name}: expected a whole number, got {text[:80]!r}")
    return int(text)


def _format(form: str) -> str:
    if form not in FORMATS:
        raise Refused(404, f"format: expected one of {', '.join(FORMATS)}, got {form[:80]!r}")
    return form


def _default(inr: Inr) -> str:
    """What JPEG cannot hold goes into PNG."""
    return "png" if inr.missing is not None or any(channel.role == "alpha" for channel in inr.channels) else "jpg"


_ROUTES: tuple[tuple[str, Any], ...] = (
    ("/dzi/{id}.dzi", dzi_document),
    ("/dzi/{scale}/{id}.dzi", dzi_document),
    ("/dzi/{id}_files/{level}/{place}.{form}", dzi_tile),
    ("/dzi/{scale}/{id}_files/{level}/{place}.{form}", dzi_tile),
    ("/tiles/{id}/tilejson.json", xyz_document),
    ("/tiles/{id}/{z}/{x}/{y}.{form}", xyz_tile),
)
for path, endpoint in _ROUTES:
    router.add_route(path, endpoint, methods=["GET"], include_in_schema=False)
