"""From a signal and a fitted network to the bytes of a file: HEAD, metadata, provenance."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inrcodec import spec
from inrcodec.chunks import Chunk
from inrcodec.container import Container, compress, dump, pack_map
from inrcodec.signals.base import Axis, Content, Signal
from inrcodec.signals.shape_signal import ShapeSignal
from inrcodec.version import VERSION
from inrcodec.weights import network_list, pack

PARTS = 32
MOST_INWARD = 0.3  # of the entries that are not 0: about what a unit is worth
Entry = tuple[list[Any], bytes]  # of HEAD.tens, and payload


def make_head(signal: Content, plan: Any, scale: float, offset: Sequence[float] | NDArray[np.float64]) -> dict[str, Any]:
    """HEAD without its tensors; value = scale * output + offset (c)."""
    head = head_of(signal, network_list(plan.network, plan.config), scale, offset)
    if plan.windows is not None:
        head["windows"] = {"hop": [plan.windows.hop], "overlap": [plan.windows.overlap]}
    return head


def head_of(signal: Content, net: list[Any], scale: float, offset: Sequence[float] | NDArray[np.float64]) -> dict[str, Any]:
    """HEAD without tensors and windows, with this HEAD.net."""
    channels = []
    for c, o in zip(signal.channels, offset, strict=True):
        channel: dict[str, Any] = {"name": c.name, "role": c.role, "scale": scale, "offset": float(o)}
        if signal.dtype is not None:
            channel |= {"low": float(c.low), "high": float(c.high)}
        channels.append(channel)
    out: dict[str, Any] = {"channels": channels, "bits": signal.bits}
    if signal.dtype is not None:
        out["dtype"] = signal.dtype
    if isinstance(signal, Signal) and signal.missing is not None:
        out["valid"] = True
    head: dict[str, Any] = {
        "kind": signal.kind,
        "level": 1,
        "req": [],
        "axes": [_axis(a) for a in signal.axes],
        "out": out,
        "net": net,
    }
    if signal.space is not None:
        space = signal.space
        head["space"] = {"spacing": list(space.spacing)}
        head["space"] |= {} if space.affine is None else {"affine": list(space.affine)}
        head["space"] |= {} if not space.units else {"units": space.units}
    if signal.kind == "image":
        head["color"] = {"icc": True} if signal.metadata.icc is not None else {}
    return head


def _axis(axis: Axis) -> dict[str, Any]:
    described: dict[str, Any] = {"name": axis.name, "n": axis.n}
    return described if (axis.lo, axis.hi) == (-1.0, 1.0) else {**described, "lo": axis.lo, "hi": axis.hi}


def make_file(
    head: dict[str, Any],
    plan: Any,
    fitted: Any,
    behind: Sequence[Entry],
    by_size: Sequence[str],
    coarser: int,
    ancillary: tuple[Chunk, ...],
) -> bytes:
    """The file of a fitted network, the tensors `behind` after its own.

    `coarser` makes it smaller, in PARTS of a unit: a unit is a step an eighth of an octave larger for one of the tensors `by_size`, the
    first ones first, and again for all; a part rounds a share of the tables' entries inward.
    """
    units, part = divmod(coarser, PARTS)
    every, some = divmod(units, max(1, len(by_size)))
    tensors, payload = pack(
        plan.network,
        plan.config,
        {**fitted.values, **fitted.frozen},
        fitted.steps,
        coarser=every,
        also=by_size[:some],
        inward=MOST_INWARD * part / PARTS,
        contexts=fitted.contexts,
    )
    full = {**head, "tens": [*tensors, *(entry for entry, _ in behind)]}
    return dump(Container(full, payload + b"".join(content for _, content in behind), ancillary))


def bytes_beside_payloads(plan: Any, head: dict[str, Any], masks: Sequence[Entry], ancillary: tuple[Chunk, ...]) -> int:
    """What a file takes beside the payloads of its parameters, to a few bytes."""
    # Lengths take as many bytes as they would at two bits a parameter.
    tensors = [[spec.RANS, param.size // 4] for param in plan.network.params(plan.config)]
    full = {**head, "tens": [*tensors, *(entry for entry, _ in masks)]}
    return len(dump(Container(full, b"".join(bits for _, bits in masks), ancillary)))


def metadata_chunks(signal: Content) -> tuple[Chunk, ...]:
    metadata = signal.metadata
    chunks = []
    if metadata.icc is not None:
        chunks.append(Chunk(spec.ICC, compress(metadata.icc)))
    if metadata.exif is not None:
        chunks.append(Chunk(spec.EXIF, metadata.exif))
    if metadata.xmp is not None:
        chunks.append(Chunk(spec.XMP, metadata.xmp))
    return tuple(chunks)


def provenance(signal: Content, request: dict[str, Any], seed: int) -> Chunk:
    """Who wrote the file and how; the same for the same input, options and version (no clock, no file name)."""
    options = {
        key: value
        for key, value in request.items()
        if value not in (None, {}) and key not in ("shape", "channels", "kind", "spectrum", "detail", "part")
    }
    if isinstance(signal, ShapeSignal):
        options["protocol"] = signal.protocol
    told = {"writer": f"inrcodec {VERSION}", "source_sha256": bytes.fromhex(signal.digest), "options": options, "seed": seed}
    return Chunk(spec.PROVENANCE, pack_map(told))


def fit_key(signal: Signal | ShapeSignal, request: dict[str, Any], seed: int) -> str:
    """What a checkpoint belongs to: the samples, the options, the version."""
    digest = hashlib.sha256(json.dumps([request, seed, VERSION], sort_keys=True).encode())
    if isinstance(signal, ShapeSignal):
        shape = signal.shape
        digest.update(signal.protocol.encode())
        content: list[NDArray[Any]] = [shape.vertices, *(part for part in (shape.faces, shape.normals) if part is not None)]
    else:
        content = [signal.values]
    for array in content:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
