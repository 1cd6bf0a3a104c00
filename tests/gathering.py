"""Threads that come together, for the tests of groups of fits."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from inrcodec.fit.group import Group, Member

PATIENCE = 60.0  # seconds that a thread waits for another, if something is wrong


class Gathering(Group):
    """A group in which nobody begins before so many are there."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._all = threading.Barrier(count, timeout=PATIENCE)

    @contextmanager
    def joined(self, architecture: Any, device: torch.device) -> Iterator[Member]:
        with super().joined(architecture, device) as member:
            self._all.wait()
            yield member


def side_by_side(work: Sequence[Callable[[], Any]]) -> list[Any]:
    """What each gives, in a thread of its own, or the exception that it raises."""
    with ThreadPoolExecutor(len(work)) as places:
        futures = [places.submit(one) for one in work]
        return [future.exception(timeout=PATIENCE) or future.result() for future in futures]
