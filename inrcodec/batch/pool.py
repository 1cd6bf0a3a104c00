"""Places where tasks run, and the order of work on them: as many at a time as there are places, a lost one again."""

import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, NamedTuple, Protocol

from inrcodec.batch.tasks import Result, Task, TileTask

AnyTask = Task | TileTask
Work = Callable[[Any], Result]  # of one kind of task


class Pool(Protocol):
    """A few workers. Tasks have numbers that their results are known by."""

    places: int  # tasks that run at a time

    def start(self, number: int, task: AnyTask) -> None:
        """Give a task to a free place."""

    def finished(self) -> tuple[int, Result | None]:
        """Wait for any task that was started; without a result where its worker died."""

    def close(self) -> None:
        """End all workers, whatever they do."""


class Outcome(NamedTuple):
    """The result of a task after so many attempts."""

    number: int
    result: Result
    attempts: int


def outcomes(tasks: Sequence[AnyTask], pool: Pool, *, retries: int) -> Iterator[Outcome]:
    """Results as they come. A task whose worker died, or that failed for a reason that may pass, is begun `retries` times again."""
    waiting = deque(range(len(tasks)))
    attempts = [0] * len(tasks)
    running = 0
    while waiting or running:
        while waiting and running < pool.places:
            number = waiting.popleft()
            attempts[number] += 1
            pool.start(number, tasks[number])
            running += 1
        number, result = pool.finished()
        running -= 1
        if (result is None or result.again) and attempts[number] <= retries:
            waiting.append(number)
        else:
            yield Outcome(number, _lost(tasks[number], attempts[number]) if result is None else result, attempts[number])


@contextmanager
def interrupts_held() -> Iterator[None]:
    """A process started here never sees Ctrl-C, which is for the process that gives out the tasks."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Where it is not running yet, the first process starts it, and lets interrupts through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lost(task: AnyTask, attempts: int) -> Result:
    return Result(
        source_digest=None,
        data=None,
        psnr=None,
        seconds=0.0,
        worker="",
        error="WorkerDied",
        exit_code=1,
        message=f"{task.source}: the worker died in each of {attempts} attempts" if attempts > 1 else f"{task.source}: the worker died",
    )
