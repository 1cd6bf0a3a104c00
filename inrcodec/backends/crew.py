"""A few threads that work side by side, each on one core."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Team:
    """`size` threads, the calling one among them; `begin` runs first on each of the others."""

    def __init__(self, size: int, *, begin: Callable[[], None] | None = None) -> None:
        self.size = size
        self._others = ThreadPoolExecutor(size - 1, initializer=begin) if size > 1 else None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results in the order of `items`; the first exception is raised after all threads have stopped."""
        work = list(items)
        results: dict[int, Result] = {}
        queue = iter(range(len(work)))  # its next() is atomic

        def run() -> None:
            try:
                for index in queue:
                    results[index] = function(work[index])
            except BaseException:
                for _ in queue:  # nothing more is begun
                    pass
                raise

        others = [self._others.submit(run) for _ in range(min(self.size, len(work)) - 1)] if self._others else []
        try:
            run()
        finally:
            wait(others)
        for other in others:
            other.result()
        return [results[index] for index in range(len(work))]

    def close(self) -> None:
        if self._others is not None:
            self._others.shutdown()


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """`cores`, no more than OMP_NUM_THREADS where that is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores(), int(asked))) if asked.isdigit() else cores()
