"""Jobs are done here: a process per device that encodes, and a thread of the server that tends it.

Of all servers on one folder one encodes, the one that has the lock, which its end takes from it however it ends. Whatever ran then waits
again, and goes on from its checkpoint.
"""

import logging
import multiprocessing
import os
import platform
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing import connection
from pathlib import Path
from typing import Any

from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.batch.pool import interrupts_held
from inrcodec.errors import InrError, LimitExceeded
from inrcodec.serve.library import Library
from inrcodec.serve.problems import Refused, problem_of
from inrcodec.serve.queue import Job, Queue
from inrcodec.serve.settings import Settings
from inrcodec.serve.worker import Done, Encode, Failed, Going, Message, Order, Stop, Stopped, work

ATTEMPTS = 3  # of a job whose worker dies
GRACE_SECONDS = 3.0  # to save a fit and end it, before its process is killed
TURN_SECONDS = 0.3  # between looks whether a job is still wanted, and between two moments of progress that are kept
BEAT_SECONDS = 5.0
IDLE_SECONDS = 0.5  # between looks for jobs that another server took
LEAD_SECONDS = 1.0  # between tries for the lock
ORPHAN_SECONDS = 3600.0  # before a file that nothing refers to is taken for one that nothing will
_LOG = logging.getLogger(__name__)


