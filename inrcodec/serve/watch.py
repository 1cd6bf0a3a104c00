"""News of jobs for many listeners: one look at the table for all of them, a few times a second."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import anyio.to_thread

from inrcodec.serve.queue import Job

LOOK_SECONDS = 0.25


@dataclass
class _Watched:
    job: Job | None
    listeners: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Watch:
    """Of one event loop. `look` gives those jobs of some ids that there are."""

    def __init__(self, look: Callable[[Sequence[str]], Mapping[str, Job]]) -> None:
        self._look = look
        self._watched: dict[str, _Watched] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def changes(self, job: Job, *, silence: float) -> AsyncIterator[Job | None]:
        """The job as it is, and whenever it is another; None after so many seconds without. Ends with the job, and when it is gone."""
        watched = self._watched.setdefault(job.id, _Watched(job))
        watched.listeners += 1
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())
        seen: Job | None = None
        try:
            while watched.job is not None and not self._closed:
                changed = watched.changed
                if watched.job != seen:
                    seen = watched.job
                    yield seen
                    if seen.ended:
                        return
                    continue
                try:
                    await asyncio.wait_for(changed.wait(), silence)
                except TimeoutError:
                    yield None
        finally:
            watched.listeners -= 1
            if watched.listeners == 0:
                self._watched.pop(job.id, None)

    def close(self) -> None:
        """Every listener is let go."""
        self._closed = True
        for watched in self._watched.values():
            watched.changed.set()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while self._watched:
            await asyncio.sleep(LOOK_SECONDS)
            ids = list(self._watched)
            with suppress(Exception):  # the next look may succeed
                found = await anyio.to_thread.run_sync(self._look, ids)
                for id in ids:
                    self._tell(id, found.get(id))

    def _tell(self, id: str, job: Job | None) -> None:
        watched = self._watched.get(id)
        if watched is not None and watched.job != job:
            watched.job = job
            changed, watched.changed = watched.changed, asyncio.Event()
            changed.set()
