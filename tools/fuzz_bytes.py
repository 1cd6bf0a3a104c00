"""Damage of bytes and of .inr files, for fuzz.py: every function takes a random number generator, so that a seed gives the same input."""

import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import msgpack

from inrcodec.container import dump, load, pack_map
from inrcodec.errors import InrError
from inrcodec.tile_index import pack_index, unpack_index
from tools.small_files import Chunks, joined

INTEGERS = (
    0,
    1,
    2,
    7,
    63,
    64,
    127,
    128,
    255,
    256,
    4095,
    4096,
    65535,
    65536,
    2**20,
    2**24,
    2**28,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-45, 1e-300, 3.4028234e38, 1e39, 1.7e308, -1.7e308, math.pi)
TEXTS = (
    "",
    "x",
    "residual",
    "tiles",
    "siren.1",
    "msa.1",
    "sasnet.1",
    "sasnet.2",
    "float32",
    "uint8",
    "é",
    "a" * 300,
    "\x00",
    "image",
    "shape",
    "sdf",
)
CHUNKS = (
    b"HEAD",
    b"TILE",
    b"DATA",
    b"DONE",
    b"iCCP",
    b"eXIf",
    b"xMPp",
    b"mETa",
    b"pROV",
    b"mTRC",
    b"tHMB",
    b"hASH",
    b"abCd",
    b"ABCD",
    b"prIv",
)


