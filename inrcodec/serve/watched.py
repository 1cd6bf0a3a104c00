"""Every request is counted and logged, and an error that nobody foresaw is told to the log alone."""

import asyncio
import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inrcodec.serve.guard import without_token
from inrcodec.serve.metrics import Metrics
from inrcodec.serve.problems import Refused, answer

LOG = logging.getLogger("inrcodec.serve")
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Watched:
    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin, method, target = time.perf_counter(), scope["method"], target_of(scope)
        status, nbytes = 499, 0  # where a client goes away before it is answered

        async def sent(message: Message) -> None:
            nonlocal status, nbytes
            if message["type"] == "http.response.start":
                status = message["status"]
            nbytes += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, sent)
        except asyncio.CancelledError:
            # The server ends, and has waited as long as it does.
            if status == 499:
                await answer(Refused(503, "server: ends"), request_id=scope.get("request_id"))(scope, receive, sent)
        except Exception:
            LOG.exception("internal error", extra={"request_id": scope.get("request_id")})
            if status == 499:
                raise
        finally:
            status, seconds = scope.get("cut", status), time.perf_counter() - begin
            self._metrics.add(method if method in METHODS else "other", route_of(scope), status, seconds=seconds, nbytes=nbytes)
            told = {"request_id": scope.get("request_id"), "method": method, "path": target, "status": status, "bytes": nbytes}
            LOG.info("request", extra=told | {"ms": round(1000 * seconds, 1), "client": (scope.get("client") or ("-",))[0]})


def route_of(scope: Scope) -> str:
    """The template of the route that answered."""
    return str(getattr(scope.get("route"), "path", "other"))


def target_of(scope: Scope) -> str:
    """Path and query as they were sent, without what must not be known."""
    query, _ = without_token(scope["query_string"])
    return str(scope["raw_path"].decode("latin-1")) + ("?" + query if query else "")
