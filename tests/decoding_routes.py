"""Routes of decoding and of jobs, as few and as simple as the pages need them: what a page is tested with is known here."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from inrcodec.decoder import Inr
from inrcodec.serve.service import service_of

TILE = 256
JOB = "job-" + "0" * 16
STEPS = 4


def opened(request: Request) -> Inr:
    return service_of(request).opened(request.path_params["id"])


def between(inr: Inr, axis: int, start: float, stop: float, n: int) -> NDArray[np.float64]:
    """Middles of n cells between two places in nominal samples, as coordinates."""
    low, high = inr.bounds[axis]
    return low + (start + (np.arange(n) + 0.5) * (stop - start) / n) / inr.grid_shape[axis] * (high - low)


def window(request: Request, width: int, height: int) -> tuple[list[float], list[int]]:
    query = request.query_params
    region = [float(part) for part in query.get("region", f"0,0,{width},{height}").split(",")]
    return region, [int(part) for part in query.get("size", f"{round(region[2])},{round(region[3])}").split(",")]


def plane(inr: Inr, region: list[float], size: list[int], held: dict[int, float]) -> list[NDArray[np.float64]]:
    """Coordinates of the axes of a picture; `held` are those that stand still, at places in nominal samples."""
    spans = iter([(region[1], region[1] + region[3], size[1]), (region[0], region[0] + region[2], size[0])])
    places = []
    for axis in range(len(inr.grid_shape)):
        start, stop, n = (held[axis], held[axis] + 1, 1) if axis in held else next(spans)
        places.append(between(inr, axis, start, stop, n))
    return places


def png(values: NDArray[Any]) -> Response:
    out = io.BytesIO()
    codes = np.floor(np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    Image.fromarray(codes[..., 0] if codes.shape[-1] == 1 else codes).save(out, "png")
    return Response(out.getvalue(), media_type="image/png")


def picture(request: Request, frame: float | None = None) -> Response:
    inr, query = opened(request), request.query_params
    shape, held = inr.grid_shape, {}
    if len(shape) == 3 and inr.info["kind"] == "video":
        held = {0: float(query.get("frame", 0)) if frame is None else frame}
    elif len(shape) == 3:
        axis = int(query.get("axis", 0))
        held = {axis: float(query.get("index", (shape[axis] - 1) / 2))}
    height, width = [n for axis, n in enumerate(shape) if axis not in held]
    region, size = window(request, width, height)
    values = inr.on(*plane(inr, region, size, held))
    values = values.reshape(size[1], size[0], -1)
    first = inr.info["channels"][0]
    if "low" in first:
        low, high = float(query.get("low", first["low"])), float(query.get("high", first["high"]))
        values = (values[..., :1] - low) / (high - low)
    return png(values)


async def render(request: Request) -> Response:
    return await asyncio.to_thread(picture, request)


async def frames(request: Request) -> Response:
    return await asyncio.to_thread(picture, request, float(request.path_params["t"]))


async def source(request: Request) -> Response:
    service, inr = service_of(request), opened(request)
    entry = service.objects.entry(request.path_params["id"])
    assert entry.source is not None
    whole = np.asarray(Image.open(service.sources.path(entry.source)).convert("RGB")) / 255
    (x, y, w, h), (columns, rows) = window(request, inr.grid_shape[1], inr.grid_shape[0])
    ys, xs = (y + (np.arange(rows) + 0.5) * h / rows).astype(int), (x + (np.arange(columns) + 0.5) * w / columns).astype(int)
    part = whole[np.ix_(ys, xs)]
    if request.url.path.endswith("error.png"):
        decoded = inr.on(*plane(inr, [x, y, w, h], [columns, rows], {}))
        heat = np.clip(8 * np.abs(decoded - part).max(-1, keepdims=True), 0, 1)
        part = np.concatenate([heat, heat**2, 0.3 * (1 - heat)], -1)
    return png(part)


async def mask(request: Request) -> Response:
    inr = opened(request)
    region, size = window(request, inr.grid_shape[1], inr.grid_shape[0])
    found = inr.modulation(*plane(inr, region, size, {}))
    assert found is not None
    return png(found[..., int(request.path_params["k"]), None])


async def description(request: Request) -> Response:
    inr, scale = opened(request), int(request.path_params["scale"])
    height, width = inr.grid_shape
    return Response(
        f'<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" TileSize="{TILE}" Overlap="0" Format="png">'
        f'<Size Width="{width * scale}" Height="{height * scale}"/></Image>',
        media_type="application/xml",
    )


async def tile(request: Request) -> Response:
    inr, facts = opened(request), request.path_params
    scale, level, column, row = (int(facts[name]) for name in ("scale", "level", "column", "row"))
    height, width = inr.grid_shape
    each = scale * 2.0 ** (level - int(np.ceil(np.log2(scale * max(width, height)))))
    columns, rows = (min(TILE, int(np.ceil(n * each)) - TILE * at) for n, at in ((width, column), (height, row)))
    left, top = column * TILE / each, row * TILE / each
    region = [left, top, min(columns / each, width - left), min(rows / each, height - top)]
    return await asyncio.to_thread(lambda: png(inr.on(*plane(inr, region, [columns, rows], {}))))


async def mesh(request: Request) -> Response:
    resolution, form = int(request.query_params.get("resolution", 64)), request.path_params["form"]
    body = await asyncio.to_thread(lambda: opened(request).mesh(resolution=resolution).to_bytes(f".{form}"))
    return Response(body, media_type="model/gltf-binary")


async def sound(request: Request) -> Response:
    inr, query = opened(request), request.query_params
    step = inr.info["space"]["spacing"][0]
    rate, start, stop = (
        int(query.get("rate", round(1 / step))),
        float(query.get("start", 0)),
        float(query.get("stop", step * inr.grid_shape[0])),
    )
    n = round((stop - start) * rate)
    values = inr.on(between(inr, 0, start / step, stop / step, n))
    codes = np.round(np.clip(values, -1, 1) * 32767).astype("<i2").tobytes()
    channels = values.shape[-1]
    head = np.array([16, 1 | channels << 16, rate, 2 * channels * rate, 2 * channels | 16 << 16], "<u4").tobytes()
    size = len(codes).to_bytes(4, "little")
    body = b"RIFF" + (36 + len(codes)).to_bytes(4, "little") + b"WAVEfmt " + head + b"data" + size + codes
    return Response(body, media_type="audio/wav")


def job(state: str, step: int, made: str | None = None) -> dict[str, Any]:
    progress = {"stage": "fit", "step": step, "steps": STEPS, "psnr": 30.0 + step, "bytes": 1000 * step, "eta": float(STEPS - step)}
    return {"id": JOB, "state": state, "name": "photo.png", "progress": progress, "object": made, "problem": None, "links": {}}


async def start(request: Request) -> Response:
    request.app.state.asked = dict(request.query_params)
    await request.body()
    return JSONResponse(job("queued", 0), 202, headers={"Location": f"/v1/jobs/{JOB}"})


async def listed(request: Request) -> Response:
    return JSONResponse({"jobs": [], "cursor": None})


async def events(request: Request) -> Response:
    made = service_of(request).objects.ids()[0]

    async def parts() -> AsyncIterator[str]:
        for step in range(1, STEPS + 1):
            yield f"event: progress\ndata: {json.dumps(job('running', step))}\n\n"
            await asyncio.sleep(0.05)
        yield f"event: end\ndata: {json.dumps(job('succeeded', STEPS, made))}\n\n"

    return StreamingResponse(parts(), media_type="text/event-stream")


OBJECT = "/v1/objects/{id}"
ROUTES = (
    Route(f"{OBJECT}/render", render),
    Route(f"{OBJECT}/source.png", source),
    Route(f"{OBJECT}/error.png", source),
    Route(f"{OBJECT}/masks/{{k:int}}.png", mask),
    Route(f"{OBJECT}/mesh.{{form}}", mesh),
    Route(f"{OBJECT}/audio.wav", sound),
    Route(f"{OBJECT}/frames/{{t}}.png", frames),
    Route("/dzi/{scale:int}/{id}.dzi", description),
    Route("/dzi/{scale:int}/{id}_files/{level:int}/{column:int}_{row:int}.png", tile),
    Route("/v1/jobs", start, methods=["POST"]),
    Route("/v1/jobs", listed),
    Route("/v1/jobs/{job}/events", events),
)
