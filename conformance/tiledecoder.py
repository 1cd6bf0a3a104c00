"""A decoder of tiled .inr files, written from the text of the format, section 13, and of those that minidecoder.py and compared.py decode.

    python -m conformance.tiledecoder FILE -o OUT [as conformance.adapter]

With NumPy alone, and made to be read. It keeps the parameters of all tiles, named `tiles.<number>.<name>`.

    file = tiledecoder.open(data)      # as minidecoder.open
"""

import itertools
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from conformance import (
    adapter,
    compared,  # noqa: F401  the networks of section 9.1
    minidecoder,
)
from conformance.minidecoder import LIMIT, MAX_CHUNKS, MAX_ELEMENTS, UNSUPPORTED, Array, leb128, need

CRITICAL, ORDER = "HEAD TILE DATA DONE", "HEAD([a-z]...)*(TILE([a-z]...)*)?(DATA)+([a-z]...)*DONE"
CONTEXT, CONTEXT_NET, TILED = 8, 9, 11
SHARED, OWN = {0, 1, 3, 4, 6, CONTEXT_NET, TILED}, {0, 1, 3, 4, 6, CONTEXT, CONTEXT_NET}
CODECS = SHARED | OWN | {7, 10}
MAX_TILES, MAX_SPLITS = 2**20, 64
Map = dict[str, Any]
Box = tuple[tuple[int, int], ...]  # per axis: first sample, sample after the last


