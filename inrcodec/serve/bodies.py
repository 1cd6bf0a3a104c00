"""What a client sends, within bounds that are kept while it comes."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
from starlette.requests import ClientDisconnect, Request

from inrcodec.serve.problems import Refused


async def parts(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body in parts. Raises Refused (413) as soon as it is, or says that it will be, longer than `most` bytes."""
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > most:
        raise Refused(413, f"body: {stated} bytes: expected at most {most}")
    total = 0
    try:
        async for part in request.stream():
            total += len(part)
            if total > most:
                raise Refused(413, f"body: expected at most {most} bytes")
            yield part
    except ClientDisconnect as error:
        raise Refused(400, "body: the client went away") from error


async def whole(request: Request, most: int) -> bytes:
    return b"".join([part async for part in parts(request, most)])


async def into(request: Request, path: Path, most: int) -> str:
    """Write the body to a file; its SHA-256 in hexadecimal. The file is removed where that fails."""
    total = hashlib.sha256()
    try:
        async with await anyio.open_file(path, "wb") as file:
            async for part in parts(request, most):
                total.update(part)
                await file.write(part)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return total.hexdigest()
