"""Processes of this machine, each with one task or several."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, cast

from inrcodec.batch.pool import AnyTask, Work, interrupts_held
from inrcodec.batch.tasks import Result


@dataclass(frozen=True, eq=False)
class _Worker:
    process: BaseProcess
    pipe: "Connection[Any, Any]"
    tasks: set[int]  # that it has


class LocalPool:
    """`jobs` processes that each do so many tasks `at_once`, in threads where they are several; started when they are needed, and ended
    with the process that has them.

    Fits of one process share its GPU: each captures its steps in a stream of its own, and replays run beside each other there. What the
    tasks of a process share beyond that is in the work that `begin` gives it, in place of `work`.
    """

    def __init__(self, jobs: int, *, threads: int, work: Work, at_once: int = 1, begin: Callable[[], Work] | None = None) -> None:
        self.places = jobs * at_once
        self._jobs, self._at_once = jobs, at_once
        self._threads = threads
        self._work, self._begin = work, begin
        self._workers: list[_Worker] = []
        self._lost: deque[int] = deque()

    def start(self, number: int, task: AnyTask) -> None:
        worker = self._free()
        try:
            worker.pipe.send((number, task))
        except OSError:  # it died: what else it had is lost
            self._drop(worker)
            worker = self._begun()
            worker.pipe.send((number, task))
        worker.tasks.add(number)

    def finished(self) -> tuple[int, Result | None]:
        while not self._lost:
            busy = {worker.pipe: worker for worker in self._workers if worker.tasks}
            worker = busy[cast("Connection[Any, Any]", connection.wait(list(busy))[0])]
            try:
                number, result = worker.pipe.recv()
            except (EOFError, OSError):
                self._drop(worker)
                continue
            worker.tasks.remove(number)
            return number, result
        return self._lost.popleft(), None

    def close(self) -> None:
        for worker in self._workers:
            _end(worker)
        self._workers.clear()
        self._lost.clear()

    def _free(self) -> _Worker:
        """An idle worker, else a new one, else that with the least to do."""
        found = [worker for worker in self._workers if len(worker.tasks) < self._at_once]
        idle = [worker for worker in found if not worker.tasks]
        if idle or (found and len(self._workers) == self._jobs):
            return min(found, key=lambda worker: len(worker.tasks))
        return self._begun()

    def _drop(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._lost.extend(sorted(worker.tasks))
        _end(worker)

    def _begun(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._threads, self._work, self._at_once, self._begin), daemon=True)
        with interrupts_held():
            process.start()
        theirs.close()
        worker = _Worker(process, ours, set())
        self._workers.append(worker)
        return worker


def _end(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.kill()
    worker.process.join()
    worker.process.close()


def _serve(pipe: "Connection[Any, Any]", threads: int, work: Work, at_once: int, begin: Callable[[], Work] | None) -> None:
    """Do tasks until the other end is closed."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    one = threading.Lock()
    chosen = work if begin is None else begin()

    def done(number: int, task: AnyTask) -> None:
        result = chosen(task)
        with one:
            pipe.send((number, result))

    with ThreadPoolExecutor(at_once) as places:
        while True:
            try:
                number, task = pipe.recv()
            except EOFError:
                return
            if at_once == 1:
                done(number, task)
            else:
                places.submit(done, number, task)


def _leave_with(sentinel: int) -> None:
    """End this process, in the middle of its work, when the one that started it is gone."""
    connection.wait([sentinel])
    os._exit(1)
