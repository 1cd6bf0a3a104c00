"""Container <-> network, configuration and float32 parameters."""

import struct
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from inrcodec import entropy, lattice, spec
from inrcodec.container import Container, decompress
from inrcodec.errors import CorruptFile, LimitExceeded, UnsupportedFile
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Array, Network, Param, config_from_list, config_to_list
from inrcodec.networks.stacked import stacked
from inrcodec.quantize import dequantize, nearest_step_codes, quantize
from inrcodec.windows import windows_of

WIDTHS: dict[int, np.dtype[Any]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}


def network_list(network: Network, config: Any) -> list[Any]:
    """HEAD.net of a network."""
    return [network.id, *config_to_list(config)]


def read_network(head: Mapping[str, Any], limits: Limits = DEFAULT_LIMITS) -> tuple[Network, Any]:
    """The network and configuration that HEAD.net names, stacked where there are windows.

    Raises UnsupportedFile for an unknown id, CorruptFile for a bad configuration, LimitExceeded for more parameters than `limits` allow.
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
    elements = sum(param.size for param in network.params(config))
    if elements > limits.elements:
        raise LimitExceeded(f"HEAD.net: expected at most {limits.elements} parameters, got {elements}")
    return network, config


def pack(
    network: Network, config: Any, values: Mapping[str, Array], steps: Mapping[str, Array], *, coarser: int = 0, also: Collection[str] = ()
) -> tuple[list[list[Any]], bytes]:
    """HEAD.tens and DATA of a network's parameters.

    values[name] float32; steps[name] (groups) quantization steps of the trainable tensors, made `coarser` eighths of an octave larger,
    one more those of the tensors named in `also`.
    """
    entries, payloads = [], []
    for param in network.params(config):
        value = np.asarray(values[param.name], dtype=np.float32)
        if param.role == "frequency":
            codec, payload = spec.LATTICE, lattice.encode(value.astype(np.int64))
        else:
            codec, payload = _pack_quantized(param, value, np.asarray(steps[param.name]), coarser + (param.name in also))
        entries.append([codec, len(payload)])
        payloads.append(payload)
    return entries, b"".join(payloads)


def unpack(container: Container) -> tuple[Network, Any, dict[str, Array]]:
    """The network, its configuration and parameters. Raises CorruptFile or UnsupportedFile."""
    network, config = read_network(container.head)
    params = network.params(config)
    every = container.head["tens"]
    entries = every[:-1] if every and every[-1][0] == spec.MASK else every
    if len(entries) != len(params):
        raise CorruptFile(f"HEAD.tens: expected {len(params)} tensors for {network.id}, got {len(entries)}")
    values, position = {}, 0
    for param, (codec, length) in zip(params, entries, strict=True):
        payload = container.data[position : position + length]
        position += length
        values[param.name] = _unpack_tensor(param, codec, payload)
    return network, config, values


def _groups(param: Param) -> int:
    return param.shape[param.axis] if param.axis >= 0 else 1


def _group_ids(param: Param) -> NDArray[np.int64]:
    """The group of every value in C order: (size,)."""
    if param.axis < 0:
        return np.zeros(param.size, dtype=np.int64)
    index = np.arange(_groups(param)).reshape([-1 if k == param.axis else 1 for k in range(len(param.shape))])
    return np.ascontiguousarray(np.broadcast_to(index, param.shape)).reshape(-1)


def _pack_quantized(param: Param, value: Array, steps: NDArray[Any], coarser: int) -> tuple[int, bytes]:
    codes = np.clip(nearest_step_codes(steps).astype(np.int64) + coarser, spec.STEP_CODE_MIN, spec.STEP_CODE_MAX).astype(np.int8)
    symbols = quantize(value, codes, param.axis)
    side = codes.tobytes()
    plain = _plain_symbols(symbols)
    candidates = [
        (spec.RANS, side + _rans_payload(param, symbols)),
        (spec.RANS_SHARED, _shared_payload(codes, symbols)),
        (spec.ZSTD_INT, side + plain[:1] + zstandard.ZstdCompressor(level=19).compress(plain[1:])),
        (spec.RAW_INT, side + plain),
    ]
    return min(candidates, key=lambda item: len(item[1]))


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


def _unpack_tensor(param: Param, codec: int, payload: bytes) -> Array:
    size = param.size
    if codec == spec.LATTICE:
        if param.role != "frequency":
            raise CorruptFile(f"{param.name}: codec lattice: expected a frequency embedding, got a {param.role}")
        return lattice.decode(payload, *param.shape).astype(np.float32)
    if codec in (spec.RAW_F32, spec.ZSTD_F32):
        raw = payload if codec == spec.RAW_F32 else decompress(payload, 4 * size)
        _expect(param, "bytes", 4 * size, len(raw))
        values = np.frombuffer(raw, dtype="<f4").astype(np.float32).reshape(param.shape)
        if not np.isfinite(values).all():
            raise CorruptFile(f"{param.name}: expected finite values, got NaN or infinity")
        return values
    if codec == spec.RANS_SHARED:
        shared, symbols = _unpack_shared(param, payload)
        return dequantize(symbols.reshape(param.shape), shared, param.axis)
    groups = _groups(param)
    if len(payload) < groups:
        raise CorruptFile(f"{param.name}: expected {groups} step codes, got {len(payload)} bytes")
    codes = np.frombuffer(payload[:groups], dtype=np.int8)
    symbols = _unpack_symbols(param, codec, payload[groups:])
    return dequantize(symbols.reshape(param.shape), codes, param.axis)


def _unpack_symbols(param: Param, codec: int, payload: bytes) -> NDArray[np.int32]:
    if codec == spec.RANS:
        groups = _groups(param)
        if len(payload) < 2 * groups:
            raise CorruptFile(f"{param.name}: expected {groups} symbol models, got {len(payload)} bytes")
        models = [(payload[2 * i], payload[2 * i + 1]) for i in range(groups)]
        return entropy.decode(payload[2 * groups :], _group_ids(param), models)
    width = payload[0] if payload else 0
    if width not in WIDTHS:
        raise CorruptFile(f"{param.name}: symbol width: expected 1, 2 or 4, got {width}")
    raw = payload[1:] if codec == spec.RAW_INT else decompress(payload[1:], width * param.size)
    _expect(param, "bytes of symbols", width * param.size, len(raw))
    symbols: NDArray[np.int32] = np.frombuffer(raw, dtype=WIDTHS[width]).astype(np.int32)
    return symbols


def _expect(param: Param, what: str, expected: int, got: int) -> None:
    if expected != got:
        raise CorruptFile(f"{param.name}: expected {expected} {what}, got {got}")
