"""Container <-> network, configuration and float32 parameters."""

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import context, entropy, lattice, spec
from inrcodec.container import Container
from inrcodec.context import ContextNet
from inrcodec.errors import CorruptFile, UnsupportedFile
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Array, Network, Param, config_from_list, config_to_list
from inrcodec.networks.stacked import stacked
from inrcodec.quantize import dequantize, nearest_step_codes, quantize
from inrcodec.windows import windows_of
from inrcodec.work import affordable, check_work, tensor_work

WIDTHS: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor as a file holds it: float32 `values`, or symbols and one step code for all or for each index of `axis`."""

    values: NDArray[Any]
    codes: NDArray[np.integer] | None = None
    axis: int = -1

    def unpacked(self) -> Array:
        """Its float32 values."""
        if self.codes is None:
            return np.asarray(self.values, dtype=np.float32)
        return dequantize(self.values, self.codes, self.axis)


def network_list(network: Network, config: Any) -> list[Any]:
    """HEAD.net of a network."""
    return [network.id, *config_to_list(config)]


def read_network(head: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> tuple[Network, Any]:
    """The network and configuration that HEAD.net names, stacked where there are windows.

    Raises UnsupportedFile for an unknown id, CorruptFile for a bad configuration, LimitExceeded for more than `limits` allow to read.
    """
    name, *described = head["net"] or [None]
    if not isinstance(name, str):
        raise CorruptFile("HEAD.net: expected a network id first, got " + type(name).__name__)
    if name not in NETWORKS:
        raise UnsupportedFile(f"HEAD.net: unknown network {name!r}; known: {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    config = config_from_list(network.config, described, "HEAD.net")
    for key, expected, what in (("in_features", len(head["axes"]), "axes"), ("out_features", len(head["out"]["channels"]), "channels")):
        if getattr(config, key) != expected:
            raise CorruptFile(f"HEAD.net.{key}: expected {expected}, the number of {what}, got {getattr(config, key)}")
    windows = windows_of(head)
    if windows is not None:
        network = stacked(network, windows.count)
    check_work(head, network.params(config), config, limits)
    return network, config


def pack(
    network: Network,
    config: Any,
    values: Mapping[str, Array],
    steps: Mapping[str, Array],
    *,
    coarser: int = 0,
    also: Collection[str] = (),
    inward: float = 0.0,
    contexts: ContextNet | None = None,
) -> tuple[list[list[Any]], bytes]:
    """HEAD.tens and DATA of a network's parameters.

    values[name] float32; steps[name] (groups) quantization steps of the trainable tensors, made `coarser` eighths of an octave larger,
    one more those of the tensors named in `also`. inward: of the entries of tables, see `quantize`. contexts: for the tables that it may
    help to code.
    """
    params = network.params(config)
    tables = contextual_tables(network, config) if contexts is not None else ()
    entries, payloads, parent, saved = [], [], None, 0
    better: dict[int, tuple[int, bytes]] = {}
    for i, param in enumerate(params):
        value = np.asarray(values[param.name], dtype=np.float32)
        if param.role == "frequency":
            codec, payload = spec.LATTICE, lattice.encode(value.astype(np.int64))
        else:
            codes = _step_codes(np.asarray(steps[param.name]), coarser + (param.name in also))
            symbols = quantize(value, codes, param.axis, inward=inward if param.role == "table" else 0.0)
            codec, payload = _pack_quantized(param, codes, symbols)
            if param.name in tables:
                assert contexts is not None
                level = tables.index(param.name)
                grid = symbols.reshape(table_shape(config, level))
                found = codes.tobytes() + context.encode(contexts, grid, parent, level)
                parent = grid
                if len(found) < len(payload) and affordable(tensor_work(param, spec.CONTEXT, config), len(found)):
                    better[i] = spec.CONTEXT, found
                    saved += len(payload) - len(found)
        entries.append([codec, len(payload)])
        payloads.append(payload)
    if contexts is not None and better:
        described = context.pack_net(contexts)
        if len(described) < saved:
            for i, (codec, payload) in better.items():
                entries[i], payloads[i] = [codec, len(payload)], payload
            entries.append([spec.CONTEXT_NET, len(described)])
            payloads.append(described)
    return entries, b"".join(payloads)


def contextual_tables(network: Network, config: Any) -> tuple[str, ...]:
    """Names of the tables that contexts can code, from the coarsest on."""
    levels = getattr(config, "levels", ())
    found = {param.name: param for param in network.params(config) if param.role == "table"}
    names = tuple(f"grid.{i}" for i in range(context.contextual_levels(levels, config.in_features)))
    return names if all(len(found[name].shape) == 2 for name in names) else ()


def table_shape(config: Any, level: int) -> tuple[int, ...]:
    """(R, ..., R, features) of a dense table."""
    return (*(config.levels[level].resolution,) * config.in_features, config.grid_features)


def unpack(container: Container, limits: Limits = DEFAULT_LIMITS) -> tuple[Network, Any, dict[str, Array]]:
    """The network, its configuration and parameters. Raises CorruptFile, UnsupportedFile or LimitExceeded."""
    network, config, tensors = read_tensors(container, limits)
    return network, config, {name: tensor.unpacked() for name, tensor in tensors.items()}


def read_tensors(container: Container, limits: Limits = DEFAULT_LIMITS) -> tuple[Network, Any, dict[str, Stored]]:
    """`unpack`, with symbols and steps left apart."""
    network, config = read_network(container.head, limits)
    params = network.params(config)
    entries = container.head["tens"]
    while entries and entries[-1][0] in (spec.MASK, spec.RESIDUAL):
        entries = entries[:-1]
    position, payloads = 0, []
    for _, length in entries:
        payloads.append(container.data[position : position + length])
        position += length
    contexts = None
    if len(entries) == len(params) + 1 and entries[-1][0] == spec.CONTEXT_NET:
        tables = contextual_tables(network, config)
        if not tables:
            raise CorruptFile("HEAD.tens: a context network: expected a dense grid level in 2 or 3 dimensions")
        planes = len(config.levels) * config.grid_features
        contexts = ContextReader(context.unpack_net(payloads.pop(), d=config.in_features, planes=planes), tables, config)
        entries = entries[:-1]
        if not any(codec == spec.CONTEXT for codec, _ in entries):
            raise CorruptFile("HEAD.tens: a context network: expected a tensor of codec context")
    if len(entries) != len(params):
        raise CorruptFile(f"HEAD.tens: expected {len(params)} tensors for {network.id}, got {len(entries)}")
    values = {}
    for param, (codec, _), payload in zip(params, entries, payloads, strict=True):
        values[param.name] = _unpack_tensor(param, codec, payload, contexts, config)
    return network, config, values


@dataclass(eq=False)
class ContextReader:
    """What the tables read so far leave for the next one."""

    net: ContextNet
    tables: tuple[str, ...]
    config: Any
    parent: NDArray[np.integer] | None = None

    def read(self, param: Param, payload: bytes) -> NDArray[np.int64]:
        level = self.tables.index(param.name)
        return context.decode(payload, self.net, table_shape(self.config, level), self.parent, level)

    def keep(self, param: Param, symbols: NDArray[np.integer]) -> None:
        if param.name in self.tables:
            self.parent = symbols.reshape(table_shape(self.config, self.tables.index(param.name)))


def _groups(param: Param) -> int:
    return param.shape[param.axis] if param.axis >= 0 else 1


def _group_ids(param: Param) -> NDArray[np.int64]:
    """The group of every value in C order: (size,)."""
    if param.axis < 0:
        return np.zeros(param.size, dtype=np.int64)
    index = np.arange(_groups(param)).reshape([-1 if k == param.axis else 1 for k in range(len(param.shape))])
    return np.ascontiguousarray(np.broadcast_to(index, param.shape)).reshape(-1)


def _step_codes(steps: NDArray[Any], coarser: int) -> NDArray[np.int8]:
    return np.clip(nearest_step_codes(steps).astype(np.int64) + coarser, spec.STEP_CODE_MIN, spec.STEP_CODE_MAX).astype(np.int8)


def _pack_quantized(param: Param, codes: NDArray[np.int8], symbols: NDArray[np.int32]) -> tuple[int, bytes]:
    side = codes.tobytes()
    candidates = [
        (spec.RANS, side + _rans_payload(param, symbols)),
        (spec.RANS_SHARED, _shared_payload(codes, symbols)),
        (spec.RAW_INT, side + _plain_symbols(symbols)),
    ]
    return min((c for c in candidates if c[0] == spec.RAW_INT or affordable(tensor_work(param, c[0], None), len(c[1]))), key=_size)


def _size(candidate: tuple[int, bytes]) -> int:
    return len(candidate[1])


def _plain_symbols(symbols: NDArray[np.int32]) -> bytes:
    top = int(np.abs(symbols).max(initial=0))
    width = 1 if top < 1 << 7 else 2 if top < 1 << 15 else 4
    return bytes([width]) + symbols.astype(WIDTHS[width]).tobytes()


def _rans_payload(param: Param, symbols: NDArray[np.int32]) -> bytes:
    flat, groups = symbols.reshape(-1), _group_ids(param)
    order = np.argsort(groups, kind="stable")
    bounds = np.searchsorted(groups[order], np.arange(_groups(param) + 1))
    models = [entropy.best_model(flat[order[a:b]]) for a, b in pairwise(bounds)]
    return b"".join(struct.pack("BB", *model) for model in models) + entropy.encode(flat, groups, models)


def _shared_payload(codes: NDArray[np.int8], symbols: NDArray[np.int32]) -> bytes:
    base = int(np.median(codes))
    parts = [codes.astype(np.int32) - base, symbols.reshape(-1)]
    models = [entropy.best_model(part) for part in parts]
    stream = entropy.encode(np.concatenate(parts), _shared_ids(len(codes), symbols.size), models)
    return struct.pack("bBBBB", base, *models[0], *models[1]) + stream


def _shared_ids(groups: int, size: int) -> NDArray[np.int64]:
    """The model of every number of a rans-shared stream: step codes, then symbols."""
    return np.repeat(np.arange(2), (groups, size))


def _unpack_shared(param: Param, payload: bytes) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Step codes and symbols."""
    if len(payload) < 5:
        raise CorruptFile(f"{param.name}: expected a step code and two symbol models, got {len(payload)} bytes")
    base, *models = struct.unpack_from("bBBBB", payload)
    groups = _groups(param)
    found = entropy.decode(payload[5:], _shared_ids(groups, param.size), [(models[0], models[1]), (models[2], models[3])])
    codes = base + found[:groups].astype(np.int64)
    if not (codes.min() >= spec.STEP_CODE_MIN and codes.max() <= spec.STEP_CODE_MAX):
        raise CorruptFile(
            f"{param.name}: step codes: expected {spec.STEP_CODE_MIN}..{spec.STEP_CODE_MAX}, got {codes.min()}..{codes.max()}"
        )
    return codes, found[groups:]


