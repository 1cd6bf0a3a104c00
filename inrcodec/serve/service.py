"""What one server process works with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.requests import HTTPConnection

from inrcodec.serve.encoder import Encoder
from inrcodec.serve.library import Library, id_of_file
from inrcodec.serve.opened import Opened
from inrcodec.serve.settings import Settings
from inrcodec.serve.sources import Sources
from inrcodec.serve.watch import Watch
from inrcodec.serve.workers import Workers


@dataclass(frozen=True, eq=False)
class Service:
    """objects: the .inr files; sources: what they were encoded from; opened: those in use; workers: threads that decode.

    jobs: what is to be encoded, and who does it; watch: news of it.
    """

    settings: Settings
    objects: Library
    sources: Library

    @cached_property
    def opened(self) -> Opened:
        settings = self.settings
        return Opened(
            self.objects.path,
            most=settings.bounds.opened_bytes,
            limits=settings.bounds.limits(),
            backend=settings.backend,
            device=settings.device,
        )

    @cached_property
    def read_sources(self) -> Sources:
        bounds = self.settings.bounds
        return Sources(self.sources.path, most=bounds.opened_bytes, limits=bounds.source_limits())

    @cached_property
    def workers(self) -> Workers:
        bounds = self.settings.bounds
        return Workers(
            threads=self.settings.threads, waiting=bounds.waiting, seconds=bounds.request_seconds, kept_bytes=bounds.answers_bytes
        )

    @cached_property
    def jobs(self) -> Encoder:
        return Encoder(self.settings, self.objects, self.sources)

    @cached_property
    def watch(self) -> Watch:
        return Watch(self.jobs.queue.some)


@dataclass(frozen=True)
class Shown:
    """An .inr file that is served from where it lies, and what it was encoded from, where that is known."""

    path: Path
    source: Path | None = None


def make_service(settings: Settings, shown: Sequence[Shown] = ()) -> Service:
    """Raises OSError where a file cannot be read."""
    ids = [id_of_file(each.path) for each in shown]
    sources = {name: (id_of_file(each.source), each.source) for name, each in zip(ids, shown, strict=True) if each.source is not None}
    objects = Library(
        settings.folder / "objects",
        files={name: each.path for name, each in zip(ids, shown, strict=True)},
        sources={name: source for name, (source, _) in sources.items()},
    )
    return Service(settings, objects, Library(settings.folder / "sources", suffix="", files=dict(sources.values())))


def service_of(connection: HTTPConnection) -> Service:
    found = connection.app.state.service
    assert isinstance(found, Service)
    return found
