"""Decodes in threads: so many at once, so many that wait, equal ones once."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from inrcodec.serve.problems import Refused

T = TypeVar("T")
RETRY_SECONDS = 1


@dataclass(frozen=True)
class Answer:
    """Bytes to send, and what they are."""

    body: bytes
    media_type: str


class Workers:
    """Runs in one event loop.

    A thread cannot be stopped: what takes too long is answered for, and its thread is free when it ends, which the bound of work sees to.
    """

    def __init__(self, *, threads: int, waiting: int, seconds: float, kept_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._turns = asyncio.Semaphore(threads)
        self._most, self._seconds = waiting + threads, seconds
        self._running: dict[Hashable, asyncio.Task[Any]] = {}
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._kept_bytes, self._kept_most = 0, kept_bytes
        self._inside = 0

    @property
    def inside(self) -> int:
        """Calls that run or wait."""
        return self._inside

    @property
    def kept_bytes(self) -> int:
        """Of answers."""
        return self._kept_bytes

    async def answer(self, key: Hashable, make: Callable[[], Answer]) -> Answer:
        """What `make` gives, kept by `key`: the same key is the same answer for ever."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = await self.run(make, key=key)
        if key not in self._kept and len(made.body) <= self._kept_most:
            self._kept[key] = made
            self._kept_bytes += len(made.body)
            while self._kept_bytes > self._kept_most:
                self._kept_bytes -= len(self._kept.popitem(last=False)[1].body)
        return made

    async def run(self, make: Callable[[], T], *, key: Hashable = None) -> T:
        """The result of `make`, called in a thread; calls of one key (but None) at one time are one. Raises Refused (429, 503)."""
        if key is not None and key in self._running:
            return await asyncio.shield(self._running[key])
        if self._inside >= self._most:
            raise Refused(429, f"server: {self._inside} requests wait", headers={"Retry-After": str(RETRY_SECONDS)})
        self._inside += 1
        task = asyncio.ensure_future(self._in_turn(make))
        if key is not None:
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        # Whoever goes away does not take the answer from the others.
        return await asyncio.shield(task)

    async def _in_turn(self, make: Callable[[], T]) -> T:
        try:
            await self._turns.acquire()
        except BaseException:
            self._inside -= 1
            raise
        future = asyncio.get_running_loop().run_in_executor(self._pool, make)
        future.add_done_callback(lambda _: self._left())
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._seconds)
        except TimeoutError:
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise Refused(
                503, f"server: the answer takes longer than {self._seconds:g} s; ask for less", headers={"Retry-After": "1"}
            ) from None

    def _left(self) -> None:
        """A thread is free, also when nobody waits for its answer any more."""
        self._inside -= 1
        self._turns.release()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
