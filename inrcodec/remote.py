"""Files behind an address (https, s3, memory ...), read by ranges through fsspec."""

import re
from typing import Any

from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded
from inrcodec.limits import DEFAULT_LIMITS, Limits

FIRST = 1 << 14  # bytes taken at once: HEAD, what stands beside it, and the index of a few hundred tiles
_PART = 1 << 22


def is_address(source: object) -> bool:
    """Whether this is the address of a remote file and no path."""
    return isinstance(source, str) and "://" in source


def shown(address: str) -> str:
    """An address as errors name it: without user, password, query and fragment."""
    return re.sub(r"://[^/@]*@", "://", re.split(r"[?#]", address, maxsplit=1)[0])


class RemoteRanges:
    """A remote file, of which the first block is held; all of it where the server sends no parts. It can be pickled.

    name  the address without what is secret in it
    """

    def __init__(self, address: str, limits: Limits = DEFAULT_LIMITS) -> None:
        """Raises InputError, BackendMissing, LimitExceeded for a file that can only be read whole and is too long."""
        self.name = shown(address)
        self._address, self._limits = address, limits
        try:
            system, path = _file_system(address)
            size = system.info(path).get("size")
        except Exception as error:
            raise self._told(error) from error
        self._start = self._whole(None) if size is None else b""
        self.size = len(self._start) if size is None else int(size)
        if size is not None:
            self._start = self._fetch(0, min(FIRST, self.size))

    def read(self, start: int, stop: int) -> bytes:
        stop = min(stop, self.size)
        held = self._start[start:stop]
        return held + self._fetch(start + len(held), stop)

    def _fetch(self, start: int, stop: int) -> bytes:
        """The bytes start .. stop; where the server sends no parts, they are taken from the whole, which is then held."""
        if start >= stop:
            return b""
        try:
            system, path = _file_system(self._address)
            if not _is_http(system):
                return bytes(system.cat_file(path, start=start, end=stop))
            # Over HTTP a server may send all of the file: cat_file would take it, an opened file notices.
            with system.open(path, "rb", cache_type="none", size=self.size) as file:
                file.seek(start)
                return bytes(file.read(stop - start))
        except ValueError:
            self._start = self._whole(self.size)
            return self._start[start:stop]
        except Exception as error:
            raise self._told(error) from error

    def _whole(self, size: int | None) -> bytes:
        most = self._limits.remote_bytes
        if size is None or size <= most:
            try:
                data = _first_bytes(self._address, most + 1)
            except Exception as error:
                raise self._told(error) from error
            if len(data) <= most:
                return data
        raise LimitExceeded(f"{self.name}: the server sends no parts of it: expected at most {most} bytes (Limits.remote_bytes)")

    def _told(self, error: Exception) -> InrError:
        """Without the text of the error, which may hold the address as it was given."""
        if isinstance(error, InrError):
            return error
        if isinstance(error, ImportError):
            return BackendMissing(f"{self.name}: needs a package that is not installed: pip install 'inrcodec[remote]'; {error}")
        cause = error.__cause__ or error
        status = getattr(cause, "status", None)
        if isinstance(status, int):
            return InputError(f"{self.name}: cannot be read: HTTP status {status}")
        if isinstance(cause, FileNotFoundError):
            return InputError(f"{self.name}: no such file")
        if isinstance(error, ValueError) and str(error).startswith("Protocol not known"):
            return InputError(f"{self.name}: expected an address that fsspec knows, got one beginning with {self.name.split('://')[0]}://")
        return InputError(f"{self.name}: cannot be read: {getattr(cause, 'strerror', None) or type(cause).__name__}")


def _is_http(system: Any) -> bool:
    return "https" in system.protocol


def _first_bytes(address: str, most: int) -> bytes:
    """A file from its beginning, in one request, until so many bytes have come."""
    system, path = _file_system(address)
    options = {"block_size": 0} if _is_http(system) else {}
    parts: list[bytes] = []
    with system.open(path, "rb", **options) as file:
        while (left := most - sum(map(len, parts))) > 0 and (part := file.read(min(left, _PART))):
            parts.append(part)
    return b"".join(parts)


def _file_system(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, which it keeps, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise BackendMissing("addresses need fsspec, which is not installed: pip install 'inrcodec[remote]'") from error
    system, path = url_to_fs(address)
    return system, str(path)
