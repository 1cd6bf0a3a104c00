"""From a path, an address, bytes or a file to an Inr."""

import os
from typing import IO

from inrcodec.chunks import Ranges, file_ranges
from inrcodec.container import load, load_ranges
from inrcodec.decoder import Inr
from inrcodec.files import naming, read_bytes
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.remote import RemoteRanges, is_address


def open_inr(
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    backend: str = "auto",
    device: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
    residual: bool = True,
) -> Inr:
    """Open a path, an address ("https://...", see remote.py), bytes or a binary file; tiles are read from a file when they are needed.

    Raises InputError if it cannot be read, CorruptFile, UnsupportedFile or LimitExceeded, BackendMissing where fsspec does not know how.
    """
    remote = RemoteRanges(source, limits) if isinstance(source, str) and is_address(source) else None
    ranges: Ranges | None = remote
    if remote is None and isinstance(source, str | os.PathLike):
        ranges = file_ranges(os.fspath(source))
    data = read_bytes(source) if ranges is None else b""
    with naming(source if remote is None else remote.name):
        container, size = (load(data, limits), len(data)) if ranges is None else (load_ranges(ranges, limits), ranges.size)
        return Inr(container, size, backend=backend, device=device, limits=limits, residual=residual)
