"""Bytes <-> Container: chunks and the HEAD map. Knows no network and evaluates nothing."""

import math
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack
import zstandard

from inrcodec import spec
from inrcodec.errors import CorruptFile, LimitExceeded, NotInr, UnsupportedFile
from inrcodec.head import check_head
from inrcodec.limits import DEFAULT_LIMITS, Limits

MAX_DEPTH = 16
MAX_ENTRIES = 4096  # of one map or array
MAX_STRING = 1 << 16
MAX_WINDOW = 1 << 27  # of a zstd frame
FLOAT32_MAX = (2 - 2**-23) * 2.0**127


@dataclass(frozen=True)
class Chunk:
    """Four letters and a payload."""

    type: bytes
    payload: bytes


@dataclass(frozen=True)
class Container:
    """A file taken apart: the HEAD map, the joined DATA payloads, and the ancillary chunks in their order."""

    head: dict[str, Any]
    data: bytes
    ancillary: tuple[Chunk, ...] = ()


def get(container: Container, kind: bytes) -> bytes | None:
    """Payload of the first ancillary chunk of that type, or None."""
    return next((chunk.payload for chunk in container.ancillary if chunk.type == kind), None)


def dump(container: Container) -> bytes:
    """The file of a container: HEAD, ancillary chunks, DATA, DONE."""
    head = bytes([spec.MAJOR, spec.MINOR]) + pack_map(container.head)
    chunks = [Chunk(spec.HEAD, head), *container.ancillary]
    data = container.data
    starts = range(0, max(1, len(data)), spec.MAX_CHUNK_LENGTH)
    chunks += [Chunk(spec.DATA, data[i : i + spec.MAX_CHUNK_LENGTH]) for i in starts]
    chunks.append(Chunk(spec.DONE, b""))
    return spec.SIGNATURE + b"".join(_dump_chunk(chunk) for chunk in chunks)


def load(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Container:
    """Take a file apart and check it. Raises NotInr, CorruptFile, UnsupportedFile, LimitExceeded."""
    check_signature(data)
    head: dict[str, Any] | None = None
    parts: list[bytes] = []
    ancillary: list[Chunk] = []
    previous = b""
    done = False
    for number, (offset, kind, payload) in enumerate(_chunks(data)):
        where = f"chunk {_printable(kind)} at byte {offset}"
        if number >= limits.chunks:
            raise LimitExceeded(f"{where}: expected at most {limits.chunks} chunks")
        if done:
            raise CorruptFile(f"{where}: expected nothing after DONE")
        if (number == 0) != (kind == spec.HEAD):
            raise CorruptFile(f"{where}: expected HEAD first and once")
        if kind == spec.HEAD:
            head = _read_head(payload, limits, where)
        elif kind == spec.DATA:
            if parts and previous != spec.DATA:
                raise CorruptFile(f"{where}: expected the DATA chunks side by side")
            parts.append(payload)
        elif kind == spec.DONE:
            if payload:
                raise CorruptFile(f"{where}: expected an empty DONE, got {len(payload)} bytes")
            done = True
        elif kind[:1].isupper():
            raise UnsupportedFile(f"{where}: unknown critical chunk")
        else:
            if len(payload) > limits.ancillary_bytes:
                raise LimitExceeded(f"{where}: expected at most {limits.ancillary_bytes} bytes, got {len(payload)}")
            ancillary.append(Chunk(kind, payload))
        previous = kind
    if not done or head is None:
        raise CorruptFile(f"byte {len(data)}: expected a DONE chunk at the end, the file is cut off")
    if not parts:
        raise CorruptFile("expected a DATA chunk, found none")
    joined = b"".join(parts)
    declared = sum(entry[1] for entry in head["tens"])
    if declared != len(joined):
        raise CorruptFile(f"HEAD.tens: the tensors' lengths sum to {declared} bytes, DATA has {len(joined)}")
    if head.get("color", {}).get("icc") and not any(chunk.type == spec.ICC for chunk in ancillary):
        raise CorruptFile("HEAD.color.icc: expected an iCCP chunk, found none")
    return Container(head, joined, tuple(ancillary))


def check_signature(data: bytes) -> None:
    """Raise NotInr unless `data` begins as an .inr file does."""
    if data.startswith(spec.SIGNATURE):
        return
    if not data:
        raise NotInr("not an .inr file: it is empty")
    if data.startswith(spec.INRIMAGE_SIGNATURE):
        raise NotInr("not an .inr file of inrcodec: this is an Inrimage volume, an older format with the same suffix")
    if spec.SIGNATURE.startswith(data):
        raise CorruptFile(f"byte {len(data)}: the file is cut off inside its signature")
    raise NotInr(f"not an .inr file: expected the signature {spec.SIGNATURE.hex(' ')}, got {data[:8].hex(' ')}")


def pack_map(value: Mapping[str, Any]) -> bytes:
    """Canonical msgpack: keys sorted by their bytes, shortest exact forms, NFC text. Raises ValueError for what it cannot hold."""
    return _packed(value, 0, _Packers(msgpack.Packer(), msgpack.Packer(use_single_float=True)))


def unpack_map(payload: bytes, where: str) -> dict[str, Any]:
    """The inverse of `pack_map`; anything else than canonical msgpack of one map raises CorruptFile."""
    unpacker = msgpack.Unpacker(
        raw=False,
        strict_map_key=True,
        max_buffer_size=max(1, len(payload)),
        max_str_len=MAX_STRING,
        max_bin_len=MAX_STRING,
        max_array_len=MAX_ENTRIES,
        max_map_len=MAX_ENTRIES,
        max_ext_len=0,
        object_pairs_hook=_distinct,
    )
    try:
        unpacker.feed(payload)
        value = unpacker.unpack()
        if not isinstance(value, dict):
            raise CorruptFile(f"{where}: expected a msgpack map, got {type(value).__name__}")
        if unpacker.tell() != len(payload):
            raise CorruptFile(f"{where}: expected {unpacker.tell()} bytes of msgpack, got {len(payload)}")
        if pack_map(value) != payload:
            raise CorruptFile(f"{where}: the msgpack is not in canonical form")
    except CorruptFile:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise CorruptFile(f"{where}: not valid msgpack: {error or type(error).__name__}") from error
    return value


def compress(payload: bytes) -> bytes:
    """One zstd frame that states its content size."""
    return zstandard.ZstdCompressor(level=19, write_content_size=True).compress(payload)


def decompress(frame: bytes, limit: int, *, exact: bool = False) -> bytes:
    """The content of one zstd frame of at most `limit` bytes, or of just so many. Raises CorruptFile, LimitExceeded."""
    try:
        size = zstandard.frame_content_size(frame)
        if size < 0:
            raise CorruptFile("zstd frame: expected its content size to be stated")
        if exact and size != limit:
            raise CorruptFile(f"zstd frame: expected {limit} bytes of content, it states {size}")
        if size > limit:
            raise LimitExceeded(f"zstd frame: expected at most {limit} bytes of content, it states {size}")
        if zstandard.get_frame_parameters(frame).window_size > MAX_WINDOW:
            raise CorruptFile(f"zstd frame: expected a window of at most {MAX_WINDOW} bytes")
        decoder = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).decompressobj()
        content = decoder.decompress(frame)
    except zstandard.ZstdError as error:
        raise CorruptFile(f"zstd frame: {error}") from error
    if not decoder.eof or decoder.unused_data or len(content) != size:
        raise CorruptFile(f"zstd frame: expected one whole frame of {size} bytes of content")
    return content


