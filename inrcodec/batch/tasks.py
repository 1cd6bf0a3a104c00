"""What there is to do: sources found, output names chosen, tasks and their results. Nothing is encoded or written here."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from inrcodec.batch.options import EncodeOptions, digest
from inrcodec.errors import InputError, UsageError
from inrcodec.signals.base import Signal

if TYPE_CHECKING:
    from inrcodec.fit.request import Part

SUFFIX = ".inr"
LISTS = (".txt", ".lst")
_HEAD = 132  # bytes that tell the kind of a file
_DESCRIBED = (".raw", ".json", ".nhdr", ".nrrd")  # formats of which a part may lie in a file beside
_DESCRIPTION = 1 << 16  # bytes of a description in which names of files beside are looked for


@dataclass(frozen=True)
class Source:
    """A signal to encode: where it is, and its path under the output folder before the suffix changes."""

    path: str
    relative: PurePosixPath


@dataclass(frozen=True)
class Task:
    """One encode. `source` is absolute, `output` is relative to the output folder, with slashes."""

    source: str
    output: str
    options: EncodeOptions


@dataclass(frozen=True, eq=False)
class TileTask:
    """One encode of a part of a large signal: what it is called, its samples, what its network is chosen for."""

    source: str
    signal: Signal
    options: EncodeOptions
    part: "Part"


@dataclass(frozen=True)
class Result:
    """What came of a task: `data`, the bytes of the file, or none of them and an error.

    A missed target has both. `error` is the name of its class; `again` says whether another try may end otherwise.
    """

    source_digest: str | None
    data: bytes | None
    psnr: float | None
    seconds: float
    worker: str
    error: str | None = None
    exit_code: int = 0
    message: str | None = None
    again: bool = False


def find_sources(names: Sequence[str], *, stdin: Iterable[str], pattern: str | None = None, leave_out: str | None = None) -> list[Source]:
    """The sources that `names` stand for, each once, in the order of the names.

    A folder stands for the files in it, at any depth, that some reader knows and that match `pattern`, in the order of their paths; hidden
    ones and those in the folder `leave_out` are not taken. A .txt or .lst file, or "-" for `stdin`, names one source a line; a folder in
    a list is one signal, of slices or frames. Anything else is a source itself.
    Raises InputError where a name stands for nothing, or where there is no source at all.
    """
    found: dict[str, Source] = {}
    for name in names:
        for source in _sources_of(name, stdin, pattern, leave_out):
            found.setdefault(os.path.abspath(source.path), source)
    if not found:
        raise InputError(f"{' '.join(names)}: expected signals to encode, found none{f' that match {pattern}' if pattern else ''}")
    return list(found.values())


def plan(sources: Sequence[Source], options: EncodeOptions, folder: str) -> tuple[Task, ...]:
    """A task for every source, to be written under `folder`. Raises UsageError where a name cannot be told apart or is a source's own."""
    names = output_names([source.relative for source in sources])
    tasks = tuple(Task(os.path.abspath(source.path), name, options) for source, name in zip(sources, names, strict=True))
    for task in tasks:
        if os.path.abspath(os.path.join(folder, task.output)) == task.source:
            raise UsageError(f"{task.source}: expected an output other than the input")
    return tasks


def output_names(relatives: Sequence[PurePosixPath]) -> list[str]:
    """For every path its name with the suffix .inr in place of its own, or after it wherever two would be the same but for case."""
    whole: set[int] = set()
    while True:
        names = [str(path) + SUFFIX if i in whole else str(path.with_suffix(SUFFIX)) for i, path in enumerate(relatives)]
        same: dict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(names):
            same[name.casefold()].append(i)
        clashes = [group for group in same.values() if len(group) > 1]
        stuck = next((group for group in clashes if whole.issuperset(group)), None)
        if stuck is not None:
            raise UsageError(f"output: {len(stuck)} sources would be written as {names[stuck[0]]}; expected names that differ")
        if not clashes:
            return names
        whole.update(i for group in clashes for i in group)


