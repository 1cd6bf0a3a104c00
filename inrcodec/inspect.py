"""What a container holds, without evaluating anything."""

import json
import math
from collections.abc import Mapping
from typing import Any

from inrcodec import spec
from inrcodec.container import Container, decompress, get, unpack_map
from inrcodec.errors import CorruptFile, LimitExceeded
from inrcodec.head import borders
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks.base import Param, config_to_map
from inrcodec.signals.base import Metadata
from inrcodec.tile_index import TileIndex
from inrcodec.weights import read_network

SCHEMA = "inrcodec.info/1"


def describe(container: Container, nbytes: int, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """A JSON-ready description: kind, axes, network, every tensor with its bytes and bits per parameter, metrics, provenance."""
    head = container.head
    network, config = read_network(head, limits)
    axes = [{**axis, **dict(zip(("lo", "hi"), borders(axis), strict=True))} for axis in head["axes"]]
    samples = 1
    for axis in axes:
        samples *= axis["n"]
    params, entries = network.params(config), head["tens"]
    grid = tuple(axis["n"] for axis in axes)
    behind = {
        spec.CONTEXT_NET: Param("contexts", (), "contexts"),
        spec.RESIDUAL: Param("residual", (*grid, len(head["out"]["channels"])), "residual"),
        spec.MASK: Param("valid", grid, "mask"),
    }
    described = [*params, *(behind[codec] for codec, _ in entries[len(params) :] if codec in behind)]
    tensors = [_tensor(param, *entry) for param, entry in zip(described, entries, strict=False)]
    tiles = None
    if "tiles" in head:
        index = container.index(limits)
        tiles, tensors = _tiles(index, head), _of_tiles(tensors, index)
    parameters = sum(param.size for param in params if param.trainable) * (1 if tiles is None else tiles["count"])
    return {
        "schema": SCHEMA,
        "version": f"{spec.MAJOR}.{spec.MINOR}",
        "kind": head["kind"],
        "level": head["level"],
        "axes": axes,
        "channels": [dict(channel) for channel in head["out"]["channels"]],
        "bits": head["out"]["bits"],
        "dtype": head["out"].get("dtype"),
        "space": dict(head.get("space", {})),
        "color": dict(head.get("color", {})),
        "network": {"id": network.id, **config_to_map(config)},
        "features": list(head["req"]),
        "residual": dict(head["out"]["residual"]) if "residual" in head["out"] else None,
        "tiles": tiles,
        "bytes": nbytes,
        "bpp": 8 * nbytes / samples,
        "parameters": parameters,
        "macs_per_sample": network.macs(config),
        "tensors": tensors,
        "chunks": [{"type": "DATA", "bytes": len(container.data)}]
        + ([{"type": "TILE", "bytes": len(container.tile)}] if container.tile else [])
        + [{"type": chunk.type.decode(), "bytes": len(chunk.payload)} for chunk in container.ancillary],
        "metrics": metrics_of(container),
        "provenance": provenance_of(container),
    }


def _tiles(index: TileIndex, head: Mapping[str, Any]) -> dict[str, Any]:
    """How a file is cut, and into how many bytes."""
    lengths = sorted(entry.length for entry in index.entries)
    sides = [[b - a for a, b in box] for box in index.tiling.boxes]
    return {
        "count": len(lengths),
        "overlap": list(head["tiles"]["overlap"]),
        "smallest": [min(part) for part in zip(*sides, strict=True)],
        "largest": [max(part) for part in zip(*sides, strict=True)],
        "bytes": {"least": lengths[0], "median": lengths[len(lengths) // 2], "most": lengths[-1], "all": sum(lengths)},
    }


def _of_tiles(tensors: list[dict[str, Any]], index: TileIndex) -> list[dict[str, Any]]:
    """The tensors that tiles have of their own with the bytes of all tiles."""
    count, own = len(index.entries), [tensor for tensor in tensors if tensor["codec"] == spec.CODEC_NAMES[spec.TILED]]
    for k, tensor in enumerate(own):
        tensor["bytes"] = sum(entry.tensors[k][1] for entry in index.entries)
        tensor["bits_per_parameter"] = 8 * tensor["bytes"] / (count * math.prod(tensor["shape"]))
    behind = sum(length for entry in index.entries for _, length in entry.tensors[len(own) :])
    return [*tensors, {**_tensor(Param("contexts", (), "contexts"), spec.TILED, behind)}] if behind else tensors


def metrics_of(container: Container) -> list[dict[str, Any]]:
    """Measured on the decoded file when it was written; empty if the file carries none."""
    payload = get(container, spec.METRICS)
    if payload is None:
        return []
    content = _map(payload, "mTRC")
    metrics = content.get("metrics")
    if not isinstance(metrics, list) or not all(isinstance(m, dict) for m in metrics):
        raise CorruptFile("mTRC: expected a list of maps under 'metrics'")
    return metrics


def provenance_of(container: Container) -> dict[str, Any]:
    payload = get(container, spec.PROVENANCE)
    content = {} if payload is None else _map(payload, "pROV")
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in content.items()}


def metadata_of(container: Container, *, strip: bool, limit: int) -> Metadata:
    """What travels beside the samples; with `strip` only the colour profile, which says what the samples mean."""
    icc = get(container, spec.ICC)
    profile = None if icc is None else decompress(icc, limit)
    if strip:
        return Metadata(icc=profile)
    return Metadata(icc=profile, exif=get(container, spec.EXIF), xmp=get(container, spec.XMP))


def to_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


def _map(payload: bytes, where: str) -> dict[str, Any]:
    if len(payload) > DEFAULT_LIMITS.map_bytes:
        raise LimitExceeded(f"{where}: expected at most {DEFAULT_LIMITS.map_bytes} bytes, got {len(payload)}")
    return unpack_map(payload, where)


def _tensor(param: Param, codec: int, length: int) -> dict[str, Any]:
    return {
        "name": param.name,
        "shape": list(param.shape),
        "codec": spec.CODEC_NAMES.get(codec, str(codec)),
        "axis": param.axis,
        "bytes": length,
        "bits_per_parameter": 8 * length / param.size,
    }
