"""One task, done where the source is: the function that every executor runs."""

import os
import platform
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from inrcodec.batch.options import EncodeOptions, encode_with
from inrcodec.batch.tasks import Result, Task, source_digest
from inrcodec.errors import InputError, InrError, TargetMissed

if TYPE_CHECKING:
    from inrcodec.codec import Encoded
    from inrcodec.fit.group import Group


def do(task: Task, group: "Group | None" = None) -> Result:
    """Encode the task's source, on a CUDA device in the group; whatever fails is told in the result."""
    options = task.options
    return result_of(task.source, lambda: _digest(task.source), lambda: encode_with(task.source, options, group=_group_on(options, group)))


def side_by_side() -> Callable[[Task], Result]:
    """`do` for a process that has several tasks at once: fits on a CUDA device make their steps together."""
    from inrcodec.fit.group import Group

    return partial(do, group=Group())


def _group_on(options: EncodeOptions, group: "Group | None") -> "Group | None":
    """On a CPU every fit is by itself."""
    if group is None:
        return None
    from inrcodec.backends.torch import torch_device

    return group if torch_device(options.device).type == "cuda" else None


def result_of(source: str, digest: Callable[[], str | None], encode: Callable[[], "Encoded"]) -> Result:
    """What came of an encode, or why it failed."""
    begin = time.monotonic()
    worker = f"{platform.node()}:{os.getpid()}"
    found = None
    try:
        found = digest()
        encoded = encode()
    except Exception as error:
        return Result(
            source_digest=found,
            data=None,
            psnr=None,
            seconds=time.monotonic() - begin,
            worker=worker,
            error=type(error).__name__,
            exit_code=_exit_code(error),
            message=_message(source, error),
            again=not isinstance(error, InrError),
        )
    report = encoded.report
    missed = None if report.target_met else f"{source}: target {report.target}: got {report.psnr:.2f} dB, {report.bytes} bytes"
    return Result(
        source_digest=found,
        data=encoded.data,
        psnr=report.psnr,
        seconds=time.monotonic() - begin,
        worker=worker,
        error=TargetMissed.__name__ if missed else None,
        exit_code=TargetMissed.exit_code if missed else 0,
        message=missed,
    )


def _message(source: str, error: Exception) -> str:
    text = " ".join(str(error).split())
    if not isinstance(error, InrError):
        text = f"{type(error).__name__}: {text}"
    return text if text.startswith(source) else f"{source}: {text}"


def _digest(path: str) -> str:
    try:
        return source_digest(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error


def _exit_code(error: Exception) -> int:
    if isinstance(error, InrError):
        return error.exit_code
    return 6 if isinstance(error, MemoryError) else 1
