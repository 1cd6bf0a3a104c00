"""What routes that decode have in common: files opened aside, answers made once, kept, and told apart by an ETag."""

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from inrcodec.decoder import Inr
from inrcodec.serve.objects import FOR_EVER
from inrcodec.serve.problems import Refused, told_as
from inrcodec.serve.service import Service, service_of
from inrcodec.serve.workers import Answer
from inrcodec.version import VERSION

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


async def opened(request: Request, name: str) -> Inr:
    """The file of an id. Raises Refused (404), and what a file has wrong."""
    service = service_of(request)
    path = service.objects.path(name)
    held = service.opened.held(name)
    if held is not None:
        return held
    with told_as(path, name):
        return await service.workers.run(lambda: service.opened(name), key=("open", name))


async def answered(
    request: Request,
    key: tuple[Any, ...],
    make: Callable[[], Answer],
    *,
    headers: Mapping[str, str] | None = None,
    ranges: bool = False,
) -> Response:
    """What `make` gives for `key`, which says all that it depends on; nothing is made for who has it. With `ranges`, a part of it."""
    service: Service = service_of(request)
    etag = f'"{hashlib.sha256(repr((VERSION, key)).encode()).hexdigest()[:32]}"'
    told = {"ETag": etag, "Cache-Control": FOR_EVER, **(headers or {})}
    if same(request.headers.get("if-none-match", ""), etag):
        return Response(status_code=304, headers=told)
    made = await service.workers.answer(key, make)
    if not ranges:
        return Response(made.body, media_type=made.media_type, headers=told)
    told["Accept-Ranges"] = "bytes"
    wanted = request.headers.get("range", "")
    part = part_of(wanted, len(made.body)) if request.headers.get("if-range", etag) == etag else None
    if part is None:
        return Response(made.body, media_type=made.media_type, headers=told)
    told["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{len(made.body)}"
    return Response(made.body[slice(*part)], 206, media_type=made.media_type, headers=told)


def same(asked: str, etag: str) -> bool:
    """Whether an If-None-Match names an ETag, weakly compared."""
    return any(each.strip().removeprefix("W/") in (etag, "*") for each in asked.split(","))


def part_of(asked: str, length: int) -> tuple[int, int] | None:
    """The bytes (start, stop) that a Range of one part asks for; None where it asks for several, or is none. Raises Refused (416)."""
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, length - int(last)), length
    else:
        start, stop = int(first), min(length, int(last) + 1 if last else length)
    if first and last and int(last) < int(first):
        return None
    if start >= stop:
        raise Refused(416, f"range: expected a part of {length} bytes, got {asked[:80]!r}", headers={"Content-Range": f"bytes */{length}"})
    return start, stop
