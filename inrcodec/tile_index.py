"""The payload of a TILE chunk <-> where the tiles are, and what the DATA chunk of each one holds (spec section "Tiles")."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inrcodec import spec
from inrcodec.errors import CorruptFile, LimitExceeded, UnsupportedFile
from inrcodec.head import borders
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.rans import leb128, read_leb128
from inrcodec.tiling import Split, Tiling, tiling

Entry = tuple[int, int]  # codec, bytes


@dataclass(frozen=True)
class TileEntry:
    """The tensors that a tile has of its own, and per channel what takes its outputs to values: scale * y + offset, float32."""

    tensors: tuple[Entry, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def length(self) -> int:
        """Bytes of its DATA."""
        return sum(length for _, length in self.tensors)


@dataclass(frozen=True, eq=False)
class TileIndex:
    """What a TILE chunk says."""

    tiling: Tiling
    entries: tuple[TileEntry, ...]


@dataclass(frozen=True, eq=False)
class ParsedIndex:
    """The index of a payload beside a HEAD, with the bytes of each tile's DATA."""

    payload: bytes
    head: Mapping[str, Any]
    index: TileIndex
    lengths: tuple[int, ...]


def pack_index(root: Split | int, entries: Sequence[TileEntry]) -> bytes:
    """The payload of a tree, whose tiles are numbered depth first, and of their entries."""
    parts = []
    pending: list[Split | int] = [root]
    while pending:
        node = pending.pop()
        if isinstance(node, int):
            parts.append(b"\0")
        else:
            parts.append(bytes([1 + node.axis]) + leb128(node.at))
            pending += reversed(node.parts)
    for entry in entries:
        parts += [bytes([codec]) + leb128(length) for codec, length in entry.tensors]
        parts.append(struct.pack(f"<{2 * len(entry.scales)}f", *entry.scales, *entry.offsets))
    return b"".join(parts)


def unpack_index(payload: bytes, head: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> TileIndex:
    """The inverse, for a checked HEAD with tiles. Raises CorruptFile, UnsupportedFile, LimitExceeded."""
    reader = _Reader(payload)
    shape, bounds = [axis["n"] for axis in head["axes"]], [borders(axis) for axis in head["axes"]]
    root, count = _read_tree(reader, len(shape), limits)
    try:
        tiles = tiling(shape, bounds, head["tiles"]["overlap"], root)
    except ValueError as error:
        raise CorruptFile(f"TILE: {error}") from error
    own = sum(codec == spec.TILED for codec, _ in head["tens"])
    net_is_shared = any(codec == spec.CONTEXT_NET for codec, _ in head["tens"])
    channels = len(head["out"]["channels"])
    entries = []
    for number in range(count):
        tensors = [reader.tensor(number) for _ in range(own)]
        if not net_is_shared and any(codec == spec.CONTEXT for codec, _ in tensors):
            tensors.append(reader.tensor(number))
        numbers = reader.floats(2 * channels, number)
        entries.append(TileEntry(tuple(tensors), numbers[:channels], numbers[channels:]))
    if net_is_shared and not any(codec == spec.CONTEXT for entry in entries for codec, _ in entry.tensors):
        raise CorruptFile("HEAD.tens: a shared context network: expected a tile with a tensor of codec context")
    if reader.position != len(payload):
        raise CorruptFile(f"TILE: expected {reader.position} bytes, got {len(payload)}")
    return TileIndex(tiles, tuple(entries))


class _Reader:
    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self.position = 0

    def byte(self) -> int:
        if self.position >= len(self._payload):
            raise CorruptFile(f"TILE: byte {self.position}: expected more, it is cut off")
        self.position += 1
        return self._payload[self.position - 1]

    def number(self) -> int:
        value, self.position = read_leb128(self._payload, self.position, where="TILE")
        return value

    def tensor(self, tile: int) -> Entry:
        codec = self.byte()
        if codec not in spec.CODECS:
            raise UnsupportedFile(f"TILE: tile {tile}: unknown codec {codec}")
        if codec in (spec.TILED, spec.MASK, spec.RESIDUAL):
            raise CorruptFile(f"TILE: tile {tile}: expected a codec for parameters, got {spec.CODEC_NAMES[codec]}")
        return codec, self.number()

    def floats(self, count: int, tile: int) -> tuple[float, ...]:
        if len(self._payload) - self.position < 4 * count:
            raise CorruptFile(f"TILE: tile {tile}: expected {count} numbers, it is cut off")
        found: tuple[float, ...] = struct.unpack_from(f"<{count}f", self._payload, self.position)
        if not all(abs(value) < float("inf") for value in found):
            raise CorruptFile(f"TILE: tile {tile}: expected finite numbers, got {found}")
        self.position += 4 * count
        return found


def _read_tree(reader: _Reader, d: int, limits: Limits) -> tuple[Split | int, int]:
    """The tree, and how many tiles it has."""
    open_splits: list[tuple[int, int, list[Split | int]]] = []  # axis, place, the parts that are known
    count = 0
    while True:
        kind = reader.byte()
        if kind > d:
            raise CorruptFile(f"TILE: byte {reader.position - 1}: expected 0 or an axis from 1 to {d}, got {kind}")
        if kind:
            if len(open_splits) >= spec.MAX_SPLITS:
                raise CorruptFile(f"TILE: expected at most {spec.MAX_SPLITS} splits one below the other")
            open_splits.append((kind - 1, reader.number(), []))
            continue
        node: Split | int = count
        count += 1
        if count > limits.tiles:
            raise LimitExceeded(f"TILE: expected at most {limits.tiles} tiles")
        while open_splits:
            axis, at, parts = open_splits[-1]
            parts.append(node)
            if len(parts) < 2:
                break
            open_splits.pop()
            node = Split(axis, at, (parts[0], parts[1]))
        if not open_splits:
            return node, count
