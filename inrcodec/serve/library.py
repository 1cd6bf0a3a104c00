"""Files by content: an .inr is known by the SHA-256 of its bytes, and lies in one file beside what is said of it."""

import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from inrcodec.errors import LimitExceeded
from inrcodec.files import write_atomic
from inrcodec.serve.problems import Refused

_ID = re.compile(r"sha256-[0-9a-f]{64}")


@dataclass(frozen=True)
class Entry:
    """An object. name: what its sender called it, to be shown only; created: seconds since 1970; source: id of what it was encoded from."""

    id: str
    name: str
    nbytes: int
    created: float
    source: str | None = None


def id_of(data: bytes) -> str:
    return f"sha256-{hashlib.sha256(data).hexdigest()}"


def id_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256-{hashlib.file_digest(file, 'sha256').hexdigest()}"


def checked(name: str) -> str:
    """An id as it has to be: nothing else ever becomes part of a path. Raises Refused (404)."""
    if _ID.fullmatch(name) is None:
        raise Refused(404, f"id: expected sha256- and 64 hexadecimal digits, got {name[:80]!r}")
    return name


class Library:
    """The files under `folder`, and `files` by id where they are, which can be read only. Writers of one folder do not disturb each other.

    sources: of those, by their id, the id of what they were encoded from.
    """

    def __init__(
        self, folder: Path, *, suffix: str = ".inr", files: Mapping[str, Path] | None = None, sources: Mapping[str, str] | None = None
    ) -> None:
        self._folder, self._suffix = folder, suffix
        self._files, self._sources = dict(files or {}), dict(sources or {})
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the bytes of an object are. Raises Refused (404) where there is none."""
        found = self._files.get(checked(name)) or self._place(name)
        if not found.is_file():
            raise Refused(404, f"{name}: no such object")
        return found

    def add(self, data: bytes, *, name: str = "", source: str | None = None) -> tuple[Entry, bool]:
        """Keep bytes; the second is whether they were not there. A file is never seen before it is whole."""
        own = id_of(data)
        if own in self._files or self._place(own).is_file():
            return self.entry(own), False
        entry = Entry(own, name, len(data), time.time(), source)
        place = self._place(own)
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(self._notes(own), json.dumps(asdict(entry)).encode(), overwrite=True)
        write_atomic(place, data, overwrite=True)
        return entry, True

    def take(self, path: Path, digest: str, *, name: str = "") -> Entry:
        """Keep a file that lies in `partial`, whose SHA-256 (hexadecimal) is known, without reading it. Then it is on the disk."""
        own = checked(f"sha256-{digest}")
        place = self._place(own)
        place.parent.mkdir(parents=True, exist_ok=True)
        entry = Entry(own, name, path.stat().st_size, time.time())
        write_atomic(self._notes(own), json.dumps(asdict(entry)).encode(), overwrite=True)
        on_disk(path)
        os.replace(path, place)
        for folder in (place.parent, self._folder):
            on_disk(folder)
        return entry

    def partial(self) -> Path:
        """A new empty file in the same file system, for what is still coming."""
        (self._folder / "partial").mkdir(exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder / "partial")
        os.close(handle)
        return Path(name)

    def entry(self, name: str) -> Entry:
        path = self.path(name)
        if name in self._files:
            facts = path.stat()
            return Entry(name, path.name, facts.st_size, facts.st_mtime, self._sources.get(name))
        try:
            return Entry(**json.loads(self._notes(name).read_bytes()))
        except (OSError, ValueError, TypeError):
            facts = path.stat()
            return Entry(name, "", facts.st_size, facts.st_mtime)

    def remove(self, name: str) -> None:
        """Raises Refused where there is no such object (404) or it is served from where it is (403)."""
        path = self.path(name)
        if name in self._files:
            raise Refused(403, f"{name}: is served from where it lies, and cannot be removed")
        path.unlink(missing_ok=True)
        self._notes(name).unlink(missing_ok=True)

    def ids(self) -> list[str]:
        """In order of their names."""
        kept = {path.name.removesuffix(self._suffix) for path in self._folder.glob(f"??/sha256-*{self._suffix}")}
        return sorted(name for name in kept | set(self._files) if _ID.fullmatch(name))

    def entries(self, *, after: str = "", most: int = 100) -> Iterator[Entry]:
        """Those behind the id `after`, at most so many; what goes away meanwhile is left out."""
        for name in [each for each in self.ids() if each > after][:most]:
            try:
                yield self.entry(name)
            except Refused:
                continue

    def nbytes(self) -> int:
        """Of what lies under the folder."""
        return nbytes_under(self._folder)

    def _place(self, name: str) -> Path:
        return self._folder / name[7:9] / f"{name}{self._suffix}"

    def _notes(self, name: str) -> Path:
        return self._place(name).with_suffix(".json")


def on_disk(path: Path) -> None:
    """Wait until a file's content, or the names in a folder where the system can tell, would survive a loss of power."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def nbytes_under(folder: Path) -> int:
    """Of the files that lie there; those that go away meanwhile do not count."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def check_room(used: int, more: int, most: int) -> None:
    """Raises LimitExceeded where a server's files would take more than it may have."""
    if used + more > most:
        raise LimitExceeded(f"storage: {used + more} bytes: expected at most {most}; remove objects")
