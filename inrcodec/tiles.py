"""The tiles of a file: what each is by itself, unpacked when it is needed, and all of them as one function."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

from inrcodec import spec
from inrcodec.container import Container
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks.base import Array, Network
from inrcodec.tile_index import TileIndex
from inrcodec.tiling import Evaluate, Tiling
from inrcodec.weights import read_network, unpack

KEPT = 1 << 26  # parameters of tiles that are kept, at most, and those of LEAST tiles in any case
LEAST = 8

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(Generic[Key, Value]):
    """The last `most` values of a function, each made by one thread while the others that want it wait. A copy begins without."""

    def __init__(self, make: Callable[[Key], Value], most: int) -> None:
        self._make, self._most = make, most
        self._values: OrderedDict[Key, tuple[Lock, list[Value]]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, key: Key) -> Value:
        with self._lock:
            lock, found = self._values.setdefault(key, (Lock(), []))
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
        with lock:
            if not found:
                found.append(self._make(key))
            return found[0]

    def __reduce__(self) -> Any:
        return Kept, (self._make, self._most)


@dataclass(frozen=True, eq=False)
class Tiles:
    """The tiles of an open file."""

    container: Container
    limits: Limits
    index: TileIndex
    network: Network
    config: Any
    _unpacked: Kept[int, dict[str, Array]] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_unpacked", Kept(self._unpack, LEAST))

    @property
    def tiling(self) -> Tiling:
        return self.index.tiling

    @property
    def count(self) -> int:
        return len(self.index.entries)

    def part(self, number: int) -> Container:
        """A tile as a file without tiles: its nominal samples, all tensors; its outputs are not scaled."""
        shared, entry = self.container, self.index.entries[number]
        box, own = self.tiling.boxes[number], list(entry.tensors)
        data, at, begin = self.container.parts[number], 0, 0
        tensors, payloads = [], []
        uses_contexts = any(codec == spec.CONTEXT for codec, _ in own)
        for codec, length in shared.head["tens"]:
            if codec == spec.TILED:
                codec, length = own.pop(0)
                payload, at = data[at : at + length], at + length
            else:
                payload, begin = shared.data[begin : begin + length], begin + length
                if codec == spec.CONTEXT_NET and not uses_contexts:
                    continue
            tensors.append([codec, length])
            payloads.append(payload)
        for codec, length in own:
            tensors.append([codec, length])
            payloads.append(data[at : at + length])
        head = {key: value for key, value in shared.head.items() if key != "tiles"}
        axes = [{"name": axis["name"], "n": b - a} for axis, (a, b) in zip(head["axes"], box, strict=True)]
        return Container({**head, "level": 1, "req": [], "axes": axes, "tens": tensors}, b"".join(payloads))

    def params(self, number: int) -> dict[str, Array]:
        """The parameters of a tile, float32, by name. Raises CorruptFile, LimitExceeded."""
        return self._unpacked(number)

    def every_param(self) -> Mapping[str, Array]:
        """Those of all tiles, as `tiles.<number>.<name>`."""
        return _EveryParam(self)

    def kept(self, make: Callable[[int], Evaluate]) -> Kept[int, Evaluate]:
        """What `make` gives for a tile, of as many tiles as fit into memory."""
        size = sum(param.size for param in self.network.params(self.config))
        return Kept(make, max(LEAST, KEPT // max(1, size)))

    def outputs(self, number: int, evaluate: Evaluate) -> Evaluate:
        """Outputs of the network of a tile -> what tiles are blended of."""
        entry = self.index.entries[number]

        def scaled(coords: Any) -> Array:
            y = evaluate(coords)
            scales, offsets = (np.asarray(part, dtype=np.float32).astype(y.dtype) for part in (entry.scales, entry.offsets))
            return np.asarray(y * scales + offsets)

        return scaled

    def scales(self, number: int) -> Array:
        """What derivatives of these outputs are multiplied by: (c,)."""
        return np.asarray(self.index.entries[number].scales, dtype=np.float32)

    def _unpack(self, number: int) -> dict[str, Array]:
        return unpack(self.part(number), self.limits)[2]


class _EveryParam(Mapping[str, Array]):
    def __init__(self, tiles: Tiles) -> None:
        self._tiles = tiles
        self._names = [param.name for param in tiles.network.params(tiles.config)]

    def __len__(self) -> int:
        return self._tiles.count * len(self._names)

    def __iter__(self) -> Iterator[str]:
        return (f"tiles.{number}.{name}" for number in range(self._tiles.count) for name in self._names)

    def __getitem__(self, key: str) -> Array:
        head, number, name = (*key.split(".", 2), "", "")[:3]
        if head != "tiles" or not number.isdecimal() or int(number) >= self._tiles.count:
            raise KeyError(key)
        return self._tiles.params(int(number))[name]


def tiles_of(container: Container, limits: Limits = DEFAULT_LIMITS) -> Tiles | None:
    """The tiles of a file, or None."""
    if "tiles" not in container.head:
        return None
    network, config = read_network(container.head, limits)
    return Tiles(container, limits, container.index(limits), network, config)