def _dump_chunk(chunk: Chunk) -> bytes:
    body = chunk.type + chunk.payload
    return struct.pack("<I", len(chunk.payload)) + body + struct.pack("<I", zlib.crc32(body))


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """(offset, letters, payload) of every chunk; lengths are compared with what is left before anything is taken."""
    offset = len(spec.SIGNATURE)
    while offset < len(data):
        if len(data) - offset < 12:
            raise CorruptFile(f"byte {offset}: expected a chunk of at least 12 bytes, {len(data) - offset} are left")
        length, kind = struct.unpack_from("<I4s", data, offset)
        if not (kind.isascii() and kind.isalpha() and kind[2:3].isupper()):
            raise CorruptFile(f"byte {offset + 4}: expected four letters of a chunk type, got {kind.hex(' ')}")
        if length > spec.MAX_CHUNK_LENGTH or length > len(data) - offset - 12:
            left = len(data) - offset - 12
            raise CorruptFile(f"chunk {_printable(kind)} at byte {offset}: expected {length} bytes of payload, {left} are left")
        payload = data[offset + 8 : offset + 8 + length]
        (stated,) = struct.unpack_from("<I", data, offset + 8 + length)
        found = zlib.crc32(payload, zlib.crc32(kind))
        if stated != found:
            raise CorruptFile(f"chunk {_printable(kind)} at byte {offset}: CRC-32: expected {found:08x}, got {stated:08x}")
        yield offset, kind, payload
        offset += 12 + length


def _printable(kind: bytes) -> str:
    return kind.decode("ascii", "replace")


@dataclass(frozen=True)
class _Packers:
    """Made once for a map: making one for every value takes most of the time."""

    plain: Any
    single: Any


def _packed(value: Any, depth: int, use: _Packers) -> bytes:
    if type(value) is int:  # most values are, and a HEAD may have a million
        return bytes(use.plain.pack(value))
    nested = isinstance(value, list | tuple)
    if depth >= MAX_DEPTH and (nested or isinstance(value, Mapping)):
        raise ValueError(f"expected at most {MAX_DEPTH} nested levels")
    if not nested and isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("expected text as keys")
        items = sorted(value.items(), key=lambda item: item[0].encode())
        parts = [_packed(key, depth, use) + _packed(item, depth + 1, use) for key, item in items]
        return bytes(use.plain.pack_map_header(len(parts))) + b"".join(parts)
    if nested:
        return bytes(use.plain.pack_array_header(len(value))) + b"".join([_packed(item, depth + 1, use) for item in value])
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("expected finite numbers, got NaN or infinity")
        single = abs(value) <= FLOAT32_MAX and struct.unpack("<f", struct.pack("<f", value))[0] == value
        return bytes((use.single if single else use.plain).pack(value))
    if isinstance(value, str):
        return bytes(use.plain.pack(unicodedata.normalize("NFC", value)))
    if value is None or isinstance(value, bool | int | bytes):
        return bytes(use.plain.pack(value))
    raise ValueError(f"expected plain values, got {type(value).__name__}")


def _distinct(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _read_head(payload: bytes, limits: Limits, where: str) -> dict[str, Any]:
    if len(payload) > limits.head_bytes:
        raise LimitExceeded(f"{where}: expected at most {limits.head_bytes} bytes, got {len(payload)}")
    if len(payload) < 3:
        raise CorruptFile(f"{where}: expected a version and a map, got {len(payload)} bytes")
    if payload[0] != spec.MAJOR:
        raise UnsupportedFile(f"{where}: format version {payload[0]}.{payload[1]}: this decoder knows major version {spec.MAJOR}")
    head = unpack_map(payload[2:], "HEAD")
    check_head(head, limits)
    return head
