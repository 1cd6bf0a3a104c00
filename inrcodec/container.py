"""Bytes <-> Container: chunks and the HEAD map. Knows no network and evaluates nothing."""

import math
import struct
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
import zstandard

from inrcodec import spec
from inrcodec.chunks import Chunk, Ranges, TileData, Whole, chunk_header, chunk_payload, dump_chunk, place
from inrcodec.errors import CorruptFile, LimitExceeded, NotInr, UnsupportedFile
from inrcodec.head import check_head
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.tile_index import ParsedIndex, TileIndex, unpack_index

MAX_DEPTH = 16
MAX_ENTRIES = 4096  # of one map or array
MAX_STRING = 1 << 16
MAX_WINDOW = 1 << 27  # of a zstd frame
FLOAT32_MAX = (2 - 2**-23) * 2.0**127


@dataclass(frozen=True)
class Container:
    """A file taken apart: the HEAD map, the joined DATA payloads, the ancillary chunks in their order.

    Of a tiled file `data` holds what the tiles share, `tile` is the payload of TILE, `parts` are the DATA payloads of the tiles.
    """

    head: dict[str, Any]
    data: bytes
    ancillary: tuple[Chunk, ...] = ()
    tile: bytes = b""
    parts: Sequence[bytes] = ()
    parsed: ParsedIndex | None = field(default=None, compare=False, repr=False)  # `tile`, once it was read

    def index(self, limits: Limits = DEFAULT_LIMITS) -> TileIndex:
        """What TILE says, of a tiled file."""
        known = self.parsed
        if known is not None and known.payload is self.tile and known.head is self.head:
            return known.index
        return unpack_index(self.tile, self.head, limits)


def get(container: Container, kind: bytes) -> bytes | None:
    """Payload of the first ancillary chunk of that type, or None."""
    return next((chunk.payload for chunk in container.ancillary if chunk.type == kind), None)


def dump(container: Container) -> bytes:
    """The file of a container: HEAD, ancillary chunks, TILE where there is one, DATA, DONE."""
    return b"".join(pieces(container))


def pieces(container: Container) -> Iterator[bytes]:
    """`dump` in pieces, for files larger than memory."""
    yield spec.SIGNATURE
    yield dump_chunk(Chunk(spec.HEAD, bytes([spec.MAJOR, spec.MINOR]) + pack_map(container.head)))
    yield from (dump_chunk(chunk) for chunk in container.ancillary)
    if container.tile:
        yield dump_chunk(Chunk(spec.TILE, container.tile))
    data = container.data
    for start in range(0, max(1, len(data)), spec.MAX_CHUNK_LENGTH):
        yield dump_chunk(Chunk(spec.DATA, data[start : start + spec.MAX_CHUNK_LENGTH]))
    for part in container.parts:
        yield dump_chunk(Chunk(spec.DATA, part))
    yield dump_chunk(Chunk(spec.DONE, b""))


