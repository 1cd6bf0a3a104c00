"""Work side by side on a CPU: a few threads that each run PyTorch's operations on one core.

Cutting the samples among threads beats cutting every operation among them: activations stay in the cache of one core, and no
operation waits for its slowest part.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class Team:
    """`size` threads, the calling one among them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._others = ThreadPoolExecutor(size - 1, initializer=torch.set_num_threads, initargs=(1,)) if size > 1 else None

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


@contextmanager
def team(size: int) -> Iterator[Team]:
    """A team of `size` threads. While one of several is in force, PyTorch's operations use one core each."""
    before = torch.get_num_threads()
    result = Team(size)
    if size > 1:
        torch.set_num_threads(1)
    try:
        yield result
    finally:
        result.close()
        if size > 1:
            torch.set_num_threads(before)
