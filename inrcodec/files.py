"""Writing files so that a half-written one never exists."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from inrcodec.errors import InputError, UsageError


def write_atomic(path: str | os.PathLike[str], data: bytes | memoryview, *, overwrite: bool = True) -> None:
    """Write `data` as `atomic_file` does. Raises UsageError, OSError."""
    with atomic_file(path, overwrite=overwrite) as file:
        file.write(data)


@contextmanager
def atomic_file(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """A binary file to write beside `path` (through symbolic links); at the end it is flushed to the disk and renamed.

    An exception inside leaves what was there.
    Raises UsageError if `path` exists and is not to be overwritten, OSError if it cannot be written.
    """
    target = Path(path).resolve()
    if not overwrite and target.exists():
        raise UsageError(f"{target}: exists, and is not to be overwritten")
    if target.exists() and not target.is_file():
        # A device or a pipe is written into; a rename would replace it.
        with target.open("wb") as stream:
            yield stream
        return
    handle, name = tempfile.mkstemp(prefix=f".{target.name[:64]}.", suffix=".tmp", dir=target.parent)
    try:
        os.close(handle)
        with open(name, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_bytes(source: str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]) -> bytes:
    """The bytes of a path or a binary file, or those given. Raises InputError."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, "rb") as file:
                return file.read()
        except OSError as error:
            raise InputError(f"{os.fspath(source)}: cannot be read: {error.strerror}") from error
    return source.read()


def _mode(target: Path) -> int:
    """The mode of the file replaced, or what the user's mask gives a new one (mkstemp's own is 0600)."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
