"""What the HEAD map may say, by the tables of spec.py."""

import math
from collections.abc import Mapping
from typing import Any

from inrcodec import spec
from inrcodec.errors import CorruptFile, LimitExceeded, UnsupportedFile
from inrcodec.limits import DEFAULT_LIMITS, Limits

_TYPES: dict[type, str] = {dict: "a map"}


def borders(axis: Mapping[str, Any]) -> tuple[float, float]:
    """Coordinates (lo, hi) of the borders of an axis of HEAD."""
    return axis.get("lo", -1.0), axis.get("hi", 1.0)


def check_head(head: dict[str, Any], limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise unless `head` has the keys, types and ranges of spec.HEAD_FIELDS and only known features."""
    req = head.get("req", [])  # first: an unknown feature may bring unknown keys
    if not (isinstance(req, list) and all(isinstance(name, str) for name in req) and req == sorted(set(req))):
        raise CorruptFile("HEAD.req: expected a sorted list of distinct feature names")
    unknown = [name for name in req if name not in spec.FEATURES]
    if unknown:
        raise UnsupportedFile(f"HEAD.req: unknown features: {', '.join(unknown)}")
    _check_map(head, spec.HEAD_FIELDS, "HEAD")
    for i, axis in enumerate(head["axes"]):
        lo, hi = borders(axis)
        if not lo < hi:
            raise CorruptFile(f"HEAD.axes[{i}]: expected lo < hi, got {lo} and {hi}")
    _check_out(head["out"])
    if "space" in head:
        _check_space(head["space"], len(head["axes"]))
    if head["kind"] == "shape":
        _check_shape(head)
    if "windows" in head:
        _check_windows(head)
    _check_tensors(head["tens"], limits)
    _check_tiles(head)
    _check_valid(head, limits)
    _check_residual(head, limits)


def _check_shape(head: dict[str, Any]) -> None:
    roles = [channel["role"] for channel in head["out"]["channels"]]
    if len(head["axes"]) != 3 or roles != ["sdf"] or "dtype" not in head["out"]:
        raise CorruptFile(
            f"HEAD: expected a shape to have 3 axes, one channel of role sdf and a dtype, got {len(head['axes'])} axes, {roles}"
        )
    affine = head.get("space", {}).get("affine", ())
    if len(affine) != 16 or not abs(_determinant(affine)) > 0:
        raise CorruptFile("HEAD.space.affine: expected the 16 numbers of an invertible matrix for a shape")


def _determinant(m: list[float]) -> float:
    """Of the upper left 3 x 3 of a 4 x 4 matrix, row by row."""
    (a, b, c), (d, e, f), (g, h, i) = m[0:3], m[4:7], m[8:11]
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def _check_space(space: dict[str, Any], d: int) -> None:
    if len(space["spacing"]) != d:
        raise CorruptFile(f"HEAD.space.spacing: expected {d} numbers, got {len(space['spacing'])}")
    sizes = [(k + 1) ** 2 for k in range(1, d + 1)]
    affine = space.get("affine", [0.0] * sizes[0])
    if len(affine) not in sizes:
        raise CorruptFile(f"HEAD.space.affine: expected {' or '.join(map(str, sizes))} numbers, got {len(affine)}")


def _check_windows(head: dict[str, Any]) -> None:
    windows = head["windows"]
    if len(head["axes"]) != 1:
        raise CorruptFile(f"HEAD.windows: expected one axis, got {len(head['axes'])}")
    (hop,), (overlap,) = windows["hop"], windows["overlap"]
    n = head["axes"][0]["n"]
    if not (1 <= hop < n and 2 <= overlap <= hop and overlap % 2 == 0):
        raise CorruptFile(f"HEAD.windows: expected an even overlap of 2 to the hop, and a hop below {n}, got {overlap} and {hop}")


def _check_tiles(head: dict[str, Any]) -> None:
    """Tiles, their level and their feature come together, and without what they have no place for."""
    found = head.get("tiles")
    tiled = found is not None
    if head["level"] != 1 + tiled:
        raise CorruptFile(f"HEAD.level: expected {1 + tiled} {'beside' if tiled else 'without'} HEAD.tiles, got {head['level']}")
    if (spec.TILES_FEATURE in head["req"]) != tiled:
        raise CorruptFile(f"HEAD.req: expected {spec.TILES_FEATURE!r} where there is HEAD.tiles, and nowhere else")
    own = [length for codec, length in head["tens"] if codec == spec.TILED]
    if any(own) or bool(own) != tiled:
        raise CorruptFile(f"HEAD.tens: expected {'empty tensors' if tiled else 'none'} of codec tiled, got lengths {own[:8]}")
    if found is None:
        return
    if len(found["overlap"]) != len(head["axes"]) or any(overlap % 2 for overlap in found["overlap"]):
        raise CorruptFile(f"HEAD.tiles.overlap: expected an even integer for each of {len(head['axes'])} axes, got {found['overlap']}")
    for beside in ({"windows"} & head.keys()) | ({"valid", "residual"} & head["out"].keys()):
        raise CorruptFile(f"HEAD.tiles: expected no {beside!r} beside it")
    shared = {codec for codec, _ in head["tens"]} & {spec.CONTEXT, spec.MASK, spec.RESIDUAL}
    if shared:
        raise CorruptFile(f"HEAD.tens: expected no codec {spec.CODEC_NAMES[min(shared)]} among the tensors that tiles share")
    if any(codec == spec.CONTEXT_NET for codec, _ in head["tens"][:-1]):
        raise CorruptFile("HEAD.tens: expected a shared context network behind the tensors of the network")


def _check_out(out: dict[str, Any]) -> None:
    for i, channel in enumerate(out["channels"]):
        where = f"HEAD.out.channels[{i}]"
        if "dtype" not in out and ("low" in channel or "high" in channel):
            raise CorruptFile(f"{where}: expected low and high only beside HEAD.out.dtype")
        if not channel.get("low", 0.0) < channel.get("high", 1.0):
            raise CorruptFile(f"{where}: expected low < high, got {channel.get('low', 0.0)} and {channel.get('high', 1.0)}")
    if "valid" in out and not out.get("dtype", "").startswith("float"):
        raise CorruptFile("HEAD.out.valid: expected a floating HEAD.out.dtype beside it")


def _check_valid(head: dict[str, Any], limits: Limits) -> None:
    """The tensor of codec mask is the last one, and there where HEAD.out says so."""
    masks = [i for i, entry in enumerate(head["tens"]) if entry[0] == spec.MASK]
    stated = head["out"].get("valid", False)
    if masks != [len(head["tens"]) - 1] * stated:
        raise CorruptFile(f"HEAD.tens: expected {'the last one' if stated else 'none'} of codec mask, got numbers {masks}")
    samples = math.prod(axis["n"] for axis in head["axes"])
    if stated and samples > limits.elements:
        raise LimitExceeded(f"HEAD.out.valid: expected at most {limits.elements} samples, got {samples}")


def _check_residual(head: dict[str, Any], limits: Limits) -> None:
    """The tensor of codec residual is the last but for a mask, and there where HEAD.out and HEAD.req say so."""
    found = head["out"].get("residual")
    stated = found is not None
    if found is not None:
        where = "HEAD.out.residual"
        if head["kind"] == "shape":
            raise CorruptFile(f"{where}: expected another kind than shape")
        samples = math.prod(axis["n"] for axis in head["axes"]) * len(head["out"]["channels"])
        if samples > limits.elements:
            raise LimitExceeded(f"{where}: expected at most {limits.elements} numbers, got {samples}")
    if (spec.RESIDUAL_FEATURE in head["req"]) != stated:
        raise CorruptFile(f"HEAD.req: expected {spec.RESIDUAL_FEATURE!r} where there is HEAD.out.residual, and nowhere else")
    places = [i for i, entry in enumerate(head["tens"]) if entry[0] == spec.RESIDUAL]
    if places != [len(head["tens"]) - 1 - head["out"].get("valid", False)] * stated:
        wanted = "the last one but for a mask" if stated else "none"
        raise CorruptFile(f"HEAD.tens: expected {wanted} of codec residual, got numbers {places}")


def _check_tensors(entries: list[Any], limits: Limits) -> None:
    if len(entries) > limits.tensors:
        raise LimitExceeded(f"HEAD.tens: expected at most {limits.tensors} tensors, got {len(entries)}")


def _check_map(value: dict[str, Any], fields: tuple[spec.Field, ...], where: str) -> None:
    """Keys, then types, then ranges and what is within."""
    known = {field.key for field in fields}
    for key in value:
        if key not in known:
            raise CorruptFile(f"{where}: unknown key {key!r}")
    for field in fields:
        if field.key in value:
            _check_type(value[field.key], field, f"{where}.{field.key}")
        elif field.required:
            raise CorruptFile(f"{where}: key {field.key!r} is missing")
    for field in fields:
        if field.key in value:
            _check_range(value[field.key], field, f"{where}.{field.key}")


def _check_type(value: Any, field: spec.Field, where: str) -> None:
    if type(value) is not field.type:
        raise CorruptFile(f"{where}: expected {_TYPES.get(field.type, field.type.__name__)}, got {type(value).__name__}")


def _check_range(value: Any, field: spec.Field, where: str) -> None:
    error = UnsupportedFile if field.later else CorruptFile
    if field.type is dict:
        if field.fields:
            _check_map(value, field.fields, where)
    elif field.type is list:
        _check_list(value, field, where)
    elif field.among and value not in field.among:
        choice = "one of " * (len(field.among) > 1) + ", ".join(map(str, field.among))
        raise error(f"{where}: expected {choice}, got {value!r}")
    elif field.type in (int, float) and not _within(value, field):
        raise error(f"{where}: expected {_expected(field)}, got {value}")


def _check_list(value: list[Any], field: spec.Field, where: str) -> None:
    if not _within(len(value), field):
        raise CorruptFile(f"{where}: expected a list of {_expected(field)} entries, got {len(value)}")
    if field.fields and len(value) != len(field.fields):
        raise CorruptFile(f"{where}: expected a list of {len(field.fields)} entries, got {len(value)}")
    for item, part in zip(value, field.fields, strict=False):
        _check_type(item, part, f"{where}.{part.key}")
        _check_range(item, part, f"{where}.{part.key}")
    if field.each is not None:
        for i, item in enumerate(value):
            _check_type(item, field.each, f"{where}[{i}]")
            _check_range(item, field.each, f"{where}[{i}]")


def _within(number: float, field: spec.Field) -> bool:
    least, most = (-math.inf if field.least is None else field.least), (math.inf if field.most is None else field.most)
    return least <= number <= most and (field.above is None or number > field.above)


def _expected(field: spec.Field) -> str:
    if field.above is not None:
        return f"more than {field.above}" + (f" and at most {field.most}" if field.most is not None else "")
    if field.most is None:
        return f"at least {field.least}"
    return f"{field.least}" if field.least == field.most else f"{field.least}..{field.most}"
