"""A server in a thread of this process, over a real socket, and what a client sends it."""

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from inrcodec.serve.app import create_app
from inrcodec.serve.server import listening, make_server
from inrcodec.serve.service import Shown
from inrcodec.serve.settings import Settings


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # by names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    port: int

    def __call__(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Reply:
        """Names of headers with _ for -; `target` is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Reply:
        return self("GET", target, **headers)

    def post(self, target: str, body: bytes = b"", **headers: str) -> Reply:
        return self("POST", target, body, **headers)

    def put(self, data: bytes) -> str:
        """The id of an .inr that is sent."""
        reply = self.post("/v1/objects", data)
        assert reply.status in (200, 201), reply.body
        return str(reply.json["id"])

    def location(self, reply: Reply) -> str:
        return urlsplit(reply.headers["location"]).path


@contextmanager
def served(settings: Settings, shown: Sequence[Shown] = ()) -> Iterator[Client]:
    """A client of a server with these settings but for their port, which is a free one."""
    settings = replace(settings, port=0)
    server = make_server(create_app(settings, shown), settings)
    with listening(settings) as (listener, _):
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + 30
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(timeout=30)
