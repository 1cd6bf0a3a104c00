"""Faults of tiles: see make_faulty.py."""

import struct
from collections.abc import Iterator
from dataclasses import replace

from inrcodec import context
from inrcodec.tiling import Split
from tools.small_files import Case, Chunks, Made, floats, frame, joined, once, sasnet, siren, sound, stream
from tools.small_tiles import (
    CONTEXT,
    CONTEXT_NET,
    INTEGERS,
    RANS,
    RAW,
    TILED,
    Tiled,
    alike,
    context_network,
    entry,
    own_contexts,
    pair,
    shared_contexts,
)

# The last tensor of siren(), those of the first tile of pair(), and the table of sasnet().
OUT_BIAS = 3
FIRST = [(RANS, 11), (RAW, 4)]
TABLE = 2
LEAF = b"\0"
HALVES = Split(0, 2, (0, 1))


def corrupt(name: str, about: str, made: Tiled | Chunks) -> Case:
    return Case(f"tiles-{name}", "corrupt", about, made.bytes() if isinstance(made, Tiled) else joined(made))


def tiled_head_cases() -> Iterator[Case]:
    """What HEAD says of tiles, and what may not stand beside it."""
    made, plain = pair(), siren()
    out, tens = made.head["out"], made.head["tens"]

    def overlap(name: str, about: str, value: object) -> Case:
        return corrupt(f"overlap-{name}", about, made.with_head(tiles={"overlap": value}))

    yield overlap("odd", "an odd overlap", [2, 3])
    yield overlap("zero", "an overlap of 0", [2, 0])
    yield overlap("negative", "an overlap below 0", [-2, 2])
    yield overlap("short", "one overlap for two axes", [2])
    yield overlap("long", "three overlaps for two axes", [2, 2, 2])
    yield overlap("float", "a float as overlap", [2.0, 2])
    yield overlap("integer", "an integer in place of the list", 2)
    yield corrupt("key-missing", "tiles without overlap", made.with_head(tiles={}))
    yield corrupt("key-unknown", "a key that no table has", made.with_head(tiles={"overlap": [2, 2], "hop": [2, 2]}))
    yield corrupt("list", "a list in place of the map", made.with_head(tiles=[2, 2]))
    yield corrupt("level-first", "tiles in a file of level 1", made.with_head(level=1))
    yield corrupt("level-alone", "level 2, and nothing else of tiles", plain.with_head(level=2).chunks())
    yield corrupt("req-missing", "tiles that req does not name", made.with_head(req=[]))
    yield corrupt("req-alone", "req names tiles, and there are none", plain.with_head(req=["tiles"]).chunks())
    yield corrupt("head-missing", "all of tiles but HEAD.tiles", made.with_head(tiles=None))
    yield corrupt("codec-alone", "a tensor of codec tiled in a file without tiles", plain.with_tensor(OUT_BIAS, TILED, b"").chunks())
    yield corrupt("windows", "windows beside tiles", alike(sound(), {3}, Split(0, 6, (0, 1)), 2, [2]))
    content = frame(bytes.fromhex("fffff0"))
    masked = made.with_head(out={**out, "dtype": "float32", "valid": True}, tens=[*tens, [7, len(content)]])
    yield corrupt("valid", "missing samples beside tiles", masked.with_data(0, made.data[0] + content))
    stated = {"bound": 1.0, "step": 1.0, "tolerance": 1.0}
    residual = made.with_head(out={**out, "residual": stated}, req=["residual", "tiles"], tens=[*tens, [10, 0]])
    yield corrupt("residual", "a residual beside tiles", residual)
    yield corrupt("own-none", "no tensor of codec tiled", alike(plain, (), HALVES, 2, [2, 2]))
    yield corrupt(
        "own-length", "a tensor of codec tiled with a byte", made.with_shared(OUT_BIAS, [TILED, 1]).with_data(0, made.data[0] + b"\0")
    )
    yield Case("tiles-shared-unknown", "unsupported", "codec 99 of a shared tensor", made.with_shared(0, [99, tens[0][1]]).bytes())
    yield corrupt("shared-mask", "codec mask of a shared tensor", made.with_shared(0, [7, tens[0][1]]))
    yield corrupt("shared-residual", "codec residual of a shared tensor", made.with_shared(0, [10, tens[0][1]]))
    yield corrupt("shared-short", "lengths of shared tensors whose sum is a byte less than the first DATA", made.with_shared(0, [1, 24]))
    yield corrupt("tensors-few", "a tensor less than the network has", made.with_head(tens=tens[1:]).with_data(0, made.data[0][25:]))
    many = made.with_head(tens=[*tens, [RAW, 4]]).with_data(0, made.data[0] + floats(0.0))
    yield corrupt("tensors-many", "a tensor more than the network has", many)


