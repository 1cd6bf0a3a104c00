"""What an engine offers, and the order in which a network is evaluated on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from inrcodec.coordinates import Lattice, Points
from inrcodec.networks.base import Network
from inrcodec.ops import Ops

Item = TypeVar("Item")
Result = TypeVar("Result")
Evaluate = Callable[[Points | Lattice], NDArray[np.float32]]  # coordinates of n samples -> (n, c)
PIECE = 1 << 14  # samples of one pass through the trunk: few enough for the cache, enough to hide the cost of calls (measured)


class Crew(Protocol):
    """Runs independent work, side by side where that is faster."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Results in the order of `items`."""
        ...


class OneByOne:
    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        return [function(item) for item in items]


class Engine(Protocol):
    """Makes networks into functions."""

    @property
    def name(self) -> str: ...

    def compile(self, network: Network, config: Any, params: Mapping[str, NDArray[np.float32]]) -> Evaluate:
        """The function coordinates -> (n, c) of a network with these parameters."""
        ...

    def crew(self) -> AbstractContextManager[Crew]:
        """For evaluating several lattices; the functions that `compile` makes may run on it."""
        ...


class EagerEngine(Protocol):
    """The operations of an engine that does them one by one, and its tensors from and to NumPy."""

    @property
    def ops(self) -> Ops: ...

    def tensor(self, values: NDArray[np.float32]) -> Any: ...

    def array(self, result: Any) -> NDArray[np.float32]:
        """A network's output as (c, n)."""
        ...

    def evaluating(self) -> AbstractContextManager[Any]:
        """In force while a network is evaluated without gradients."""
        ...

    def samples(self, x: Any, start: int, stop: int) -> Any:
        """The samples [start, stop) of a modulation."""
        ...


def pieces(coords: Points | Lattice, size: int) -> Iterator[tuple[Points | Lattice, int, int]]:
    """`coords` cut along its first axis into pieces of about `size` samples: (piece, first sample, sample after the last)."""
    length = len(coords.axes[0]) if isinstance(coords, Lattice) else coords.n
    per_row = coords.n // length if length else 1
    rows = max(1, size // max(1, per_row))
    for start in range(0, length, rows):
        stop = min(length, start + rows)
        if isinstance(coords, Lattice):
            part: Points | Lattice = Lattice((coords.axes[0][start:stop], *coords.axes[1:]))
        else:
            part = coords.slice(start, stop)
        yield part, start * per_row, stop * per_row


def compile_eagerly(
    engine: EagerEngine, network: Network, config: Any, params: Mapping[str, NDArray[np.float32]], *, piece: int = PIECE
) -> Evaluate:
    """The function coordinates -> (n, c) of a network with these parameters, operation by operation in pieces of so many samples."""
    tensors = {name: engine.tensor(value) for name, value in params.items()}

    def evaluate(coords: Points | Lattice) -> NDArray[np.float32]:
        with engine.evaluating():
            modulation = network.modulate(engine.ops, config, tensors, coords)
            outputs = []
            for part, start, stop in pieces(coords, piece):
                m = None if modulation is None else engine.samples(modulation, start, stop)
                outputs.append(engine.array(network.trunk(engine.ops, config, tensors, part, m)))
        return np.concatenate(outputs, axis=1).T

    return evaluate
