"""A line for every request, as text or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime

FIELDS = ("request_id", "method", "path", "status", "bytes", "ms", "client")
LOGGERS = ("inrcodec.serve", "uvicorn.error")
FORMATS = ("text", "json")


class Lines(logging.Formatter):
    """kind: text or json. Control characters never come out as they are."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        failed = self.formatException(record.exc_info) if record.exc_info else None
        if self._kind == "json":
            found = {"time": when, "level": record.levelname.lower(), "message": record.getMessage().strip(), **told}
            return json.dumps(found if failed is None else found | {"traceback": failed})
        shown = " ".join(f"{name}={printable(str(value))}" for name, value in told.items())
        line = f"{when} {record.levelname.lower()} {printable(record.getMessage().strip())} {shown}".rstrip()
        return line if failed is None else f"{line}\n{failed}"


def printable(text: str) -> str:
    return text if text.isascii() and text.isprintable() else text.encode("unicode_escape").decode("ascii")


def begin_logs(kind: str, *, quiet: bool = False) -> None:
    """From now on to stderr; with `quiet` no requests, warnings and errors only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(kind))
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO if name == "inrcodec.serve" and not quiet else logging.WARNING)
