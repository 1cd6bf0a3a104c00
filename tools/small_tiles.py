"""Small tiled files made by hand, like those of small_files.py, and what faulty ones are made of."""

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inrcodec import context, lattice
from inrcodec.container import Container, load, pack_map
from inrcodec.context import ContextNet
from inrcodec.tile_assembly import tiled
from inrcodec.tile_index import TileEntry, pack_index, unpack_index
from inrcodec.tiling import Split
from tools import small_residuals
from tools.small_files import Chunks, Made, floats, joined, rans, siren, stream

RAW, INTEGERS, RANS, SHARED, CONTEXT, CONTEXT_NET, TILED = 0, 1, 3, 6, 8, 9, 11
SIXTY_FOURTHS = 0xD0  # a step code
MODEL = (20, 20)
# 16 x 22 samples: four tiles meet at (6, 9), three at (11, 9).
CROSS = Split(0, 6, (Split(1, 9, (0, 1)), Split(1, 9, (2, Split(0, 11, (3, 4))))))
THREE = Split(1, 7, (0, Split(0, 6, (1, 2))))
BOXES = Split(2, 4, (0, Split(0, 3, (1, Split(1, 2, (2, 3))))))  # of 6 x 5 x 9 samples
DENSE = [[0.5, 2, 4, 2], [2.5, 4, 16, 4]]
Tensor = tuple[int, bytes]  # codec, payload


@dataclass(frozen=True)
class Tiled:
    """A tiled file in parts: HEAD, the tree and the entries of TILE, the payloads of DATA: what is shared, then tile by tile."""

    head: dict[str, Any]
    tree: bytes
    entries: tuple[bytes, ...]
    data: tuple[bytes, ...]

    def with_head(self, **changes: Any) -> "Tiled":
        """Other values in HEAD; those that are None are left out."""
        return replace(self, head={key: value for key, value in {**self.head, **changes}.items() if value is not None})

    def with_shared(self, index: int, entry: list[int]) -> "Tiled":
        """Another entry of HEAD.tens."""
        return self.with_head(tens=[entry if i == index else old for i, old in enumerate(self.head["tens"])])

    def with_entry(self, tile: int, entry: bytes) -> "Tiled":
        return replace(self, entries=tuple(entry if k == tile else old for k, old in enumerate(self.entries)))

    def with_data(self, number: int, payload: bytes) -> "Tiled":
        """`number` 0 is what is shared."""
        return replace(self, data=tuple(payload if k == number else old for k, old in enumerate(self.data)))

    def chunks(self) -> Chunks:
        first = [(b"HEAD", b"\0\1" + pack_map(self.head)), (b"TILE", self.tree + b"".join(self.entries))]
        return [*first, *((b"DATA", payload) for payload in self.data), (b"DONE", b"")]

    def bytes(self) -> bytes:
        return joined(self.chunks())


def symbols(count: int, seed: int) -> list[int]:
    """Integers from -32 to 31 without much order."""
    return [(7 * k * k + 37 * k + 11 * seed) % 64 - 32 for k in range(count)]


def tensor(groups: int, count: int, seed: int, codec: int) -> Tensor:
    """So many values in 64ths, with a step code for each group of as many."""
    found, steps = symbols(count, seed), bytes([SIXTY_FOURTHS])
    if codec == RAW:
        return codec, floats(*(symbol / 64 for symbol in found))
    if codec == INTEGERS:
        return codec, steps * groups + b"\1" + struct.pack(f"{count}b", *found)
    if codec == RANS:
        return codec, steps * groups + bytes(MODEL) * groups + rans(found, MODEL)
    return codec, steps + bytes((7, 3, *MODEL)) + stream([0] * groups + found, [(7, 3)] * groups + [MODEL] * count, 1)


def scaled(made: Made, seed: int) -> Made:
    """The file of a tile, with s and o of its own in every channel."""
    channels = [
        {**channel, "scale": 0.5 + seed / 8 + c / 16, "offset": seed / 16 - c / 8} for c, channel in enumerate(made.head["out"]["channels"])
    ]
    return made.with_out(channels=channels)


def siren_tile(whole: Made, seed: int, codec: int) -> Made:
    """A file of the network of `whole`, siren.1: one bias is that of all files."""
    _, d, c, h, layers = whole.head["net"][:5]
    found = [tensor(h, h * d, seed, codec), tensor(1, h, seed + 1, codec)]
    for _ in range(layers):
        found += [tensor(h, h * h, seed + 2, codec), tensor(1, h, 5, RAW)]
    return scaled(replace(whole, tensors=(*found, tensor(c, c * h, seed + 3, codec), tensor(1, c, seed + 4, RAW))), seed)


def together(whole: Made, root: Split | int, overlap: Sequence[int], tiles: Sequence[Made]) -> Tiled:
    """Files of tiles, in the order of the tree."""
    files = [load(tile.bytes()) for tile in tiles]
    container = tiled(whole.head, root, overlap, files.__getitem__, len(files), ())
    return Tiled(container.head, tree(root), entries_of(container), (container.data, *container.parts))