def load(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Container:
    """Take a file apart and check it. Raises NotInr, CorruptFile, UnsupportedFile, LimitExceeded."""
    container = load_ranges(Whole(data), limits)
    return replace(container, parts=tuple(container.parts))


def load_ranges(ranges: Ranges, limits: Limits = DEFAULT_LIMITS) -> Container:
    """`load` of what is read by ranges: the DATA of tiles is read, and its CRC checked, when it is taken."""
    check_signature(ranges.read(0, len(spec.INRIMAGE_SIGNATURE)))
    found, offset = _Found(limits), len(spec.SIGNATURE)
    while offset < ranges.size:
        length, kind = chunk_header(ranges, offset)
        if kind == spec.DATA and found.tiles_are_next:
            found.parts = _tile_data(ranges, offset, found.lengths)
            offset = found.parts.stop
        else:
            found.take(place(kind, offset), kind, chunk_payload(ranges, offset, length, kind))
            offset += spec.CHUNK_BYTES + length
    return found.container(ranges.size)


class _Found:
    """What the chunks of a file have said so far."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.head: dict[str, Any] = {}
        self.tile = b""
        self.parsed: ParsedIndex | None = None
        self.data: list[bytes] = []
        self.parts: TileData | tuple[bytes, ...] = ()
        self.ancillary: list[Chunk] = []
        self._kinds: list[bytes] = []

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the DATA of the tiles."""
        return () if self.parsed is None else self.parsed.lengths

    @property
    def tiles_are_next(self) -> bool:
        """Whether a DATA chunk is that of the first tile."""
        return self.parsed is not None and self._kinds[-1] == spec.DATA and not self.parts

    def take(self, where: str, kind: bytes, payload: bytes) -> None:
        first, previous = not self._kinds, self._kinds[-1:]
        if len(self._kinds) >= self.limits.chunks:
            raise LimitExceeded(f"{where}: expected at most {self.limits.chunks} chunks")
        if previous == [spec.DONE]:
            raise CorruptFile(f"{where}: expected nothing after DONE")
        if first != (kind == spec.HEAD):
            raise CorruptFile(f"{where}: expected HEAD first and once")
        if kind == spec.HEAD:
            self.head = _read_head(payload, self.limits, where)
        elif kind == spec.TILE:
            if self.tile or self.data or "tiles" not in self.head:
                raise CorruptFile(f"{where}: expected it beside HEAD.tiles, once, before DATA")
            self.tile = payload
            index = unpack_index(payload, self.head, self.limits)
            self.parsed = ParsedIndex(payload, self.head, index, tuple(entry.length for entry in index.entries))
        elif kind == spec.DATA:
            if self.data and (previous != [spec.DATA] or self.parts):
                raise CorruptFile(f"{where}: expected the DATA chunks side by side")
            self.data.append(payload)
        elif kind == spec.DONE:
            if payload:
                raise CorruptFile(f"{where}: expected an empty DONE, got {len(payload)} bytes")
        elif kind[:1].isupper():
            raise UnsupportedFile(f"{where}: unknown critical chunk")
        else:
            if len(payload) > self.limits.ancillary_bytes:
                raise LimitExceeded(f"{where}: expected at most {self.limits.ancillary_bytes} bytes, got {len(payload)}")
            self.ancillary.append(Chunk(kind, payload))
        self._kinds.append(kind)

    def container(self, size: int) -> Container:
        """Raises CorruptFile for what is missing, or does not fit."""
        if self._kinds[-1:] != [spec.DONE]:
            raise CorruptFile(f"byte {size}: expected a DONE chunk at the end, the file is cut off")
        if "tiles" in self.head and not self.tile:
            raise CorruptFile("expected a TILE chunk before DATA, found none")
        if not self.data:
            raise CorruptFile("expected a DATA chunk, found none")
        if len(self.parts) != len(self.lengths):
            raise CorruptFile(f"expected {1 + len(self.lengths)} DATA chunks, found {len(self.data)}")
        joined = b"".join(self.data)
        declared = sum(entry[1] for entry in self.head["tens"])
        if declared != len(joined):
            raise CorruptFile(f"HEAD.tens: the tensors' lengths sum to {declared} bytes, DATA has {len(joined)}")
        if self.head.get("color", {}).get("icc") and not any(chunk.type == spec.ICC for chunk in self.ancillary):
            raise CorruptFile("HEAD.color.icc: expected an iCCP chunk, found none")
        return Container(self.head, joined, tuple(self.ancillary), self.tile, self.parts, self.parsed)


def _tile_data(ranges: Ranges, offset: int, lengths: tuple[int, ...]) -> TileData:
    data = TileData(ranges, offset, lengths)
    if data.stop > ranges.size:
        raise CorruptFile(f"byte {ranges.size}: expected the DATA of {len(lengths)} tiles up to byte {data.stop}, the file is cut off")
    return data


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
