"""Many files of one network, each of a tile, made one file: tensors that are the same in all are stored once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from inrcodec import spec
from inrcodec.chunks import Chunk
from inrcodec.container import Container
from inrcodec.numbered import Numbered
from inrcodec.tile_index import TileEntry, pack_index
from inrcodec.tiling import Split

Load = Callable[[int], Container]  # the file of a tile, by number


def tiled(
    head: dict[str, Any], root: Split | int, overlap: Sequence[int], load: Load, count: int, ancillary: tuple[Chunk, ...]
) -> Container:
    """The container of a whole whose tiles are the files `load(0)` .. `load(count - 1)`, which are loaded again and again, one at a time.

    `head` is that of the whole, of level 1 and without tensors; scales and offsets of its channels are to be 1 and 0. A tile's file has
    the coordinates -1 .. 1 where its weight ends. Raises ValueError for files of different networks.
    """
    common = _common(load, count, head["net"])
    shared = [[spec.TILED, 0] if tensor is None else [tensor.codec, len(tensor.payload)] for tensor in common]
    whole = {**head, "level": 2, "req": sorted({*head["req"], spec.TILES_FEATURE}), "tiles": {"overlap": list(overlap)}, "tens": shared}
    entries = []
    for number in range(count):
        found = load(number)
        channels = found.head["out"]["channels"]
        own = tuple((tensor.codec, len(tensor.payload)) for tensor in _own(_tensors(found), common))
        entries.append(TileEntry(own, tuple(c["scale"] for c in channels), tuple(c["offset"] for c in channels)))
    data = b"".join(tensor.payload for tensor in common if tensor is not None)
    return Container(whole, data, ancillary, pack_index(root, entries), _Parts(load, count, common))


@dataclass(frozen=True)
class _Tensor:
    codec: int
    payload: bytes


def _tensors(container: Container) -> list[_Tensor]:
    entries = container.head["tens"]
    starts = accumulate((length for _, length in entries), initial=0)
    return [_Tensor(codec, container.data[at : at + length]) for (codec, length), at in zip(entries, starts, strict=False)]


def _common(load: Load, count: int, net: list[Any]) -> list[_Tensor | None]:
    """For every tensor of the network what all tiles have, or None; behind them the network of contexts, if they all have the same."""
    first: list[_Tensor | None] = list(_tensors(load(0)))
    for number in range(count):
        found = load(number)
        if found.head["net"] != net:
            raise ValueError(f"tile {number}: expected the network of the whole, got another")
        first = [a if a == b else None for a, b in zip(first, _padded(_tensors(found), len(first)), strict=True)]
    # Symbols in contexts depend on those of the tensor before, which may be another tile's.
    kept = [None if tensor is not None and tensor.codec == spec.CONTEXT else tensor for tensor in first]
    if _tensors(load(0))[-1].codec == spec.CONTEXT_NET and kept[-1] is None:
        kept.pop()
    if None not in kept:
        kept[0] = None  # of tiles that are all alike each has a tensor too
    return kept


def _padded(tensors: list[_Tensor], count: int) -> list[_Tensor | None]:
    """As many as `count`: a tile may have a network of contexts that the first has not, or none."""
    return [*tensors, None][:count]


def _own(tensors: list[_Tensor], common: list[_Tensor | None]) -> Iterator[_Tensor]:
    for i, tensor in enumerate(tensors):
        if i >= len(common) or common[i] is None:
            yield tensor


@dataclass(frozen=True, eq=False)
class _Parts(Numbered[bytes]):
    """The DATA of every tile."""

    load: Load
    size: int
    common: list[_Tensor | None]

    def __len__(self) -> int:
        return self.size

    def item(self, number: int) -> bytes:
        return b"".join(tensor.payload for tensor in _own(_tensors(self.load(number)), self.common))