def alike(made: Made, own: Collection[int], root: Split | int, count: int, overlap: Sequence[int]) -> Tiled:
    """A file in tiles that all have its network, the tensors numbered `own` for themselves."""
    kept, shared = [part for i, part in enumerate(made.tensors) if i in own], [part for i, part in enumerate(made.tensors) if i not in own]
    tens = [[TILED, 0] if i in own else [codec, len(part)] for i, (codec, part) in enumerate(made.tensors)]
    head = made.head | {"level": 2, "req": ["tiles"], "tiles": {"overlap": list(overlap)}, "tens": tens}
    coded, data = entry([(codec, len(part)) for codec, part in kept]), b"".join(part for _, part in kept)
    return Tiled(head, tree(root), (coded,) * count, (b"".join(part for _, part in shared), *(data,) * count))


def pair() -> Tiled:
    """The image of small_files.py in two tiles, whose biases are their own; the second has them as floats."""
    made = alike(siren(), {1, 3}, Split(0, 2, (0, 1)), 2, (2, 2))
    return made.with_entry(1, entry([(RAW, 32), (RAW, 4)], (0.5, 0.25))).with_data(2, floats(*(k / 16 for k in range(9))))


def tree(root: Split | int) -> bytes:
    return pack_index(root, ())


def entry(tensors: Sequence[tuple[int, int]], numbers: Sequence[float] = (1.0, 0.0)) -> bytes:
    """Of a tile: codecs and lengths, then s and o."""
    half = len(numbers) // 2
    return pack_index(0, [TileEntry(tuple(tensors), tuple(numbers[:half]), tuple(numbers[half:]))])[1:]


def entries_of(container: Container) -> tuple[bytes, ...]:
    found = unpack_index(container.tile, container.head).entries
    return tuple(entry(each.tensors, (*each.scales, *each.offsets)) for each in found)


def image() -> Tiled:
    """Five tiles of different sizes, each with other codecs."""
    colour = {"role": "color", "scale": 0.5, "offset": 0.5}
    whole = siren().with_head(axes=[{"name": "y", "n": 16}, {"name": "x", "n": 22}], net=["siren.1", 2, 3, 8, 1, 4.0, 6.0])
    whole = whole.with_out(channels=[{"name": name, **colour} for name in "RGB"])
    codecs = INTEGERS, RANS, SHARED, RAW, RANS
    return together(whole, CROSS, (4, 6), [siren_tile(whole, seed, codec) for seed, codec in enumerate(codecs)])


def volume(root: Split | int = BOXES, count: int = 4, overlap: Sequence[int] = (2, 2, 4)) -> Tiled:
    """Integers of 16 bits between other borders, of three axes."""
    axes = [{"name": "z", "n": 6, "lo": -0.25, "hi": 0.5}, {"name": "y", "n": 5}, {"name": "x", "n": 9, "lo": 0.0, "hi": 9.0}]
    whole = siren().with_head(kind="volume", axes=axes, net=["siren.1", 3, 1, 6, 0, 3.0, 30.0]).with_out(dtype="int16")
    whole = whole.with_channel(role="value", low=-3000.0, high=3000.0)
    return together(whole, root, overlap, [siren_tile(whole, seed, INTEGERS) for seed in range(count)])


def sasnet(network: str, levels: Sequence[list[Any]]) -> Made:
    """A grid of 16 x 18 samples by a network of two features per level; without tensors."""
    values = [2, 1, 2, 4, 1, 3.0, 4.0, 1, 2, 1, 2, 2, 2, levels, [1.0, 0.75]]
    return siren().with_head(axes=[{"name": "y", "n": 16}, {"name": "x", "n": 18}], net=[network, *values])


def sasnet_tile(whole: Made, seed: int, tables: Sequence[Tensor], more: Sequence[Tensor] = ()) -> Made:
    """A file of the network of `whole` with these tables, and `more` behind its tensors."""
    f = 2 * len(tables)
    joined_features = f if whole.head["net"][0] == "sasnet.2" else 0
    frequency = [(4, lattice.encode(np.array([[0, 1], [2, 0]]))), (RAW, floats(0.5, -0.5))]
    sizes = (f, 2 * f), (1, 2), (3, 6), (1, 3), (4, 4 * (2 + joined_features)), (1, 4), (1, 4 + joined_features), (1, 1)
    others = [tensor(groups, count, seed + i, INTEGERS) for i, (groups, count) in enumerate(sizes)]
    return scaled(replace(whole, tensors=(*frequency, *tables, *others, *more)), seed)


def tables(seed: int, codecs: Sequence[int], net: ContextNet) -> list[Tensor]:
    """Two dense levels of 2 x 2 and 4 x 4 entries, by contexts where their codec says so."""
    found, parent = list[Tensor](), None
    for level, (side, codec) in enumerate(zip((2, 4), codecs, strict=True)):
        grid = np.array(symbols(2 * side**2, seed + level)).reshape(side, side, 2) // 4
        steps = bytes([SIXTY_FOURTHS + 8] * 2)
        coded = context.encode(net, grid, parent, level) if codec == CONTEXT else b"\1" + grid.astype(np.int8).tobytes()
        found.append((codec, steps + coded) if codec != RAW else (RAW, floats(*(grid.ravel() / 8))))
        parent = grid
    return found