def read_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Section 1, and TILE: letters and payload of every chunk. The DATA chunks of tiles do not count for the limit."""
    chunks = minidecoder.read_chunks(data, CRITICAL, ORDER, MAX_CHUNKS + MAX_TILES)
    names = [name for name, _ in chunks]
    need(len(names) - (names.count(b"DATA") - 1) * (b"TILE" in names) <= MAX_CHUNKS, "too many chunks", LIMIT)
    return chunks


def read_head(chunks: list[tuple[bytes, bytes]]) -> tuple[Map, list[int]]:
    """The map, checked, and the overlap V of every axis; of a file without tiles none."""
    head, names = minidecoder.read_map(chunks[0][1]), [name for name, _ in chunks]
    second = type(head.get("level")) is int and head["level"] == 2
    first = {key: value for key, value in head.items() if key != "tiles"} | {"req": [name for name in head["req"] if name != "tiles"]}
    minidecoder.check_head(first | ({"level": 1} if second else {}), b"iCCP" in names)
    codecs, tiled = [codec for codec, _ in head["tens"]], "tiles" in head
    need({*codecs} <= CODECS, f"an unknown codec in {codecs}", UNSUPPORTED)
    marks = {second, "tiles" in head["req"], TILED in codecs, b"TILE" in names}
    need(marks == {tiled}, "of tiles, their level, their name in req, TILE and codec 11 there are some and not all")
    if not tiled:
        return head, []
    need(not {"windows", "valid", "residual"} & {*head, *head["out"]}, "windows, valid or residual beside tiles")
    need(type(head["tiles"]) is dict and [*head["tiles"]] == ["overlap"], "tiles is not a map of overlap alone")
    overlap: list[int] = minidecoder.check("int*", head["tiles"]["overlap"], "overlap")
    need(len(overlap) == len(head["axes"]) and all(v >= 2 and v % 2 == 0 for v in overlap), "overlap is not an even integer per axis")
    need({*codecs} <= SHARED and CONTEXT_NET not in codecs[:-1], "a codec that no shared tensor may have, or in a wrong place")
    need(not any(length for codec, length in head["tens"] if codec == TILED), "a tensor of codec 11 that is not empty")
    return head, overlap


def read_tree(payload: bytes, at: int, box: Box, depth: int, found: list[Box]) -> int:
    """A node: adds the boxes of its tiles to those that were found, and gives the place where it ends."""
    need(at < len(payload), "TILE ends early")
    axis, at = payload[at] - 1, at + 1
    if axis < 0:
        need(len(found) < MAX_TILES, "too many tiles", LIMIT)
        found.append(box)
        return at
    need(axis < len(box) and depth < MAX_SPLITS, "a split of an axis that is not there, or too many one below the other")
    (place, at), (a, b) = leb128(payload, at), box[axis]
    need(a < place < b, "a split outside of its box")
    for part in ((a, place), (place, b)):
        at = read_tree(payload, at, (*box[:axis], part, *box[axis + 1 :]), depth + 1, found)
    return at


@dataclass(frozen=True, eq=False)
class Entry:
    """What TILE says of a tile: its samples, codecs and lengths of its own tensors, s and o (channel)."""

    box: Box
    tensors: list[list[int]]
    scale: Array
    offset: Array

    @property
    def contextual(self) -> bool:
        return CONTEXT in [codec for codec, _ in self.tensors]


def read_index(payload: bytes, head: Map, overlap: list[int]) -> list[Entry]:
    """TILE."""
    boxes, found, c = list[Box](), list[Entry](), len(head["out"]["channels"])
    at = read_tree(payload, 0, tuple((0, axis["n"]) for axis in head["axes"]), 0, boxes)
    least = [min(v, axis["n"]) for v, axis in zip(overlap, head["axes"], strict=True)]
    need(all(b - a >= v for box in boxes for (a, b), v in zip(box, least, strict=True)), "a tile that was cut narrower than the overlap")
    codecs = [codec for codec, _ in head["tens"]]
    common = CONTEXT_NET in codecs
    for box in boxes:
        tensors = list[list[int]]()
        while len(tensors) < codecs.count(TILED) + (not common and CONTEXT in [codec for codec, _ in tensors]):
            need(at < len(payload), "TILE ends early")
            codec = payload[at]
            need(codec in CODECS, f"unknown codec {codec}", UNSUPPORTED)
            need(codec in OWN, f"codec {codec} of a tile's tensor")
            length, at = leb128(payload, at + 1)
            tensors.append([codec, length])
        need(at + 8 * c <= len(payload), "TILE ends early")
        numbers = np.frombuffer(payload, "<f4", 2 * c, at).reshape(2, c).astype(np.float32)
        need(np.isfinite(numbers).all(), "s or o is not finite")
        at += 8 * c
        found.append(Entry(box, tensors, *numbers))
    need(at == len(payload), "something behind the last tile in TILE")
    need(not common or any(entry.contextual for entry in found), "a context network that no tile needs")
    return found


def cut(data: bytes, tensors: list[list[int]]) -> Iterator[tuple[list[int], bytes]]:
    """Codec and length of every tensor, and its payload."""
    lengths = [length for _, length in tensors]
    need(sum(lengths) == len(data), "lengths that do not sum to DATA")
    parts = [data[end - length : end] for length, end in zip(lengths, itertools.accumulate(lengths), strict=True)]
    return zip(tensors, parts, strict=True)


def read_params(index: list[Entry], head: Map, net: Map, bodies: list[bytes]) -> Iterator[dict[str, Array]]:
    """The parameters of every tile, as of a file of level 1."""
    need(len(bodies) == 1 + len(index), "not one DATA chunk for what is shared, and one for every tile")
    need(len(index) * sum(math.prod(shape) for _, shape, _ in net["tensors"]) <= MAX_ELEMENTS, "too many elements", LIMIT)
    shared = [*cut(bodies[0], head["tens"])]
    for entry, body in zip(index, bodies[1:], strict=True):
        own = cut(body, entry.tensors)
        needed = [(tensor, part) for tensor, part in shared if entry.contextual or tensor[0] != CONTEXT_NET]
        found = [next(own) if tensor[0] == TILED else (tensor, part) for tensor, part in needed]
        found += own
        tens = {"tens": [tensor for tensor, _ in found]}
        yield minidecoder.read_tensors(head | tens, net, b"".join(part for _, part in found))[0]


def smooth(t: Array) -> Array:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


class File(minidecoder.File):
    """As that of minidecoder, of tiled files too. Raises InrError."""

    def __init__(self, data: bytes, real: type = np.float32) -> None:
        chunks = read_chunks(data)
        head, self.overlap = read_head(chunks)
        self.tiles = list[tuple[Entry, dict[str, Array]]]()
        if not self.overlap:
            super().__init__(data, real)
            return
        self.head, self.real, self.net = head, real, minidecoder.read_net(head)
        index = read_index(dict(chunks)[b"TILE"], head, self.overlap)
        params = read_params(index, head, self.net, [body for name, body in chunks if name == b"DATA"])
        self.tiles = [*zip(index, params, strict=True)]
        self.params = {f"tiles.{k}.{name}": value for k, (_, own) in enumerate(self.tiles) for name, value in own.items()}
        self.valid = self.added = None

    @np.errstate(over="ignore", invalid="ignore")
    def outputs(self, x: Array, real: type) -> Array:
        """y (n, channel) at coordinates (n, d), in pieces for which a layer takes a few MiB."""
        if not self.tiles:
            return super().outputs(x, real)
        piece = max(1, 2**20 // max(spec[1][-1] for spec in self.net["tensors"]))
        return np.concatenate([self.of_tiles(x[i : i + piece], real) for i in range(0, max(1, len(x)), piece)]).astype(float)

    def of_tiles(self, x: Array, real: type) -> Array:
        """Section 13, values."""
        (lo, hi, n), v = self.axes(), np.array(self.overlap)
        q, y = n * ((x - lo) / (hi - lo)), np.zeros((len(x), self.net["out_features"]), real)
        for tile, params in self.tiles:
            a, b = np.array(tile.box).T
            first, last = np.where(a == 0, 1, smooth((q - a) / v + 0.5)), np.where(b == n, 0, smooth((q - b) / v + 0.5))
            w = (first - last).prod(axis=1)
            at = w > 0
            found = minidecoder.network(self.net, params, (q[at] - (a + b) / 2) * (2 / (b - a + v)), real)
            y[at] += w[at, None].astype(np.float32) * (tile.scale * found + tile.offset)
        return y


open = File

if __name__ == "__main__":
    sys.exit(adapter.main(opened=File))
