"""What workers do in the tests of batch: quick stands-in for an encode, and some that go wrong. Run by processes, so importable by name."""

import hashlib
import os
import signal
import time
from pathlib import Path

from inrcodec.batch import work
from inrcodec.batch.tasks import Result, Task, source_digest

PAUSE = "INRCODEC_TEST_PAUSE"


def quick(task: Task) -> Result:
    """A file made of the source and the seed; a source that says "bad" cannot be read, one that says "far" misses its target."""
    time.sleep(float(os.environ.get(PAUSE, "0")))
    content = Path(task.source).read_bytes()
    found, worker = source_digest(task.source), str(os.getpid())
    if b"bad" in content:
        return Result(found, None, None, 0.0, worker, error="InputError", exit_code=3, message=f"{task.source}: unreadable")
    data = hashlib.sha256(content + bytes([task.options.seed])).digest() * 40
    if b"far" in content:
        return Result(found, data, 20.0, 0.0, worker, error="TargetMissed", exit_code=7, message=f"{task.source}: missed")
    return Result(found, data, 30.0, 0.0, worker)


def die(task: Task) -> Result:
    """The worker is killed, always."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive")


def die_once(task: Task) -> Result:
    """The worker is killed by the first try at a source whose name begins with "fatal"; else an encode."""
    return die(task) if _is_first(task, "fatal") else work.do(task)


def quick_die_once(task: Task) -> Result:
    return die(task) if _is_first(task, "fatal") else quick(task)


def quick_fail_once(task: Task) -> Result:
    """The first try fails for a reason that passes."""
    if _is_first(task, ""):
        return Result(None, None, None, 0.0, "", error="OSError", exit_code=1, message="gone", again=True)
    return quick(task)


def _is_first(task: Task, prefix: str) -> bool:
    if not Path(task.source).name.startswith(prefix):
        return False
    try:
        Path(task.source + ".tried").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def run_cli(name: str, arguments: list[str]) -> None:
    """The command line, whose workers do the function of this name."""
    from inrcodec.cli import main

    work.do = globals()[name]
    main(arguments)
