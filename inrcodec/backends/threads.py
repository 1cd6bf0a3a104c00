"""Work side by side on a CPU: a few threads that each run PyTorch's operations on one core.

Cutting the samples among threads beats cutting every operation among them: activations stay in the cache of one core, and no
operation waits for its slowest part.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from inrcodec.backends.crew import Team

__all__ = ["Team", "in_threads", "team"]


@contextmanager
def team(size: int) -> Iterator[Team]:
    """A team of `size` threads. While one of several is in force, PyTorch's operations use one core each."""
    before = torch.get_num_threads()
    result = Team(size, begin=lambda: torch.set_num_threads(1))
    if size > 1:
        torch.set_num_threads(1)
    try:
        yield result
    finally:
        result.close()
        if size > 1:
            torch.set_num_threads(before)


@contextmanager
def in_threads(count: int) -> Iterator[None]:
    """While active, fits and PyTorch's operations begun by this thread have `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