def index_cases() -> Iterator[Case]:
    """The tree and the entries of TILE, and the order of chunks."""
    made, plain = pair(), siren()
    head, index, shared, first, second, done = made.chunks()
    note = (b"pROV", b"\x80")

    def split(name: str, about: str, coded: bytes, tiles: int = 2) -> Case:
        return corrupt(f"tree-{name}", about, replace(made, tree=coded, entries=(made.entries[0],) * tiles))

    yield split("axis", "a split of the third of two axes", b"\3\2\0\0")
    yield split("axis-beyond", "a split of axis 254", b"\xff\2\0\0")
    yield split("begin", "a split at the first sample", b"\1\0\0\0")
    yield split("end", "a split behind the last sample", b"\1\4\0\0")
    yield split("outside", "a split far outside of the grid", b"\1\xff\xff\3\0\0")
    yield split("below", "a split outside of its box, within the grid", b"\1\2" + LEAF + b"\2\2\0\1\1\0\0", 4)
    yield split("long", "a place in two bytes that fits one", b"\1\x82\0\0\0")
    yield split("endless", "a place that never ends", b"\1" + b"\x80" * 12)
    tall = made.with_head(axes=[{"name": "y", "n": 200}, {"name": "x", "n": 5}])
    deep = b"".join(bytes([1]) + place(2 * k + 2) + LEAF for k in range(65)) + LEAF
    many = replace(tall, tree=deep, entries=(made.entries[0],) * 66, data=(made.data[0], *(made.data[1],) * 66))
    yield corrupt("tree-deep", "65 splits one below the other", many)
    yield corrupt("tree-cut", "a split without its second part", replace(made, tree=b"\1\2\0", entries=()))
    yield corrupt("tree-only", "no entries", replace(made, entries=()))
    yield corrupt("narrow", "a tile narrower than the overlap", replace(made, tree=b"\1\1\0\0"))
    wide = replace(made.with_head(tiles={"overlap": [2, 6]}), tree=b"\2\2\0\0")
    yield corrupt("narrow-axis", "tiles cut narrower than an overlap that is wider than the axis", wide)
    yield corrupt("missing", "no TILE", [head, shared, first, second, done])
    yield corrupt("empty", "TILE of no bytes", [head, (b"TILE", b""), shared, first, second, done])
    yield corrupt("twice", "two TILE chunks", [head, index, index, shared, first, second, done])
    yield corrupt("behind", "TILE behind the first DATA", [head, shared, index, first, second, done])
    yield corrupt("last", "TILE behind all DATA", [head, shared, first, second, index, done])
    yield corrupt("unasked", "TILE in a file without tiles", [plain.chunks()[0], (b"TILE", index[1]), *plain.chunks()[1:]])
    yield corrupt("trailing", "a byte behind the last entry", replace(made, entries=(*made.entries, b"\0")))
    yield corrupt("cut", "the last entry is a byte short", made.with_entry(1, made.entries[1][:-1]))
    long = once(made.entries[0], bytes([RANS, 11]), bytes([RANS, 0x8B, 0]))
    yield corrupt("length-long", "a length in two bytes that fits one", made.with_entry(0, long))
    yield corrupt("data-missing", "no DATA of the second tile", [head, index, shared, first, done])
    yield corrupt("data-shared-only", "no DATA of any tile", [head, index, shared, done])
    yield corrupt("data-more", "DATA of a third of two tiles", [head, index, shared, first, second, second, done])
    yield corrupt("data-empty", "an empty DATA behind those of the tiles", [head, index, shared, first, second, (b"DATA", b""), done])
    yield corrupt("data-swapped", "the DATA of the first tile behind that of the second", [head, index, shared, second, first, done])
    yield corrupt(
        "data-cut",
        "the DATA of a tile in two chunks",
        [head, index, shared, (b"DATA", first[1][:5]), (b"DATA", first[1][5:]), second, done],
    )
    yield corrupt("data-apart", "another chunk among the DATA of tiles", [head, index, shared, first, note, second, done])
    yield Case(
        "tiles-chunks", "limit", "1030 chunks beside the DATA of tiles", joined([head, index, *[note] * 1026, shared, first, second, done])
    )
    good = made.bytes()
    damaged = bytearray(good)
    damaged[good.index(second[1])] ^= 1
    yield Case("tiles-crc", "corrupt", "one bit of the second tile's DATA is another", bytes(damaged))
    damaged = bytearray(good)
    damaged[good.index(b"TILE") + 5] ^= 1
    yield Case("tiles-crc-index", "corrupt", "one bit of TILE is another", bytes(damaged))


