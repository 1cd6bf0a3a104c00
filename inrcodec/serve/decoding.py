"""/v1/objects/{id}: decodes as pictures, points, meshes and sound."""

import io
import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.serve import bodies
from inrcodec.serve.answers import answered, opened
from inrcodec.serve.iiif_routes import icc_of
from inrcodec.serve.masks import mask_codes, mask_count
from inrcodec.serve.objects import Id
from inrcodec.serve.pictures import FORMATS, Codes, Look, heat, picture
from inrcodec.serve.planes import Box, Plane, Tone, check_size, plane_of, resampled, toned
from inrcodec.serve.problems import Refused
from inrcodec.serve.queries import MSGPACK, NPY, Units, Values, answer_query, type_of
from inrcodec.serve.queries import Query as PointQuery
from inrcodec.serve.schemas import PROBLEMS
from inrcodec.serve.service import service_of
from inrcodec.serve.sources import FULL, errors, resized, source_part
from inrcodec.serve.workers import Answer
from inrcodec.surface import check_shape
from inrcodec.timing import samples_at_rate, time_region

_BOX, _SIZE = r"^[0-9]{1,9},[0-9]{1,9},[0-9]{1,9},[0-9]{1,9}$", r"^[0-9]{1,9},[0-9]{1,9}$"
MESHES = {
    "glb": "model/gltf-binary",
    "stl": "model/stl",
    "ply": "application/octet-stream",
    "obj": "model/obj",
    "off": "application/octet-stream",
}
RESOLUTION = 128

Draw = Callable[[Inr, Plane, Box, tuple[int, int]], Codes]

router = APIRouter(prefix="/v1/objects", tags=["decoding"], responses=PROBLEMS)


