"""Tasks through a pool into files and a manifest."""

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from inrcodec.backends.crew import cores
from inrcodec.batch.manifest import Manifest, Row, is_done, row_of
from inrcodec.batch.pool import Pool, Work, outcomes
from inrcodec.batch.tasks import Task
from inrcodec.errors import UsageError
from inrcodec.files import write_atomic
from inrcodec.progress import Progress, ProgressCallback

_LEFT_OVER = re.compile(r"\.(.+)\.[^.]+\.tmp")  # names of files.atomic_file


def make_pool(
    executor: str,
    *,
    jobs: int | None,
    threads: int,
    gpus: float | None,
    address: str | None,
    work: Work,
    at_once: int = 1,
    begin: Callable[[], Work] | None = None,
) -> Pool:
    """The pool of an executor for `jobs` tasks at a time (None: as many as there are cores for). Raises UsageError, BackendMissing.

    at_once: tasks that a process of this machine does side by side; there is then one process, where no number of jobs is given, and
    `begin` gives each its work.
    """
    if at_once > 1 and executor != "local":
        raise UsageError(f"--jobs-per-device: expected --executor local, got {executor}")
    if gpus is not None and executor != "ray":
        raise UsageError(f"--gpus: expected --executor ray, got {executor}")
    if executor == "ray":
        from inrcodec.batch.ray_executor import RayPool

        return RayPool(jobs, threads=threads, gpus=gpus or 0, address=address, work=work)
    if executor == "dask":
        from inrcodec.batch.dask_executor import DaskPool

        return DaskPool(jobs if jobs or address else _places(threads), address=address, work=work)
    from inrcodec.batch.local import LocalPool

    if address is not None:
        raise UsageError("--address: expected --executor ray or dask, got local")
    count = jobs or (_places(threads) if at_once == 1 else 1)
    return LocalPool(count, threads=threads, work=work, at_once=at_once, begin=begin if at_once > 1 else None)


def missing(tasks: Sequence[Task], rows: Mapping[str, Row], folder: Path) -> list[Task]:
    """The tasks that no row and no file of `folder` say are done."""
    return [task for task in tasks if not is_done(task, rows.get(task.output), folder)]


def sweep(tasks: Sequence[Task], folder: Path) -> None:
    """Take away what a run that was killed while it wrote an output has left."""
    names: dict[Path, set[str]] = defaultdict(set)
    for task in tasks:
        path = folder / task.output
        names[path.parent].add(path.name[:64])
    for parent, known in names.items():
        for entry in os.listdir(parent) if parent.is_dir() else ():
            found = _LEFT_OVER.fullmatch(entry)
            if found and found[1] in known:
                (parent / entry).unlink()


def carry_out(
    tasks: Sequence[Task], manifest: Manifest, pool: Pool, *, retries: int, progress: ProgressCallback | None = None
) -> Iterator[Row]:
    """Do the tasks, write every file that comes back beside `manifest` and then its line, which is given as it is on the disk."""
    folder = manifest.path.parent
    begin, count = time.monotonic(), len(tasks)
    if progress is not None:
        progress(Progress("batch", 0, count, None, None, None))
    for done, outcome in enumerate(outcomes(tasks, pool, retries=retries), start=1):
        task, result = tasks[outcome.number], outcome.result
        if result.data is not None:
            path = folder / task.output
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, result.data)
        row = row_of(task, result, outcome.attempts)
        manifest.append(row)
        if progress is not None:
            progress(Progress("batch", done, count, None, None, (time.monotonic() - begin) / done * (count - done)))
        yield row


def _places(threads: int) -> int:
    return max(1, cores() // threads)