def damaged(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """One to four blind changes: bits, bytes, numbers, cuts, insertions, repetitions, pieces of other files."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = _change(data, random, others)
    return data


def _change(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    at, kind = random.randrange(len(data) + 1), random.randrange(9)
    if kind == 0:
        return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at:]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at + random.choice((1, 2, 3, 4, 8, 100)) :]
    if kind == 3:
        piece = data[at : at + random.randrange(1, 40)]
        return data[:at] + piece * random.choice((2, 3, 50)) + data[at:]
    if kind == 4 and others:
        other = random.choice(others)
        start = random.randrange(len(other) + 1)
        return data[:at] + other[start : start + random.randrange(1, 400)] + data[at + random.randrange(400) :]
    if kind in (5, 6):
        value, size = random.choice(INTEGERS), random.choice((1, 2, 4, 8))
        number = (value % (1 << 8 * size)).to_bytes(size, random.choice(("little", "big")))
        return data[:at] + number + data[at + size :]
    changed = bytearray(data or b"\0")
    for _ in range(random.choice((1, 1, 2, 8))):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def split(data: bytes) -> Chunks:
    """The chunks of a file that is whole."""
    chunks, at = list[tuple[bytes, bytes]](), 8
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def damaged_file(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """An .inr file with damage where only a reader of its parts sees it: checksums, lengths and encodings are right again."""
    chunks, kind = split(data), random.randrange(8)
    if kind == 0:
        return damaged(data, random, others)
    if kind == 1:
        return joined(_shuffled(chunks, random))
    if b"TILE" in dict(chunks) and random.random() < 0.5:
        return _with_tile(data, chunks, random)
    head = _head(chunks)
    if kind == 2:
        version = bytes(random.choice(((0, 1), (0, 255), (1, 0), (255, 255))))
        return joined(_with(chunks, b"HEAD", version + damaged(chunks[0][1][2:], random)))
    if kind in (3, 4) or head is None:
        return joined(_with(chunks, b"HEAD", chunks[0][1][:2] + packed(changed_value(head, random), random)))
    if kind == 5:
        donor = split(random.choice(others))
        part = random.choice((b"HEAD", b"DATA"))
        return joined(_with(chunks, part, dict(donor).get(part, b"")))
    return joined(_with_tensor(chunks, head, random, others))


def _head(chunks: Chunks) -> Any:
    try:
        return msgpack.unpackb(chunks[0][1][2:], strict_map_key=False)
    except ValueError:
        return None


def _with(chunks: Chunks, name: bytes, payload: bytes) -> Chunks:
    return [(found, payload if found == name else body) for found, body in chunks]


def _shuffled(chunks: Chunks, random: Random) -> Chunks:
    """A chunk moved, repeated, left out, renamed or put in."""
    changed, at = list(chunks), random.randrange(len(chunks))
    name, payload = changed[at]
    kind = random.randrange(5)
    if kind == 0:
        del changed[at]
    elif kind == 1:
        changed[at] = random.choice(CHUNKS), payload
    elif kind == 2:
        changed.insert(
            random.randrange(len(chunks) + 1), (random.choice(CHUNKS), random.choice((b"", b"\x80", payload, random.randbytes(20))))
        )
    elif kind == 3:
        changed.insert(random.randrange(len(chunks) + 1), (name, payload))
    else:
        cut = random.randrange(len(payload) + 1)
        changed[at : at + 1] = [(name, payload[:cut]), (name, payload[cut:])]
    return changed


def _with_tensor(chunks: Chunks, head: Any, random: Random, others: Sequence[bytes]) -> Chunks:
    """Another payload or codec for one tensor; HEAD states its length."""
    entries = head.get("tens") if isinstance(head, dict) else None
    if not entries or not all(isinstance(entry, list) and len(entry) == 2 for entry in entries):
        return chunks
    data, number = dict(chunks).get(b"DATA", b""), random.randrange(len(entries))
    start = sum(length for _, length in entries[:number])
    payload = data[start : start + entries[number][1]]
    if random.random() < 0.2:
        donor = dict(split(random.choice(others))).get(b"DATA", b"")
        begin = random.randrange(len(donor) + 1)
        fresh = donor[begin : begin + random.randrange(1, 200)]
    else:
        fresh = damaged(payload, random)
    codec = random.randrange(12) if random.random() < 0.2 else entries[number][0]
    changed = [*entries[:number], [codec, len(fresh)], *entries[number + 1 :]]
    whole = data[:start] + fresh + data[start + len(payload) :]
    return _with(_with(chunks, b"HEAD", chunks[0][1][:2] + packed({**head, "tens": changed}, random)), b"DATA", whole)


def _with_tile(data: bytes, chunks: Chunks, random: Random) -> bytes:
    """A tiled file with another TILE, another DATA of a tile, or another payload or codec of a tile's tensor, whose length is right."""
    if random.random() < 0.4:
        return joined(one_changed(chunks, random, lambda payload: damaged(payload, random)))
    try:
        container = load(data)
    except InrError:
        return data
    index = unpack_index(container.tile, container.head)
    tile = random.randrange(len(index.entries))
    entry, part = index.entries[tile], container.parts[tile]
    number = random.randrange(len(entry.tensors))
    codec, length = entry.tensors[number]
    start = sum(length for _, length in entry.tensors[:number])
    fresh = damaged(part[start : start + length], random)
    changed = random.randrange(12) if random.random() < 0.2 else codec, len(fresh)
    tensors = (*entry.tensors[:number], changed, *entry.tensors[number + 1 :])
    entries = (*index.entries[:tile], replace(entry, tensors=tensors), *index.entries[tile + 1 :])
    whole = part[:start] + fresh + part[start + length :]
    parts = (*container.parts[:tile], whole, *container.parts[tile + 1 :])
    return dump(replace(container, tile=pack_index(index.tiling.root, entries), parts=parts))


def one_changed(chunks: Chunks, random: Random, change: Callable[[bytes], bytes]) -> Chunks:
    """Another payload of one of the chunks that have one."""
    at = random.choice([i for i, (_, payload) in enumerate(chunks) if payload])
    return [(name, change(payload) if i == at else payload) for i, (name, payload) in enumerate(chunks)]


def packed(value: Any, random: Random) -> bytes:
    """Canonical msgpack; now and then, and of what has no canonical form, another."""
    if random.random() < 0.9 and isinstance(value, dict):
        try:
            return pack_map(value)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            pass
    try:
        return bytes(msgpack.packb(value, use_single_float=random.random() < 0.5))
    except (ValueError, TypeError, OverflowError):
        return b"\x80"


def changed_value(value: Any, random: Random) -> Any:
    """A map with one to three of its values, at any depth, changed, left out, repeated or put in."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        value = _changed(value, random, 0)
    return value


def _changed(value: Any, random: Random, depth: int) -> Any:
    deeper = isinstance(value, dict | list) and value and random.random() < 0.85 and depth < 12
    if deeper and isinstance(value, dict):
        key = random.choice(sorted(value, key=str))
        if random.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        if random.random() < 0.1:
            return {**value, random.choice(TEXTS): _fresh(random)}
        return {**value, key: _changed(value[key], random, depth + 1)}
    if deeper:
        at = random.randrange(len(value))
        if random.random() < 0.1:
            return value[:at] + value[at + 1 :]
        if random.random() < 0.15:
            return value[:at] + [value[at]] * random.choice((2, 3, 70, 5000)) + value[at + 1 :]
        return [*value[:at], _changed(value[at], random, depth + 1), *value[at + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.6:
        return max(-(2**63), min(2**64 - 1, value + random.choice((-2, -1, 1, 2, value))))
    if isinstance(value, float) and random.random() < 0.6:
        return value * random.choice((-1.0, 0.5, 2.0, 1e3, 1e30, 1e300))
    return _fresh(random)


def _fresh(random: Random) -> Any:
    makers = (
        lambda: random.choice(INTEGERS),
        lambda: -random.choice(INTEGERS) // 2,
        lambda: random.choice(FLOATS),
        lambda: random.choice(TEXTS),
        lambda: random.choice((None, True, False, b"", b"\xff", [], {}, [[]], {"x": 1}, [0.0] * 16)),
        lambda: random.choice((math.nan, math.inf)),
    )
    return random.choice(makers)()


def resealed_png(data: bytes) -> bytes:
    """A PNG with right checksums, as far as its chunks can be followed."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            break
        body = data[at + 4 : at + 8 + length]
        out += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out + data[at:]