def _frequencies(param: Param, payload: bytes, config: Any) -> Array:
    vectors = lattice.decode(payload, *param.shape)
    if int(np.abs(vectors).max()) > config.band:
        raise CorruptFile(f"{param.name}: expected max|k| of at most {config.band}, got {np.abs(vectors).max()}")
    return vectors.astype(np.float32)


def _unpack_tensor(param: Param, codec: int, payload: bytes, contexts: ContextReader | None, config: Any) -> Stored:
    size = param.size
    if (codec == spec.LATTICE) != (param.role == "frequency"):
        raise CorruptFile(f"{param.name}: expected codec lattice for a frequency embedding alone, got {spec.CODEC_NAMES[codec]}")
    if codec == spec.LATTICE:
        return Stored(_frequencies(param, payload, config))
    if codec == spec.RAW_F32:
        _expect(param, "bytes", 4 * size, len(payload))
        values = np.frombuffer(payload, dtype="<f4").astype(np.float32).reshape(param.shape)
        if not np.isfinite(values).all():
            raise CorruptFile(f"{param.name}: expected finite values, got NaN or infinity")
        if contexts is not None and param.name in contexts.tables:
            raise CorruptFile(f"{param.name}: expected symbols beside a context network, got float32 values")
        return Stored(values)
    codes: NDArray[np.integer]
    symbols: NDArray[np.integer]
    if codec == spec.RANS_SHARED:
        codes, symbols = _unpack_shared(param, payload)
    else:
        groups = _groups(param)
        if len(payload) < groups:
            raise CorruptFile(f"{param.name}: expected {groups} step codes, got {len(payload)} bytes")
        codes, rest = np.frombuffer(payload[:groups], dtype=np.int8), payload[groups:]
        if codec == spec.CONTEXT:
            if contexts is None or param.name not in contexts.tables:
                raise CorruptFile(f"{param.name}: codec context: expected a dense grid level and a context network")
            symbols = contexts.read(param, rest)
        else:
            symbols = _unpack_symbols(param, codec, rest)
    if contexts is not None:
        contexts.keep(param, symbols)
    return Stored(symbols.reshape(param.shape), codes, param.axis)


def _unpack_symbols(param: Param, codec: int, payload: bytes) -> NDArray[np.int32]:
    if codec == spec.RANS:
        groups = _groups(param)
        if len(payload) < 2 * groups:
            raise CorruptFile(f"{param.name}: expected {groups} symbol models, got {len(payload)} bytes")
        models = [(payload[2 * i], payload[2 * i + 1]) for i in range(groups)]
        return entropy.decode(payload[2 * groups :], _group_ids(param), models)
    if codec != spec.RAW_INT:
        raise CorruptFile(f"{param.name}: codec: expected one for parameters, got {spec.CODEC_NAMES[codec]}")
    width = payload[0] if payload else 0
    if width not in WIDTHS:
        raise CorruptFile(f"{param.name}: symbol width: expected 1, 2 or 4, got {width}")
    _expect(param, "bytes of symbols", width * param.size, len(payload) - 1)
    symbols: NDArray[np.int32] = np.frombuffer(payload[1:], dtype=WIDTHS[width]).astype(np.int32)
    return symbols


def _expect(param: Param, what: str, expected: int, got: int) -> None:
    if expected != got:
        raise CorruptFile(f"{param.name}: expected {expected} {what}, got {got}")
