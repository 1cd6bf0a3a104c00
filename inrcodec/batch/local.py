"""Processes of this machine."""

import multiprocessing
import os
import threading
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, cast

from inrcodec.batch.pool import AnyTask, Work, interrupts_held
from inrcodec.batch.tasks import Result


@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"


class LocalPool:
    """`jobs` processes that each do one task at a time; they are started when they are needed, and end with the process that has them."""

    def __init__(self, jobs: int, *, threads: int, work: Work) -> None:
        self.places = jobs
        self._threads = threads
        self._work = work
        self._idle: list[_Worker] = []
        self._busy: dict[Connection[Any, Any], tuple[_Worker, int]] = {}

    def start(self, number: int, task: AnyTask) -> None:
        worker = self._idle.pop() if self._idle else self._begun()
        try:
            worker.pipe.send(task)
        except OSError:  # it died while it had nothing to do
            _end(worker)
            worker = self._begun()
            worker.pipe.send(task)
        self._busy[worker.pipe] = (worker, number)

    def finished(self) -> tuple[int, Result | None]:
        pipe = cast("Connection[Any, Any]", connection.wait(list(self._busy))[0])
        worker, number = self._busy.pop(pipe)
        try:
            result: Result | None = pipe.recv()
        except (EOFError, OSError):
            result = None
        if result is None:
            _end(worker)
        else:
            self._idle.append(worker)
        return number, result

    def close(self) -> None:
        for worker in (*self._idle, *(worker for worker, _ in self._busy.values())):
            _end(worker)
        self._idle.clear()
        self._busy.clear()

    def _begun(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._threads, self._work), daemon=True)
        with interrupts_held():
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
    worker.process.close()


def _serve(pipe: "Connection[Any, Any]", threads: int, work: Work) -> None:
    """Do tasks until the other end is closed."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(work(task))


def _leave_with(sentinel: int) -> None:
    """End this process, in the middle of its work, when the one that started it is gone."""
    connection.wait([sentinel])
    os._exit(1)
