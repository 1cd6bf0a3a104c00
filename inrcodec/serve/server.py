"""A process that serves: its sockets, its bounds, its end."""

import os
import signal
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from inrcodec.errors import UsageError
from inrcodec.serve.app import create_app
from inrcodec.serve.protocol import BoundedProtocol
from inrcodec.serve.settings import Settings

WAITING = 1024  # connections that wait to be accepted
SPARE_FILES = 256  # that a process opens beside its connections


class Server(uvicorn.Server):
    """Ends by SIGTERM and SIGINT as by a wish: what runs is answered within close_seconds, and the exit code is 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGTERM, signal.SIGINT)
        before = {each: signal.signal(each, self.handle_exit) for each in wanted}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


def make_server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """Where it listens is told to its `run`, as sockets."""
    bounds = settings.bounds
    config = uvicorn.Config(
        app,
        http=partial(BoundedProtocol, bounds),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=list(settings.proxies),
        timeout_keep_alive=max(1, round(bounds.idle_seconds)),
        timeout_graceful_shutdown=bounds.close_seconds,
        h11_max_incomplete_event_size=bounds.head_bytes,
    )
    return Server(config)


def serve(settings: Settings, *, unix: Path | None = None, begun: Callable[[str], object] = str) -> None:
    """Serve until a signal comes; `begun` is told the address. Raises UsageError where it cannot listen there."""
    server = make_server(create_app(settings), settings)
    with listening(settings, unix) as (listener, address):
        allow_files(settings.bounds.connections + SPARE_FILES)
        begun(address)
        server.run(sockets=[listener])


@contextmanager
def listening(settings: Settings, unix: Path | None = None) -> Iterator[tuple[socket.socket, str]]:
    """A bound socket, and the address under which it is reached."""
    if unix is not None:
        with unix_socket(unix) as found:
            yield found, f"unix:{unix}"
        return
    try:
        family, kind, number, _, place = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, number)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {settings.host}: {getattr(error, 'strerror', None) or error}") from error
    with found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(place)
            found.listen(WAITING)
        except OSError as error:
            raise UsageError(f"--host {settings.host} --port {settings.port}: {error.strerror}") from error
        yield found, f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{found.getsockname()[1]}/"


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """Of its owner alone; what a server that died left there is removed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as found:
        try:
            if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and found.connect_ex(str(path)) != 0:
                path.unlink()
        except OSError as error:
            raise UsageError(f"--socket {path}: {error.strerror}") from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as found:
        before = os.umask(0o177)
        try:
            found.bind(str(path))
            found.listen(WAITING)
        except OSError as error:
            raise UsageError(f"--socket {path}: {error.strerror or error}") from error
        finally:
            os.umask(before)
        try:
            yield found
        finally:
            path.unlink(missing_ok=True)


def allow_files(count: int) -> None:
    """Connections are files: raise this process's own bound of these, as far as it may."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
