"""Writing files so that a half-written one never exists."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from inrcodec.errors import InputError, InrError, UsageError


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
    """The bytes of a path or a binary file, or those given. Raises InputError, UsageError for what is none of these."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not isinstance(source, str | os.PathLike) and not hasattr(source, "read"):
        raise UsageError(f"expected a path, bytes or a binary file object, got {type(source).__name__}")
    name = _name_of(source) or "<stream>"
    try:
        data = Path(source).read_bytes() if isinstance(source, str | os.PathLike) else source.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(data, bytes):
        raise InputError(f"{name}: expected a file object opened in binary mode, got one that reads {type(data).__name__}")
    return data


def file_digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, hex. Raises InputError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from error


@contextmanager
def naming(source: Any) -> Iterator[None]:
    """Errors of the package raised inside begin with the name of `source`, a path or a file, where it has one."""
    try:
        yield
    except InrError as error:
        name = _name_of(source)
        if name is None or str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


def suffix_of(name: str, form: str | None = None) -> str:
    """What says the format of the file `name`: `form` ("png" or ".png") if given, else its suffix; lower case with a dot, "" for none."""
    if form:
        return "." + form.lower().lstrip(".")
    suffixes = Path(name.lower()).suffixes
    return "".join(suffixes[-2:] if suffixes[-1:] == [".gz"] else suffixes[-1:])


def _name_of(source: Any) -> str | None:
    name = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return os.fspath(name).replace("\0", "\\0") if isinstance(name, str | os.PathLike) else None


def _mode(target: Path) -> int:
    """The mode of the file replaced, or what the user's mask gives a new one (mkstemp's own is 0600)."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
