"""Errors as problem+json (RFC 9457), of the classes of errors.py and of HTTP's own."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inrcodec.errors import BackendMissing, InrError, Interrupted, LimitExceeded, TargetMissed, UsageError

MEDIA_TYPE = "application/problem+json"
STATUS = {UsageError: 400, LimitExceeded: 413, TargetMissed: 422, BackendMissing: 501, Interrupted: 503}  # other errors of the package: 422
TITLES = {400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not found", 405: "Method not allowed", 409: "Conflict"}
MORE_TITLES = {413: "Too large", 415: "Unsupported media type", 416: "Range not satisfiable", 421: "Misdirected request"}
LAST_TITLES = {422: "Cannot be processed", 429: "Too many requests", 500: "Internal error", 501: "Not available", 503: "Unavailable"}


class Refused(Exception):
    """An answer other than what was asked for: of HTTP, not of a signal or a file."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})


def status_of(error: Exception) -> int:
    if isinstance(error, Refused):
        return error.status
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, MemoryError):
        return 413
    if not isinstance(error, InrError):
        return 500
    return next((status for kind, status in STATUS.items() if isinstance(error, kind)), 422)


def problem_of(error: Exception, *, request_id: str | None = None) -> dict[str, Any]:
    """type, title, status, detail; of the package's errors their class and the exit code that the command line would have."""
    status = status_of(error)
    titles = TITLES | MORE_TITLES | LAST_TITLES
    told: dict[str, Any] = {"type": "about:blank", "title": titles.get(status, "Error"), "status": status}
    if isinstance(error, InrError):
        name = type(error).__name__
        told |= {"type": f"urn:inrcodec:error:{kebab(name)}", "error": name, "exit_code": error.exit_code}
    told["detail"] = detail_of(error)
    return told if request_id is None else told | {"request_id": request_id}


def detail_of(error: Exception) -> str:
    """One line. What was not foreseen says nothing of the inside."""
    if isinstance(error, Refused | HTTPException):
        return str(error.detail)
    if isinstance(error, MemoryError):
        return "out of memory; ask for a region, or for a smaller scale"
    return " ".join(str(error).split()) if isinstance(error, InrError) else "internal error"


def kebab(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


def answer(error: Exception, *, request_id: str | None = None) -> Response:
    headers = dict(getattr(error, "headers", None) or {})
    if status_of(error) == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="inrcodec"')
    return JSONResponse(problem_of(error, request_id=request_id), status_of(error), headers=headers, media_type=MEDIA_TYPE)


@contextmanager
def told_as(path: str | os.PathLike[str], name: str) -> Iterator[None]:
    """A client never learns where the server keeps a file: errors inside call it `name`."""
    try:
        yield
    except InrError as error:
        raise type(error)(str(error).replace(os.fspath(path), name)) from error


async def handle(request: Request, error: Exception) -> Response:
    return answer(error, request_id=request.scope.get("request_id"))
