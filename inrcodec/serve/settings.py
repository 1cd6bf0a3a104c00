"""What a server may do, and where it keeps things. Every bound is an option of `inrcodec serve`."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from inrcodec.limits import Limits

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Upper bounds of what one client, or all of them together, can make a server do. Seconds, bytes, samples."""

    file_bytes: int = 64 << 20  # an .inr that is sent
    source_bytes: int = 256 << 20  # a signal to encode
    body_bytes: int = 16 << 20  # any other request
    disk_bytes: int = 16 << 30  # of objects, sources and checkpoints together
    output_samples: int = 1 << 24  # of one answer
    output_side: int = 1 << 14  # of a picture
    query_points: int = 1 << 20
    mesh_resolution: int = 256
    work: int = 400_000_000_000  # multiply-accumulates of one answer: some seconds of a core
    coding: int = 1 << 21  # of what an .inr that is sent takes to unpack, half a microsecond each (vetted.py),
    coding_per_byte: int = 32  # and more for each of its bytes,
    coding_most: int = 1 << 25  # and no more than these
    elements: int = 1 << 27  # of an .inr: parameters, mask and residual, 4 bytes each
    head_bytes: int = 16 << 10  # of a request: its line and headers
    head_seconds: float = 0.8  # from the first byte of a request to the end of its head
    idle_seconds: float = 5.0  # between two parts of a body, and of a connection at rest
    rate: int = 1 << 10  # bytes per second that a client at least sends of a body and takes of an answer, after idle_seconds
    close_seconds: int = 5  # for what runs when the server is told to end
    request_seconds: float = 30.0  # of one answer, from when its turn comes
    waiting: int = 1024  # requests that wait for a thread; more are sent away (429)
    connections: int = 2048
    opened_bytes: int = 256 << 20  # of decoded parameters that are kept
    answers_bytes: int = 64 << 20  # of answers that are kept
    jobs: int = 64  # that wait; more are sent away (429)
    job_seconds: float = 3600.0  # of one fit
    jobs_kept: int = 10_000  # finished ones that are remembered

    def limits(self) -> Limits:
        """Of a decoder that works for a client."""
        return Limits(output_samples=self.output_samples, work=self.work, elements=self.elements)

    def source_limits(self) -> Limits:
        """Of a reader of signals."""
        return Limits(output_samples=self.output_samples, pixels=4 * self.output_samples)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """folder: of objects, jobs and what they need. files: .inr files that are served from where they are, by id, and are not removed.

    token: what a client has to know, None where anybody may ask. hosts: names under which the server is asked beside those of loopback and
    `host`: others are refused, so that no foreign page reaches it by a name of its own (DNS rebinding). devices: one encoding process each.
    proxies: addresses whose X-Forwarded-For and -Proto are believed.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8787
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    backend: str = "auto"
    device: str = "auto"
    threads: int = field(default_factory=lambda: max(1, os.cpu_count() or 1))  # that decode
    devices: tuple[str, ...] = ("auto",)
    read_only: bool = False  # no objects and jobs are taken
    bounds: Bounds = field(default_factory=Bounds)
