"""What a network is: a row of data and pure functions, the same for every engine."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import CorruptFile

Array = NDArray[np.float32]
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Param:
    """A named tensor of a network.

    `axis` says how it is quantized and modelled: one step and one symbol model per index of that axis, -1 for one of each.
    `role`: "matrix", "vector", "table" (hash-grid entries) or "frequency" (frozen integers, coded as a lattice subset).
    """

    name: str
    shape: tuple[int, ...]
    role: str
    axis: int = -1
    trainable: bool = True

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Network:
    """A row of the table NETWORKS.

    params   cfg -> the tensors, in the order of the bitstream
    init     (cfg, rng) -> initial float32 values by name
    modulate (ops, cfg, p, coords) -> per-sample modulation (n, k), or None; its first cfg.masks columns, if it has masks, are masks
    trunk    (ops, cfg, p, coords, modulation) -> (n, c)
    macs     cfg -> multiply-accumulates per sample, for the decoder's work limit

    `modulate` and `trunk` are separate so that an engine can run the first over many samples at once and the second in
    pieces that stay in cache; `forward` is their composition.
    """

    id: str
    config: type
    params: Callable[[Any], tuple[Param, ...]]
    init: Callable[[Any, np.random.Generator], dict[str, Array]]
    modulate: Callable[[Any, Any, Params, Any], Any]
    trunk: Callable[[Any, Any, Params, Any, Any], Any]
    macs: Callable[[Any], int]

    def forward(self, ops: Any, cfg: Any, p: Params, coords: Any) -> Any:
        """Evaluate at `coords` (Points or Lattice of n samples): (n, c)."""
        return self.trunk(ops, cfg, p, coords, self.modulate(ops, cfg, p, coords))


def config_to_list(config: Any) -> list[Any]:
    """A frozen configuration dataclass as the list of its fields' values; nested dataclasses and tuples become lists."""
    return [_plain(getattr(config, f.name)) for f in fields(config)]


def config_to_map(config: Any) -> dict[str, Any]:
    """The same with the fields' names, for people."""
    return {f.name: _named(getattr(config, f.name)) for f in fields(config)}


def config_from_list(cls: type, value: Any, where: str) -> Any:
    """The inverse of `config_to_list`, strict: a wrong number of values, wrong types and values out of range raise CorruptFile."""
    known = fields(cls)
    if not isinstance(value, list) or len(value) != len(known):
        got = f"{len(value)} values" if isinstance(value, list) else type(value).__name__
        raise CorruptFile(f"{where}: expected a list of {len(known)} values ({', '.join(f.name for f in known)}), got {got}")
    try:
        return cls(*(_typed(f.type, item, f"{where}.{f.name}") for f, item in zip(known, value, strict=True)))
    except ValueError as error:
        raise CorruptFile(f"{where}: {error}") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return config_to_list(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _named(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return config_to_map(value)
    return [_named(item) for item in value] if isinstance(value, tuple) else value


def _typed(kind: Any, value: Any, where: str) -> Any:
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise CorruptFile(f"{where}: expected a list, got {type(value).__name__}")
        return tuple(_typed(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if hasattr(kind, "__dataclass_fields__"):
        return config_from_list(kind, value, where)
    if type(value) is not kind:
        raise CorruptFile(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return value
