"""The process that encodes: one job at a time, from a source by its path into the library of objects."""

import io
import logging
import math
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from inrcodec.batch.options import EncodeOptions
from inrcodec.errors import InrError, Interrupted, LimitExceeded
from inrcodec.files import suffix_of
from inrcodec.progress import Progress, ProgressCallback
from inrcodec.serve.library import Library
from inrcodec.serve.problems import problem_of

if TYPE_CHECKING:
    from inrcodec.codec import Encoded

LOOK_SECONDS = 0.1
LAST_SECONDS = 5.0  # to save what there is, after SIGTERM
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}(\.gz)?")
_DESCRIBED_ELSEWHERE = (".raw", ".json")  # samples and their description in two files
_LOG = logging.getLogger(__name__)


class Encode(Protocol):
    """`encode_with`, or what stands for it."""

    def __call__(
        self,
        source: io.BytesIO,
        options: EncodeOptions,
        *,
        checkpoint: str,
        resume: bool,
        progress: ProgressCallback,
        interrupted: Callable[[], bool],
    ) -> "Encoded": ...


@dataclass(frozen=True, kw_only=True)
class Order:
    """source: id and path of what to encode; name: what the client calls it."""

    job: str
    source: str
    path: Path
    name: str
    options: EncodeOptions
    checkpoint: Path


@dataclass(frozen=True)
class Stop:
    """Save the fit of this job, and end it."""

    job: str


@dataclass(frozen=True)
class Going:
    progress: dict[str, Any]


@dataclass(frozen=True)
class Done:
    object: str
    report: dict[str, Any]


@dataclass(frozen=True)
class Failed:
    problem: dict[str, Any]


@dataclass(frozen=True)
class Stopped:
    """Told to; a checkpoint has what there was."""


Message = Going | Done | Failed | Stopped


class NamedSource(io.BytesIO):
    """The bytes of a source, with a name that only says its suffix."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def safe_name(name: str) -> str:
    """What readers are told a source is called: nothing of a client's name but a suffix that names a format."""
    suffix = suffix_of(name)
    return f"source{suffix}" if _SUFFIX.fullmatch(suffix) and suffix not in _DESCRIBED_ELSEWHERE else "source"


def work(pipe: "Connection[Any, Any]", objects: Path, empty: Path, threads: int, encode: Encode) -> None:
    """Take orders until the other end is closed. `empty` is a folder with nothing in it, which this process is in: a header that names
    the file beside it finds none.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.chdir(empty)
    ending = _Ending()
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    library = Library(objects)
    while not ending.told:
        with ending.at_rest():
            try:
                order = pipe.recv()
            except EOFError:
                return
        if isinstance(order, Order):
            pipe.send(_answer(order, library, encode, pipe, _asker(pipe, ending)))


class _Ending:
    """SIGTERM, which a whole group of processes may get: work is saved first, rest ends at once. Ctrl-C is for the server alone."""

    def __init__(self) -> None:
        self.told, self._resting = False, False
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _handle(self, number: int, frame: object) -> None:
        self.told = True
        if self._resting:
            raise SystemExit(0)
        last = threading.Timer(LAST_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        self._resting = True
        try:
            yield
        finally:
            self._resting = False


def _asker(pipe: "Connection[Any, Any]", ending: _Ending) -> Callable[[], bool]:
    """Whether the work is to end: what comes while there is work is a Stop. It is asked before every step, and looks now and then."""
    looked = 0.0

    def asked() -> bool:
        nonlocal looked
        now = time.monotonic()
        if now - looked < LOOK_SECONDS:
            return ending.told
        looked = now
        return ending.told or pipe.poll()

    return asked


def _answer(
    order: Order, objects: Library, encode: Encode, pipe: "Connection[Any, Any]", interrupted: Callable[[], bool]
) -> Done | Failed | Stopped:
    name = safe_name(order.name)
    try:
        source = NamedSource(order.path.read_bytes(), name)
        encoded = _encoded(source, order, encode, lambda moment: pipe.send(Going(_plain(asdict(moment)))), interrupted)
        entry, _ = objects.add(encoded.data, name=order.name, source=order.source)
        return Done(entry.id, _plain(asdict(encoded.report)))
    except Interrupted:
        return Stopped()
    except InrError as error:
        return Failed(problem_of(_told(error, name, order)))
    except MemoryError:
        return Failed(problem_of(LimitExceeded(f"{order.name or name}: takes more memory than there is")))
    except Exception as error:
        _LOG.exception("%s", order.job)
        return Failed(problem_of(error))


def _encoded(
    source: NamedSource, order: Order, encode: Encode, progress: Callable[[Progress], None], interrupted: Callable[[], bool]
) -> "Encoded":
    """Go on from the checkpoint, where there is one; one that is not of this fit, or damaged, is as if there were none."""
    resume = order.checkpoint.exists()
    checkpoint = str(order.checkpoint)
    try:
        return encode(source, order.options, checkpoint=checkpoint, resume=resume, progress=progress, interrupted=interrupted)
    except Interrupted:
        raise
    except Exception:
        if not resume:
            raise
        _LOG.exception("%s: begun again without its checkpoint", order.job)
    order.checkpoint.unlink(missing_ok=True)
    source.seek(0)
    return encode(source, order.options, checkpoint=checkpoint, resume=False, progress=progress, interrupted=interrupted)


def _told(error: InrError, name: str, order: Order) -> InrError:
    """What a client is told: its own name of the source, and no path of the server."""
    text = str(error).replace(str(order.checkpoint), "checkpoint").replace(str(order.path), name)
    if order.name and text.startswith(f"{name}: "):
        text = order.name + text.removeprefix(name)
    return type(error)(text)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it, without infinity: a perfect PSNR is null."""
    return {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()}


def _leave_with(sentinel: int) -> None:
    """End this process, in the middle of its work, when the server is gone."""
    connection.wait([sentinel])
    os._exit(1)