class Part(BaseModel):
    """Which picture of a signal, which part of it, and how large. Unknown parameters are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    region: str | None = Field(default=None, pattern=_BOX, description="x,y,w,h in nominal samples; the whole where it is left out.")
    size: str | None = Field(default=None, pattern=_SIZE, description="width,height of the answer; the region's own where it is left out.")
    scale: float | None = Field(default=None, gt=0, le=1e6, description="In place of size: how many times the region's own.")
    axis: int | None = Field(default=None, ge=0, le=2, description="Of a volume: the axis that is cut, 0 where it is left out.")
    index: float | None = Field(
        default=None, ge=0, le=1e9, description="Of a volume: where, in nominal samples; the middle where it is left out."
    )
    frame: float | None = Field(default=None, ge=0, le=1e9, description="Of a video: which frame, between two of them too; the first is 0.")
    t: float | None = Field(default=None, ge=0, le=1e9, description="Of a video, in place of frame: seconds.")

    def plane(self, inr: Inr) -> Plane:
        return plane_of(inr, axis=self.axis, index=self.index, frame=self.frame, seconds=self.t)

    def box(self, plane: Plane) -> Box:
        """Raises UsageError for what is not inside."""
        if self.region is None:
            return plane.whole
        x, y, w, h = map(int, self.region.split(","))
        if not (w and h and x + w <= plane.width and y + h <= plane.height):
            raise UsageError(f"region: expected x,y,w,h within {plane.width}x{plane.height} samples, got {self.region}")
        return Box(x, y, w, h)

    def target(self, box: Box) -> tuple[int, int]:
        """Width and height of the answer."""
        if self.size is not None and self.scale is not None:
            raise UsageError("size, scale: expected one of them, got both")
        if self.size is None:
            scale = 1.0 if self.scale is None else self.scale
            return max(1, math.floor(box.w * scale + 0.5)), max(1, math.floor(box.h * scale + 0.5))
        w, h = map(int, self.size.split(","))
        if not (w and h):
            raise UsageError(f"size: expected at least one sample a side, got {self.size}")
        return w, h


class Window(Part):
    low: float | None = Field(
        default=None, allow_inf_nan=False, description="Of numbers: what is black; the channel's least where left out."
    )
    high: float | None = Field(
        default=None, allow_inf_nan=False, description="Of numbers: what is white; the channel's largest where left out."
    )

    @property
    def tone(self) -> Tone:
        return Tone(self.low, self.high)


class Render(Window):
    format: Literal["png", "jpg", "webp", "tif"] = "png"
    quality: Literal["color", "gray"] = "color"


class Errors(Part):
    most: float = Field(default=FULL, gt=0, le=1, description="Share of the range of the samples from which on the picture is white.")


def _pictures(*forms: str) -> dict[str, Any]:
    return {"response_class": Response, "responses": {200: {"content": {FORMATS[form]: {} for form in forms}}}}


async def _drawn(request: Request, name: str, key: tuple[Any, ...], part: Part, look: Look, make: Draw) -> Response:
    """The picture that `make` draws of a part."""
    inr = await opened(request, name)
    plane = part.plane(inr)
    box = part.box(plane)
    size = part.target(box)
    check_size(service_of(request).settings.bounds, *size)

    def made() -> Answer:
        codes = make(inr, plane, box, size)
        return Answer(picture(codes, look, icc=icc_of(inr) if key[0] in ("render", "source") else None), FORMATS[look.format])

    return await answered(request, (*key, name, plane, box, size, look), made)


def _rendered(request: Request, tone: Tone) -> Draw:
    work = service_of(request).settings.bounds.work
    return lambda inr, plane, box, size: toned(inr, resampled(inr, plane, box, size, work=work), tone)


@router.get("/{id}/render", summary="A picture", **_pictures("png", "jpg", "webp", "tif"))
async def render(request: Request, id: Id, asked: Annotated[Render, Query()]) -> Response:
    """An image, a slice of a volume or a frame of a video, a part of it, at any size, with 8 bits a channel. JPEG has white behind it."""
    look = Look(format=asked.format, quality=asked.quality)
    return await _drawn(request, id, ("render", asked.tone), asked, look, _rendered(request, asked.tone))


@router.get("/{id}/frames/{t}.png", summary="A frame of a video", **_pictures("png"))
async def frame(
    request: Request,
    id: Id,
    t: Annotated[float, Path(ge=0, le=1e9, description="Its index, between two frames too.")],
    region: Annotated[str | None, Query(pattern=_BOX)] = None,
    size: Annotated[str | None, Query(pattern=_SIZE)] = None,
) -> Response:
    """`render` with frame=t."""
    part = Part(region=region, size=size, frame=t)
    return await _drawn(request, id, ("render", Tone()), part, Look(), _rendered(request, Tone()))


@router.get("/{id}/source.png", summary="What it was encoded from", **_pictures("png"))
async def source(request: Request, id: Id, asked: Annotated[Window, Query()]) -> Response:
    """The same part of the source: means where it shrinks, its own samples where it grows. 404 where the source is not here."""
    service, known = service_of(request), _source_id(request, id)

    def make(inr: Inr, plane: Plane, box: Box, size: tuple[int, int]) -> Codes:
        return toned(inr, source_part(inr, service.read_sources(known), plane, box, size), asked.tone)

    return await _drawn(request, id, ("source", known, asked.tone), asked, Look(), make)


@router.get("/{id}/error.png", summary="How far it is from what it was encoded from", **_pictures("png"))
async def error(request: Request, id: Id, asked: Annotated[Errors, Query()]) -> Response:
    """|decoded - source| of nominal samples, mean over the channels: black, red, yellow, white. 404 where the source is not here."""
    service, known = service_of(request), _source_id(request, id)

    def make(inr: Inr, plane: Plane, box: Box, size: tuple[int, int]) -> Codes:
        apart = errors(inr, service.read_sources(known), plane, box)
        return heat(resized(apart[..., None], *size)[..., 0] / asked.most)

    return await _drawn(request, id, ("error", known, asked.most), asked, Look(), make)


def _source_id(request: Request, name: str) -> str:
    service = service_of(request)
    known = service.objects.entry(name).source
    if known is None:
        raise Refused(404, f"{name}: what it was encoded from is not here")
    service.sources.path(known)
    return known


@router.get("/{id}/masks/{k}.png", summary="A learned mask", **_pictures("png"))
async def mask(request: Request, id: Id, k: Annotated[int, Path(ge=0, le=1 << 20)], asked: Annotated[Part, Query()]) -> Response:
    """The k-th, from black for 0 to white for 1. 404 where the network has no such mask."""
    inr = await opened(request, id)
    if k >= mask_count(inr):
        raise Refused(404, f"masks: expected one of the file's {mask_count(inr)}, got {k}")
    work = service_of(request).settings.bounds.work

    def make(inr: Inr, plane: Plane, box: Box, size: tuple[int, int]) -> Codes:
        return mask_codes(inr, plane, box, size, k, work=work)

    return await _drawn(request, id, ("mask", k), asked, Look(), make)


@router.post(
    "/{id}/query",
    response_model=Values,
    summary="Values at points",
    responses={200: {"content": {NPY: {}, MSGPACK: {}}}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": PointQuery.model_json_schema()},
                MSGPACK: {"schema": {"type": "string", "format": "binary"}},
                NPY: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def query(request: Request, id: Id, units: Annotated[Units, Query()] = "domain", gradient: bool = False) -> Response:
    """The answer has the type of the body: JSON, MessagePack of the same, or .npy (n, d) of real numbers, whose answer has as columns the
    values and then, where asked for, channel by channel the derivatives. units and gradient beside the address are for .npy."""
    service = service_of(request)
    bounds = service.settings.bounds
    kind = type_of(request.headers.get("content-type", ""))
    inr = await opened(request, id)
    body = await bodies.whole(request, bounds.body_bytes)
    most = bounds.query_points
    made = await service.workers.run(lambda: answer_query(inr, kind, body, units=units, gradient=gradient, most=most))
    return Response(made.body, media_type=made.media_type)


@router.get(
    "/{id}/mesh.{form}",
    response_class=Response,
    summary="The surface of a shape",
    responses={200: {"content": {kind: {} for kind in MESHES.values()}}},
)
async def mesh(
    request: Request,
    id: Id,
    form: Annotated[Literal["glb", "stl", "ply", "obj", "off"], Path()],
    resolution: Annotated[int | None, Query(ge=2, le=1 << 14, description="Points along a side of the box.")] = None,
) -> Response:
    """In the coordinates of the source."""
    bounds = service_of(request).settings.bounds
    points = min(RESOLUTION, bounds.mesh_resolution) if resolution is None else resolution
    if points > bounds.mesh_resolution:
        raise LimitExceeded(f"resolution: expected at most {bounds.mesh_resolution}, got {points}")
    inr = await opened(request, id)
    check_shape(inr.head)

    def within(_: int, needed: int) -> None:
        if inr.function.work(needed) > bounds.work:
            raise LimitExceeded(f"mesh: {inr.function.work(needed):.3g} multiply-accumulates: expected at most {bounds.work:.3g}")

    def make() -> Answer:
        return Answer(inr.mesh(resolution=points, progress=within).to_bytes(f".{form}"), MESHES[form])

    return await answered(request, ("mesh", id, form, points), make)


@router.get(
    "/{id}/audio.wav",
    response_class=Response,
    summary="Sound",
    responses={200: {"content": {"audio/wav": {}}}, 206: {"description": "The part that Range asks for.", "content": {"audio/wav": {}}}},
)
async def audio(
    request: Request,
    id: Id,
    rate: Annotated[float | None, Query(gt=0, le=1e9, description="Samples a second; the source's where left out.")] = None,
    start: Annotated[float | None, Query(ge=0, le=1e9, description="Seconds.")] = None,
    stop: Annotated[float | None, Query(gt=0, le=1e9, description="Seconds.")] = None,
) -> Response:
    """16-bit WAV, also in parts (Range)."""
    bounds = service_of(request).settings.bounds
    inr = await opened(request, id)
    if inr.head["kind"] != "audio":
        raise UsageError(f"audio: expected sound, got {inr.head['kind']}")
    size = None if rate is None else samples_at_rate(inr.axes, inr.space, rate)
    part = time_region(inr.axes, inr.space, start, stop)
    n, channels = inr.shape
    share = 1.0 if part is None else (part[0][1] - part[0][0]) / n
    nbytes = 2 * channels * share * (n if size is None else size[0])
    if nbytes > bounds.answers_bytes:  # a part is asked for again and again: the whole has to be kept
        raise LimitExceeded(f"audio: {nbytes:.3g} bytes: expected at most {bounds.answers_bytes}; ask for less by start, stop or rate")

    def make() -> Answer:
        out = io.BytesIO()
        inr.write(out, ".wav", name="audio.wav", size=size, region=part, rate=rate)
        return Answer(out.getvalue(), "audio/wav")

    return await answered(request, ("audio", id, rate, start, stop), make, ranges=True)