def identity(source_digest: str, options: EncodeOptions) -> str:
    """What a task is: SHA-256, in hexadecimal, of the source's bytes, the options and the versions."""
    return hashlib.sha256(f"{source_digest} {digest(options)}".encode()).hexdigest()


def source_digest(path: str) -> str:
    """SHA-256, in hexadecimal, of the files a signal is read from, each by its name and its bytes. Raises OSError, InputError."""
    total = hashlib.sha256()
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    for name in _files_of(path):
        with open(name, "rb") as file:
            part = hashlib.file_digest(file, "sha256").hexdigest()
        # A signal in one file is the same under every name.
        total.update(f"{'' if name == path else os.path.relpath(name, folder)}\0{part}\n".encode())
    return total.hexdigest()


def _files_of(path: str) -> list[str]:
    from inrcodec.signals.frames import is_pattern, sequence_paths

    if os.path.isdir(path):
        return sorted(os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    if is_pattern(path):
        return sequence_paths(path)
    if PurePath(path).suffix.lower() not in _DESCRIBED:
        return [path]
    with open(path, "rb") as file:
        told = b"" if path.lower().endswith(".raw") else file.read(_DESCRIPTION)
    own = Path(path)
    beside = [
        os.fspath(other)
        for other in own.parent.iterdir()
        if other != own
        and other.is_file()
        and ((other.stem == own.stem and other.suffix.lower() in (".raw", ".json")) or os.fsencode(other.name) in told)
    ]
    return [path, *sorted(beside)]


def _sources_of(name: str, stdin: Iterable[str], pattern: str | None, leave_out: str | None) -> Iterator[Source]:
    from inrcodec.signals.frames import is_pattern

    if not name:
        raise UsageError("input: expected a file name, got an empty one")
    if name == "-":
        yield from (Source(line, _mirrored(line)) for line in _lines(stdin))
    elif os.path.isdir(name):
        yield from _in_folder(name, pattern, leave_out)
    elif PurePath(name).suffix.lower() in LISTS:
        try:
            text = Path(name).read_text()
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: expected a list of one path a line, got no UTF-8 text") from error
        except OSError as error:
            raise InputError(f"{name}: cannot be read: {error.strerror or error}") from error
        yield from (Source(line, _mirrored(line)) for line in _lines(text.splitlines()))
    elif os.path.exists(name) or is_pattern(name):
        yield Source(name, _mirrored(name))
    else:
        raise InputError(f"{name}: no such file")


def _lines(lines: Iterable[str]) -> Iterator[str]:
    return (line.rstrip("\r\n") for line in lines if line.strip())


def _mirrored(name: str) -> PurePosixPath:
    """A path as it was given, kept below the output folder: without the root and without steps upwards."""
    path = PurePath(os.path.normpath(name))
    kept = [part for part in path.parts if part != ".." and part != path.anchor]
    return PurePosixPath(*kept) if kept else PurePosixPath(PurePath(os.path.abspath(name)).name or "root")


def _in_folder(top: str, pattern: str | None, leave_out: str | None) -> Iterator[Source]:
    from inrcodec.signals import is_known

    out = None if leave_out is None else os.path.abspath(leave_out)
    for folder, inner, names in os.walk(top):
        inner[:] = sorted(name for name in inner if not name.startswith(".") and os.path.abspath(os.path.join(folder, name)) != out)
        for name in sorted(names):
            path = os.path.join(folder, name)
            relative = PurePosixPath(PurePath(os.path.relpath(path, top)).as_posix())
            chosen = pattern is None or relative.match(pattern)
            if chosen and not name.startswith(".") and os.path.isfile(path) and _is_signal(path, is_known):
                yield Source(path, relative)


def _is_signal(path: str, known: Callable[[bytes, str], bool]) -> bool:
    """Whether some reader knows the file as a signal of its own, and not as the part of another or as an archive."""
    lower = path.lower()
    if lower.endswith(".json") or (lower.endswith(".gz") and not lower.endswith(".nii.gz")):
        return False
    if lower.endswith(".raw"):
        return os.path.isfile(os.path.splitext(path)[0] + ".json")
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return True  # the task tells what is wrong
    return known(head, path)