def place(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])


def tile_cases() -> Iterator[Case]:
    """The tensors of tiles, and what takes their outputs to values."""
    made, own, common = pair(), own_contexts(), shared_contexts()
    nan, described = struct.pack("<f", float("nan")), context.pack_net(context_network(0))

    def listed(index: int, codec: int, length: int) -> Tiled:
        return made.with_entry(0, entry([(codec, length) if i == index else old for i, old in enumerate(FIRST)]))

    yield corrupt("codec-mask", "codec mask of a tile's tensor", listed(1, 7, 4))
    yield corrupt("codec-residual", "codec residual of a tile's tensor", listed(1, 10, 4))
    yield corrupt("codec-tiled", "codec tiled of a tile's tensor", listed(1, TILED, 4))
    yield corrupt("codec-net", "codec context-net of a tile's tensor", listed(1, CONTEXT_NET, 4))
    yield corrupt("codec-lattice", "codec lattice of a tile's bias", listed(1, 4, 4))
    yield corrupt("codec-context", "codec context of a tile's bias", listed(1, CONTEXT, 4))
    yield Case("tiles-codec-unknown", "unsupported", "codec 99 of a tile's tensor", listed(1, 99, 4).bytes())
    yield corrupt("length-short", "a length of a byte less than the tile's DATA has", listed(0, RANS, 10))
    yield corrupt("length-more", "a length of a byte more than the tile's DATA has", listed(0, RANS, 12))
    moved = made.with_entry(0, entry([(RANS, 12), (RAW, 3)]))
    yield corrupt("length-moved", "a byte of one tensor counted to the other", moved)
    yield corrupt("payload", "a value of the second tile is NaN", made.with_data(2, nan + made.data[2][4:]))
    yield corrupt("payload-shared", "a symbol width of a shared tensor of 3", made.with_data(0, b"\xd0" * 8 + b"\3" + made.data[0][9:]))
    yield corrupt("scale-nan", "s is NaN", made.with_entry(1, made.entries[1][:-8] + nan + made.entries[1][-4:]))
    yield corrupt("offset-infinite", "o is infinite", made.with_entry(0, made.entries[0][:-4] + struct.pack("<f", float("-inf"))))
    grid = own.entries[0]
    net = bytes([CONTEXT_NET, len(described)])
    yield corrupt("context-missing", "codec context of a tile, and no context network", own.with_entry(0, once(grid, net, b"")))
    yield corrupt("context-codec", "an own context network of codec raw-int", own.with_entry(0, once(grid, net, bytes([INTEGERS, net[1]]))))
    spoiled = own.with_data(1, own.data[1][: -len(described)] + b"\0" + described[1:])
    yield corrupt("context-neurons", "an own context network of no neurons", spoiled)
    entries, whole = [*common.head["tens"]], common.data[0]
    listed_twice = common.with_head(tens=[*entries, entries[-1]]).with_data(0, whole + described)
    yield corrupt("context-twice", "two shared context networks", listed_twice)
    yield corrupt(
        "context-place", "a shared context network before the last tensor", common.with_head(tens=[*entries[:-2], *entries[:-3:-1]])
    )
    yield corrupt(
        "context-neurons-shared",
        "a shared context network of no neurons",
        common.with_data(0, once(whole, described, b"\0" + described[1:])),
    )
    unused = alike(sasnet(), {TABLE}, HALVES, 2, [2, 2])
    tens, net_of = unused.head["tens"], sasnet(contexts=True).tensors[-1]
    unused = unused.with_head(tens=[*tens, [*net_of[:1], len(net_of[1])]]).with_data(0, unused.data[0] + net_of[1])
    yield corrupt("context-unused", "a shared context network that no tile needs", unused)
    coded = sasnet(contexts=True)
    yield corrupt("context-shared", "codec context of a shared tensor", alike(coded, {3}, HALVES, 2, [2, 2]))
    numbers = 5 << 18
    zeros = bytes((0xE8, 63, 0)) + stream([0] * numbers, [(63, 0)] * numbers, 0)
    heavy: Made = sasnet().with_net(14, [[0.5, 2, numbers, 2]]).with_tensor(TABLE, RANS, zeros)
    yield Case(
        "tiles-work",
        "limit",
        "a stream of 1.3 million numbers in each of two tiles",
        alike(heavy, {TABLE}, HALVES, 2, [2, 2]).bytes(),
    )
