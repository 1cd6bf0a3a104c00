"""Chunks in bytes, in a file, or wherever ranges of bytes can be read from."""

import os
import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

from inrcodec import spec
from inrcodec.errors import CorruptFile, InputError
from inrcodec.numbered import Numbered

HEADER = 8  # bytes before a payload


@dataclass(frozen=True)
class Chunk:
    """Four letters and a payload."""

    type: bytes
    payload: bytes


class Ranges(Protocol):
    """Bytes that are read by ranges."""

    @property
    def size(self) -> int: ...

    def read(self, start: int, stop: int) -> bytes:
        """The bytes start .. stop; fewer where there are no more. Raises InputError where it cannot read."""
        ...


@dataclass(frozen=True)
class Whole:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start:stop]


@dataclass(frozen=True)
class Piece:
    """Bytes that were read from a longer file of `size` bytes, from byte `start` on."""

    data: bytes
    start: int
    size: int

    def read(self, start: int, stop: int) -> bytes:
        return self.data[start - self.start : stop - self.start]


@dataclass(frozen=True)
class FileRanges:
    """A regular file, opened for every range: it can be pickled, and holds nothing open."""

    path: str
    size: int

    def read(self, start: int, stop: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(start)
                return file.read(stop - start)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}") from error


def file_ranges(path: str) -> FileRanges | None:
    """Of a regular file that can be read; of anything else None."""
    try:
        return FileRanges(path, os.stat(path).st_size) if os.path.isfile(path) and os.access(path, os.R_OK) else None
    except (OSError, ValueError):
        return None


def dump_chunk(chunk: Chunk) -> bytes:
    body = chunk.type + chunk.payload
    return struct.pack("<I", len(chunk.payload)) + body + struct.pack("<I", zlib.crc32(body))


def chunk_header(ranges: Ranges, offset: int) -> tuple[int, bytes]:
    """(length, letters) of the chunk at `offset`, compared with what is left before anything is taken. Raises CorruptFile."""
    left = ranges.size - offset
    header = ranges.read(offset, offset + HEADER)
    if left < spec.CHUNK_BYTES or len(header) < HEADER:
        raise CorruptFile(f"byte {offset}: expected a chunk of at least {spec.CHUNK_BYTES} bytes, {left} are left")
    length, kind = struct.unpack("<I4s", header)
    if not (kind.isascii() and kind.isalpha() and kind[2:3].isupper()):
        raise CorruptFile(f"byte {offset + 4}: expected four letters of a chunk type, got {kind.hex(' ')}")
    if length > spec.MAX_CHUNK_LENGTH or length > left - spec.CHUNK_BYTES:
        raise CorruptFile(f"{place(kind, offset)}: expected {length} bytes of payload, {left - spec.CHUNK_BYTES} are left")
    return length, kind


def chunk_payload(ranges: Ranges, offset: int, length: int, kind: bytes) -> bytes:
    """The payload of the chunk at `offset`. Raises CorruptFile for a wrong CRC."""
    body = ranges.read(offset + HEADER, offset + spec.CHUNK_BYTES + length)
    if len(body) != length + 4:
        raise CorruptFile(f"{place(kind, offset)}: expected {length + 4} bytes, the file ends after {len(body)}")
    payload, (stated,) = body[:length], struct.unpack("<I", body[length:])
    found = zlib.crc32(payload, zlib.crc32(kind))
    if stated != found:
        raise CorruptFile(f"{place(kind, offset)}: CRC-32: expected {found:08x}, got {stated:08x}")
    return payload


def place(kind: bytes, offset: int) -> str:
    """Of a chunk, as errors name it."""
    return f"chunk {kind.decode('ascii', 'replace')} at byte {offset}"


@dataclass(frozen=True)
class TileData(Numbered[bytes]):
    """The payloads of adjacent DATA chunks, the first at `start`, `lengths` bytes each, read and checked when they are taken."""

    ranges: Ranges
    start: int
    lengths: tuple[int, ...]

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """Where each chunk begins, and where what follows them does."""
        return tuple(accumulate((length + spec.CHUNK_BYTES for length in self.lengths), initial=self.start))

    @property
    def stop(self) -> int:
        return self.starts[-1]

    def __len__(self) -> int:
        return len(self.lengths)

    def item(self, number: int) -> bytes:
        offset = self.starts[number]
        # One read: each may be a request over a network.
        piece = Piece(self.ranges.read(offset, self.starts[number + 1]), offset, self.ranges.size)
        length, kind = chunk_header(piece, offset)
        if kind != spec.DATA or length != self.lengths[number]:
            expected = f"the DATA of tile {number}, {self.lengths[number]} bytes"
            raise CorruptFile(f"{place(kind, offset)}: expected {expected}, got {length} bytes of {kind.decode('ascii', 'replace')}")
        return chunk_payload(piece, offset, length, kind)