class Encoder:
    """Starts with `start`, ends with `stop`; `wake` when there is a new job. `encode` does a job, and is called in its process."""

    def __init__(self, settings: Settings, objects: Library, sources: Library, *, encode: Encode = encode_with) -> None:
        self._folder = settings.folder.resolve()
        self._settings, self._objects, self._sources, self._encode = settings, objects, sources, encode
        self._checkpoints, self._empty = self._folder / "checkpoints", self._folder / "empty"
        self.queue = Queue(self._folder / "jobs.sqlite")
        self.threads = max(1, (os.cpu_count() or 1) // len(settings.devices))
        self._places = tuple(Place(self._begin) for _ in settings.devices)
        self._stopping, self._news = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the processes that encode, as far as they have been started."""
        return tuple(pid for place in self._places if (pid := place.pid) is not None)

    def start(self) -> None:
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._empty.mkdir(exist_ok=True)
        self._thread = threading.Thread(target=self._lead, name="encoder", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        self._news.set()

    def stop(self) -> None:
        """What runs is saved and waits again. Takes a few seconds at most."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(2 * GRACE_SECONDS)
        for place in self._places:
            place.end()
        self.queue.close()

    def checkpoint(self, id: str) -> Path:
        return self._checkpoints / f"{id}.pt"

    def cancelled(self, job: Job) -> None:
        """Remove what a job had that was still waiting; of one that runs its worker's thread does."""
        if job.state == "queued":
            self._clear(job)
        self._trim()

    def forget(self, id: str) -> bool:
        """A job that has ended, with its source where nothing else is made of it; whether there is one."""
        job = self.queue.forget(id)
        if job is not None:
            self._release(job.source)
        return job is not None

    def make_room(self, over: int) -> None:
        """Remove sources that no job waits for, the oldest first, until `over` bytes are gone, or all that can."""
        for entry in sorted(self._sources.entries(most=1 << 30), key=lambda entry: entry.created):
            if over <= 0:
                return
            if self.queue.release(entry.id, partial(self._remove, entry.id)):
                over -= entry.nbytes

    # Threads

    def _lead(self) -> None:
        while not self._stopping.is_set():
            with lock(self._folder / "encoder.lock") as mine:
                if mine:
                    self._run()
                else:
                    self._stopping.wait(LEAD_SECONDS)

    def _run(self) -> None:
        self.queue.recover()
        self._sweep()
        named = enumerate(zip(self._settings.devices, self._places, strict=True))
        server = f"{platform.node()}:{os.getpid()}"
        threads = [
            threading.Thread(target=self._tend, args=(f"{server}:{number}", device, place), name=f"encoder-{number}", daemon=True)
            for number, (device, place) in named
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _tend(self, worker: str, device: str, place: "Place") -> None:
        while not self._stopping.is_set():
            try:
                self.queue.recover(worker)
                while not self._stopping.is_set():
                    self._news.clear()
                    job = self.queue.claim(worker)
                    if job is None:
                        self._news.wait(IDLE_SECONDS)
                        continue
                    self._news.set()  # the others look too
                    self._settle(worker, job, self._do(worker, device, place, job))
            except Exception:  # a full disk, or a table that is locked for long: it may pass
                _LOG.exception("encoder")
                place.end()
                self._stopping.wait(LEAD_SECONDS)
        place.end()

    def _do(self, worker: str, device: str, place: "Place", job: Job) -> Message | None:
        """What came of a job; None where its process died."""
        most = self._settings.bounds.job_seconds
        asked = EncodeOptions(**job.options)
        limit = most if asked.time_limit is None else min(asked.time_limit, most)
        options = replace(asked, device=device, threads=self.threads, time_limit=limit)
        try:
            path = self._sources.path(job.source)
        except Refused:
            return Failed(problem_of(InrError("source: is not there any more")))
        place.send(Order(job=job.id, source=job.source, path=path, name=job.name, options=options, checkpoint=self.checkpoint(job.id)))
        beaten = heard = time.monotonic()
        told: float | None = None
        latest: dict[str, Any] | None = None
        while True:
            message = place.receive(TURN_SECONDS)
            now = time.monotonic()
            if isinstance(message, Going):
                heard, latest = now, message.progress
            elif not isinstance(message, Quiet):
                if isinstance(message, Stopped) and told is None:  # by a signal: its process ends
                    place.end()
                return message
            if now - beaten >= (BEAT_SECONDS if latest is None else TURN_SECONDS):
                self.queue.beat(worker, job.id, latest)
                beaten, latest = now, None
            if told is None and (self._stopping.is_set() or not self.queue.has(worker, job.id)):
                told = now
                place.send(Stop(job.id))
            if told is not None and now - told > GRACE_SECONDS:
                place.end()
                return Stopped()
            if now - heard > most + GRACE_SECONDS:
                place.end()
                return Failed(problem_of(LimitExceeded(f"{job.name or 'source'}: no progress in {most:g} s")))

    def _settle(self, worker: str, job: Job, message: Message | None) -> None:
        if not self.queue.has(worker, job.id):
            self._clear(job)
        elif isinstance(message, Done):
            self.queue.finish(worker, job.id, object=message.object, report=message.report)
            self.checkpoint(job.id).unlink(missing_ok=True)
        elif isinstance(message, Failed):
            self._fail(worker, job, message.problem)
        elif isinstance(message, Stopped) or self._stopping.is_set():
            self.queue.give_back(worker, job.id, counted=False)
        elif job.attempts < ATTEMPTS:
            self.queue.give_back(worker, job.id, counted=True)
        else:
            self._fail(worker, job, problem_of(InrError(f"{job.name or 'source'}: its process ended in each of {job.attempts} attempts")))
        self._trim()

    # Files

    def _fail(self, worker: str, job: Job, problem: dict[str, Any]) -> None:
        self.queue.finish(worker, job.id, problem=problem)
        self._clear(job)

    def _trim(self) -> None:
        for id in self.queue.oldest_ended(kept=self._settings.bounds.jobs_kept):
            self.forget(id)

    def _clear(self, job: Job) -> None:
        """Remove the files of a job that came to nothing."""
        self.checkpoint(job.id).unlink(missing_ok=True)
        self._release(job.source)

    def _release(self, source: str) -> None:
        self.queue.release(source, partial(self._remove, source), is_made_of_it=lambda id: self._is_made_of(id, source))

    def _remove(self, source: str) -> None:
        with suppress(Refused):  # is not there, or lies elsewhere
            self._sources.remove(source)

    def _is_made_of(self, object: str, source: str) -> bool:
        try:
            return self._objects.entry(object).source == source
        except Refused:
            return False

    def _sweep(self) -> None:
        """Remove what a server that was killed has left: checkpoints of jobs that ended, uploads, and sources that never had a job."""
        unended = self.queue.unended()
        for path in self._checkpoints.iterdir():
            if path.stem not in unended:
                path.unlink(missing_ok=True)
        old = time.time() - ORPHAN_SECONDS
        for path in (self._folder / "sources" / "partial").glob("*"):
            if path.stat().st_mtime < old:
                path.unlink(missing_ok=True)
        for entry in self._sources.entries(most=1 << 30):
            if entry.created < old:
                self._release(entry.id)

    def _begin(self) -> "tuple[multiprocessing.process.BaseProcess, connection.Connection[Any, Any]]":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        told = (theirs, self._folder / "objects", self._empty, self.threads, self._encode)
        process = context.Process(target=work, args=told, name="encode", daemon=True)
        with interrupts_held():
            process.start()
        theirs.close()
        return process, ours


class Quiet:
    """Nothing was said."""


class Place:
    """Where one process encodes, begun when there is something for it, and again when it is gone. Of one thread, but for `end`."""

    def __init__(self, begin: Any) -> None:
        self._begin, self._lock = begin, threading.Lock()
        self._process: Any = None
        self._pipe: Any = None

    @property
    def pid(self) -> int | None:
        process = self._process
        return None if process is None else process.pid

    def send(self, what: Order | Stop) -> None:
        if self._process is not None and (isinstance(what, Stop) or self._process.is_alive()):
            with suppress(OSError):
                self._pipe.send(what)
                return
        self.end()
        if isinstance(what, Order):
            self._process, self._pipe = self._begin()
            self._pipe.send(what)

    def receive(self, seconds: float) -> Message | Quiet | None:
        """What it says within so many seconds; None where it is gone."""
        try:
            return self._pipe.recv() if self._pipe.poll(seconds) else Quiet()
        except (EOFError, OSError, AttributeError):
            self.end()
            return None

    def end(self) -> None:
        with self._lock:
            process, pipe, self._process, self._pipe = self._process, self._pipe, None, None
        if process is not None:
            pipe.close()
            process.kill()
            process.join()
            process.close()


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Whether it was to be had. The system takes it from a process that ends, and a database's lock is the same on every system."""
    file = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        try:
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            yield False
        else:
            yield True
    finally:
        file.close()
