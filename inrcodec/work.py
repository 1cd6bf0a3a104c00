"""What reading a file will cost, from HEAD alone: parameters, numbers in symbol streams, wavefronts (spec section 1, rule 6).

A number of a symbol stream may cost next to no bytes, and a microsecond; so may a wavefront, and tens of microseconds. Both are
compared with limits that grow with the file, before anything is decoded.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inrcodec import spec
from inrcodec.errors import LimitExceeded
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.networks.base import Param
from inrcodec.residual import bands, plane_sizes

WAVEFRONT = 32  # what one costs, in numbers of a stream


def wavefronts(sizes: Sequence[int]) -> int:
    """Values of t = sum over k of i_k 2^(d-1-k) over a plane of `sizes`."""
    d = len(sizes)
    return 1 + sum((n - 1) << (d - 1 - k) for k, n in enumerate(sizes))


def plane_work(sizes: Sequence[int], wavefront: int = WAVEFRONT) -> int:
    """Coding work of one plane that contexts code."""
    return math.prod(sizes) + wavefront * wavefronts(sizes)


def tensor_work(param: Param, codec: int, config: Any, wavefront: int = WAVEFRONT) -> int:
    """Coding work of a tensor of the network."""
    if codec == spec.RANS:
        return param.size
    if codec == spec.RANS_SHARED:
        return param.size + (param.shape[param.axis] if param.axis >= 0 else 1)
    if codec == spec.CONTEXT and param.role == "table":
        d: int = config.in_features
        side: int = round(param.shape[-2] ** (1 / d))
        return param.shape[-1] * plane_work((side,) * d, wavefront)
    return 0


def residual_work(head: Mapping[str, Any], wavefront: int = WAVEFRONT) -> int:
    """Coding work of the residual; one of no bytes has none."""
    if not any(codec == spec.RESIDUAL and length for codec, length in head["tens"]):
        return 0
    channels = len(head["out"]["channels"])
    sizes = plane_sizes([axis["n"] for axis in head["axes"]])
    rows: int = next(bands(sizes)).stop
    planes = [((rows, *sizes[1:]), sizes[0] // rows), ((sizes[0] % rows, *sizes[1:]), 1)]
    return channels * sum(plane_work(part, wavefront) * count for part, count in planes if part[0])


@dataclass(frozen=True)
class Budget:
    """What reading a file takes, and what it may: pairs (needed, at most)."""

    elements: tuple[int, int]
    parameters: tuple[int, int]
    coding: tuple[int, int]


def budget(head: Mapping[str, Any], params: Sequence[Param], config: Any, limits: Limits, wavefront: int = WAVEFRONT) -> Budget:
    """Of a checked HEAD with the parameters `params`, a mask and a residual. wavefront: what one counts."""
    parameters, beside = sum(param.size for param in params), 0
    if "valid" in head["out"] or "residual" in head["out"]:
        samples = math.prod(axis["n"] for axis in head["axes"])
        beside = samples * (head["out"].get("valid", False) + len(head["out"]["channels"]) * ("residual" in head["out"]))
    stored = stored_bytes(head)
    work = sum(tensor_work(param, codec, config, wavefront) for param, (codec, _) in zip(params, head["tens"], strict=False))
    work += residual_work(head, wavefront)
    return Budget(
        elements=(parameters + beside, limits.elements),
        parameters=(parameters, limits.parameters + limits.parameters_per_byte * stored),
        coding=(work, limits.coding + limits.coding_per_byte * stored),
    )


def stored_bytes(head: Mapping[str, Any]) -> int:
    """Bytes of DATA."""
    return sum(length for _, length in head["tens"])


def check_work(head: Mapping[str, Any], params: Sequence[Param], config: Any, limits: Limits) -> None:
    """Raise LimitExceeded where a file asks for more than `limits` allow."""
    found, stored = budget(head, params, config, limits), stored_bytes(head)
    needed, most = found.elements
    if needed > most:
        raise LimitExceeded(f"HEAD: expected at most {most} elements, got {needed}")
    if "tiles" in head:
        return  # every tile is looked at by itself, with its own bytes
    needed, most = found.parameters
    if needed > most:
        raise LimitExceeded(f"HEAD.net: expected at most {most} parameters in {stored} bytes of DATA, got {needed}")
    needed, most = found.coding
    if needed > most:
        raise LimitExceeded(f"HEAD.tens: expected coding work of at most {most} for {stored} bytes of DATA, got {needed}")


def affordable(work: int, nbytes: int) -> bool:
    """Whether a writer may give a payload of `nbytes` so much coding work, for readers with the usual limits to take the whole file."""
    return work <= DEFAULT_LIMITS.coding // 4 + DEFAULT_LIMITS.coding_per_byte * nbytes
