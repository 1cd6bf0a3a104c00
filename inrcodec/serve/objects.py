"""/v1/objects: .inr files in and out."""

import os
import pathlib
from email.utils import formatdate
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import FileResponse, Response

from inrcodec.codec import verify
from inrcodec.opening import open_inr
from inrcodec.serve import bodies
from inrcodec.serve.library import Entry, Library
from inrcodec.serve.problems import Refused, told_as
from inrcodec.serve.schemas import ID, PROBLEMS, ObjectDescription, ObjectEntry, ObjectList
from inrcodec.serve.service import Service, service_of
from inrcodec.serve.settings import Bounds
from inrcodec.serve.vetted import check_cost

MEDIA_TYPE = "application/vnd.inrcodec.inr"
FOR_EVER = "public, max-age=31536000, immutable"  # ids are hashes of contents
Id = Annotated[str, Path(pattern=ID, description="sha256- and 64 hexadecimal digits.")]

router = APIRouter(prefix="/v1/objects", tags=["objects"], responses=PROBLEMS)


def told(entry: Entry, service: Service) -> ObjectEntry:
    base = f"/v1/objects/{entry.id}"
    links = {"self": base, "file": f"{base}/file", "iiif": f"/iiif/3/{entry.id}/info.json", "view": f"/view/{entry.id}"}
    return ObjectEntry(id=entry.id, name=entry.name, bytes=entry.nbytes, created=entry.created, source=entry.source, links=links)


@router.post(
    "",
    status_code=201,
    summary="Keep an .inr file",
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def create(request: Request, response: Response, name: Annotated[str, Query(max_length=255)] = "") -> ObjectEntry:
    """The body is the file, whatever its Content-Type. It is opened and unpacked first: a damaged one is refused (422).

    201 where it is new, 200 where it was there.
    """
    service = service_of(request)
    _check_writable(service)
    bounds, objects = service.settings.bounds, service.objects
    path = objects.partial()
    digest = await bodies.into(request, path, bounds.file_bytes)
    try:
        size = path.stat().st_size
        await service.workers.run(lambda: service.check_room(0))
        with told_as(path, "body"):
            await service.workers.run(lambda: _check(path, size, bounds))
        entry, known = await service.workers.run(lambda: _kept(objects, path, digest, name))
    finally:
        path.unlink(missing_ok=True)
    response.status_code = 200 if known else 201
    response.headers["Location"] = f"/v1/objects/{entry.id}"
    return told(entry, service)


@router.get("", summary="What is there, in order of ids")
async def every(
    request: Request,
    cursor: Annotated[str, Query(max_length=71, description="From the answer before.")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ObjectList:
    service = service_of(request)
    found = await service.workers.run(lambda: list(service.objects.entries(after=cursor, most=limit)))
    return ObjectList(objects=[told(entry, service) for entry in found], cursor=found[-1].id if len(found) == limit else None)


@router.get("/{id}", summary="What an object holds")
async def one(request: Request, id: Id) -> ObjectDescription:
    service = service_of(request)
    entry = service.objects.entry(id)
    info = await service.workers.run(lambda: service.opened(id).info)
    return ObjectDescription(**told(entry, service).model_dump(), info=info)


@router.delete("/{id}", status_code=204, summary="Remove an object")
async def remove(request: Request, id: Id) -> Response:
    service = service_of(request)
    _check_writable(service)
    service.objects.remove(id)
    service.opened.forget(id)
    return Response(status_code=204)


@router.get(
    "/{id}/file",
    response_class=FileResponse,
    summary="The .inr file",
    responses={200: {"content": {MEDIA_TYPE: {}}}, 206: {"description": "The part that Range asks for.", "content": {MEDIA_TYPE: {}}}},
)
async def file(request: Request, id: Id) -> Response:
    """With Range: one part or several. The ETag is the SHA-256 of the content."""
    service = service_of(request)
    path, entry = service.objects.path(id), service.objects.entry(id)
    headers = {"ETag": f'"{id}"', "Cache-Control": FOR_EVER, "Last-Modified": formatdate(entry.created, usegmt=True)}
    if f'"{id}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    stem = (entry.name.rsplit(".", 1)[0] if entry.name else "") or id
    return FileResponse(path, media_type=MEDIA_TYPE, filename=f"{stem}.inr", headers=headers)


def _check_writable(service: Service) -> None:
    if service.settings.read_only:
        raise Refused(403, "server: takes no files and no jobs; it only shows what it has")


def _kept(objects: Library, path: pathlib.Path, digest: str, name: str) -> tuple[Entry, bool]:
    """The entry of a file that came, and whether it was there."""
    own = f"sha256-{digest}"
    known = objects.has(own)
    return objects.entry(own) if known else objects.take(path, digest, name=name), known


def _check(path: os.PathLike[str], size: int, bounds: Bounds) -> None:
    """Raises InrError where a file is damaged, or takes more to unpack than it may."""
    inr = open_inr(path, limits=bounds.limits())
    check_cost(inr, size, bounds)
    verify(inr, decode=False)
