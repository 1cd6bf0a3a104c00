"""A server at a socket that is already bound, until it is told to end."""

import signal
import socket

import uvicorn
from starlette.types import ASGIApp

LAST_SECONDS = 1  # that answers under way are given at the end


def run(app: ASGIApp, bound: socket.socket) -> None:
    """Returns after SIGINT or SIGTERM, so that whoever calls can tidy up. No access log: addresses may hold a token."""
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=LAST_SECONDS)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        uvicorn.Server(config).run(sockets=[bound])
    except KeyboardInterrupt:  # uvicorn raises again what ended it
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
