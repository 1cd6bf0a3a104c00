"""HTTP/1.1 with bounds of time: nobody holds a connection by sending or taking as little as possible."""

import asyncio
import json
import logging
import sys
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from inrcodec.serve.problems import MEDIA_TYPE, Refused, problem_of
from inrcodec.serve.settings import Bounds

LOG = logging.getLogger("inrcodec.serve")
REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    503: "Service Unavailable",
}
DISCARDED = 64 << 20  # bytes of a body that are still taken after its answer, so that a client that only sends comes to read it


class BoundedProtocol(H11Protocol):
    """uvicorn's protocol of h11, which closes a connection

    - whose request head is not whole head_seconds after its first byte (408), or is longer than head_bytes (431)
    - that rests for idle_seconds
    - whose body pauses for idle_seconds, or comes more slowly than `rate` once idle_seconds are over (408)
    - that takes its answer more slowly than `rate`
    - beyond the number of connections (503)
    """

    def __init__(
        self,
        bounds: Bounds,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._bounds = bounds
        self._phase = ""
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._begun, self._received, self._unsent = 0.0, 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._bounds.connections:
            self._refuse(503, f"server: {self._bounds.connections} connections are open")
        else:
            self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        _cancel(self._reading)
        _cancel(self._writing)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """What h11 does not read. (uvicorn calls this while it handles h11's error.)"""
        hint = getattr(sys.exception(), "error_status_hint", 400)
        self._refuse(hint if hint in REASONS else 400, str(sys.exception() or msg))

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:
            self._begun, self._received = self.loop.time(), 0
        self._look()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._writing)

    def shutdown(self) -> None:
        """An answer is completed, but for one that has no end."""
        cycle = self.cycle
        if self.transport.is_closing():
            return
        if cycle is not None and cycle.response_started and not cycle.response_complete and self.scope.get("endless"):
            self.transport.write(self.conn.send(h11.EndOfMessage()) or b"")
            cycle.disconnected = cycle.response_complete = True
            cycle.message_event.set()
            self.transport.close()
            return
        super().shutdown()

    def _look(self) -> None:
        """Begin to measure what the client is at."""
        phase = self._now_at()
        if phase != self._phase:
            self._begun = self.loop.time()
            if phase == "body":
                self._received = 0
        elif phase != "body":
            return
        _cancel(self._reading)
        self._phase = phase
        bounds, now = self._bounds, self.loop.time()
        if phase == "closing":
            self._watch_writing()
        elif phase == "head":
            self._reading = self.loop.call_later(bounds.head_seconds, self._late, f"head: expected within {bounds.head_seconds:g} s")
        elif phase == "rest":
            self._reading = self.loop.call_later(bounds.idle_seconds, self.transport.close)
        elif phase == "body":
            if self._answered() and self._received > DISCARDED:
                self.transport.close()
                return
            due = min(now, self._begun + self._received / bounds.rate) + bounds.idle_seconds
            self._reading = self.loop.call_later(max(0.0, due - now), self._late, "body: comes too slowly")

    def _now_at(self) -> str:
        if self.transport.is_closing():
            return "closing"
        if self.conn.their_state is h11.IDLE:
            return "head" if self.conn.trailing_data[0] else "rest"
        return "body" if self.conn.their_state is h11.SEND_BODY else ""

    def _answered(self) -> bool:
        return self.conn.our_state in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED)

    def _late(self, detail: str) -> None:
        if self._phase == "body" and self.flow.read_paused:  # it is we who do not read
            self._begun, self._received = self.loop.time(), 0
            self._look()
        else:
            self._refuse(408, detail)

    def _refuse(self, status: int, detail: str) -> None:
        """Answer where there is no answer yet, and close."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            scope: Any = self.scope
            scope["cut"] = status
            cycle.disconnected = True
            cycle.message_event.set()
        else:
            LOG.info("refused", extra={"status": status, "client": (self.client or ("-",))[0]})
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps(problem_of(Refused(status, detail))).encode()
            lines = (
                f"HTTP/1.1 {status} {REASONS[status]}",
                f"Content-Type: {MEDIA_TYPE}",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            self.transport.write("\r\n".join((*lines, "", "")).encode() + body)
        self.transport.close()
        self._look()

    def _watch_writing(self) -> None:
        _cancel(self._writing)
        self._unsent = self.transport.get_write_buffer_size()
        if self._unsent:
            self._writing = self.loop.call_later(self._bounds.idle_seconds, self._check_writing)

    def _check_writing(self) -> None:
        taken = self._unsent - self.transport.get_write_buffer_size()
        if taken < self._bounds.rate * self._bounds.idle_seconds:
            self.transport.abort()
        else:
            self._watch_writing()


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