def context_network(seed: int) -> ContextNet:
    made = small_residuals.network(2, 4)
    return replace(made, bias=made.bias + seed)


def own_contexts() -> Tiled:
    """Three tiles: two with context networks of their own, one without contexts."""
    whole, made = sasnet("sasnet.2", DENSE), list[Made]()
    for seed, codecs in enumerate(((CONTEXT, CONTEXT), (INTEGERS, CONTEXT), (INTEGERS, INTEGERS))):
        net = context_network(seed)
        described = [(CONTEXT_NET, context.pack_net(net))] if CONTEXT in codecs else []
        made.append(sasnet_tile(whole, seed, tables(seed, codecs, net), described))
    return together(whole, THREE, (4, 4), made)


def shared_contexts() -> Tiled:
    """Three tiles: two with the same context network, one without, whose dense levels are floats."""
    whole, net, made = sasnet("sasnet.2", DENSE), context_network(0), list[Made]()
    for seed, codecs in enumerate(((CONTEXT, CONTEXT), (RAW, RAW), (INTEGERS, CONTEXT))):
        made.append(sasnet_tile(whole, seed, tables(seed, codecs, net)))
    described = context.pack_net(net)
    shared = made[0].tensors[:2]
    head = whole.head | {"level": 2, "req": ["tiles"], "tiles": {"overlap": [4, 4]}}
    tens = [*([codec, len(part)] for codec, part in shared), *[[TILED, 0]] * (len(made[0].tensors) - 2), [CONTEXT_NET, len(described)]]
    entries, data = list[bytes](), [b"".join(part for _, part in shared) + described]
    for tile in made:
        own, channel = tile.tensors[2:], tile.head["out"]["channels"][0]
        entries.append(entry([(codec, len(part)) for codec, part in own], (channel["scale"], channel["offset"])))
        data.append(b"".join(part for _, part in own))
    return Tiled({**head, "tens": tens}, tree(THREE), tuple(entries), tuple(data))


def hashed() -> Tiled:
    """Three tiles with a dense level and a hashed one."""
    whole = sasnet("sasnet.1", [[0.5, 2, 4, 2], [6.5, 8, 37, 2]])
    made = [sasnet_tile(whole, seed, [tensor(2, 8, seed, INTEGERS), tensor(2, 74, seed, RANS)]) for seed in range(3)]
    return together(whole, THREE, (2, 6), made)


def files() -> dict[str, bytes]:
    """All of them by name."""
    made = {"image": image(), "volume": volume(), "one": volume(0, 1, (8, 2, 4)), "contexts": own_contexts()}
    made |= {"shared-contexts": shared_contexts(), "hashed": hashed(), "pair": pair()}
    return {f"tiles-{name}": part.bytes() for name, part in made.items()}


QUERIES: dict[str, dict[str, dict[str, Any]]] = {
    # (6, 9) and (11, 9), where tiles meet, are at (-0.25, -2 / 11) and (0.375, -2 / 11).
    "tiles-image": {
        "smaller": {"size": [7, 11]},
        "part": {"size": [48, 33], "region": [[4, 8], [6.5, 13]]},
        "corner": {"region": [[9, 13], [7, 11]]},
        "points": {
            "points": [
                [-0.25, -2 / 11],
                [-0.26, -0.17],
                [-0.49, -0.18],
                [-0.05, -0.4],
                [0.375, -2 / 11],
                [0.5, -0.3],
                [-1.2, 1.3],
                [1.0, -1.0],
            ]
        },
    },
    "tiles-volume": {
        "smaller": {"size": [3, 5, 4]},
        "part": {"size": [12, 7, 18], "region": [[2, 4], [0, 5], [3, 6]]},
        "points": {"points": [[0.0, 0.0, 4.0], [0.125, -0.2, 4.0], [0.1, 0.2, 5.5], [-0.5, 1.5, -1.0], [0.5, 1.0, 9.0]]},
    },
    "tiles-one": {"smaller": {"size": [2, 5, 3]}, "part": {"region": [[1, 3], [2, 5], [0, 1]]}, "points": {"points": [[0.3, 0.9, 8.5]]}},
    "tiles-contexts": {
        "smaller": {"size": [5, 18]},
        "part": {"size": [40, 40], "region": [[4, 8], [5, 9]]},
        "points": {"points": [[-0.25, -2 / 9], [-0.3, -0.1], [1.1, 1.1]]},
    },
    "tiles-shared-contexts": {"smaller": {"size": [16, 6]}, "points": {"points": [[-0.25, -2 / 9], [-0.2, -0.25], [-1.0, 1.0]]}},
    "tiles-pair": {"part": {"size": [8, 5], "region": [[1, 3], [0, 2]]}, "points": {"points": [[0.0, 0.1], [0.2, 0.3], [-0.4, -0.4]]}},
    "tiles-hashed": {"smaller": {"size": [4, 4]}, "part": {"region": [[4.5, 8], [6, 8]]}, "points": {"points": [[-0.25, -2 / 9]]}},
}
