"""What the HEAD map may say, by the tables of spec.py."""

import math
from collections.abc import Mapping
from typing import Any

from inrcodec import spec
from inrcodec.errors import CorruptFile, LimitExceeded, UnsupportedFile
from inrcodec.limits import DEFAULT_LIMITS, Limits


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
    if head["kind"] not in spec.KINDS:
        raise UnsupportedFile(f"HEAD.kind: expected one of {', '.join(spec.KINDS)}, got {head['kind']!r}")
    if head["level"] != 1:
        raise UnsupportedFile(f"HEAD.level: expected 1, got {head['level']}")
    _check_list(head["axes"], 1, 4, "HEAD.axes")
    for i, axis in enumerate(head["axes"]):
        _check_map(axis, spec.AXIS_FIELDS, f"HEAD.axes[{i}]")
        if not 1 <= axis["n"] <= 1 << 31:
            raise CorruptFile(f"HEAD.axes[{i}].n: expected 1..2^31, got {axis['n']}")
        lo, hi = borders(axis)
        if not lo < hi:
            raise CorruptFile(f"HEAD.axes[{i}]: expected lo < hi, got {lo} and {hi}")
    _check_out(head["out"])
    if "color" in head:
        _check_map(head["color"], spec.COLOR_FIELDS, "HEAD.color")
    if "space" in head:
        _check_space(head["space"], len(head["axes"]))
    if head["kind"] == "shape":
        _check_shape(head)
    if "windows" in head:
        _check_windows(head)
    _check_tensors(head["tens"], limits)
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
    _check_map(space, spec.SPACE_FIELDS, "HEAD.space")
    _check_list(space["spacing"], d, d, "HEAD.space.spacing")
    sizes = [(k + 1) ** 2 for k in range(1, d + 1)]
    affine = space.get("affine", [0.0] * sizes[0])
    if len(affine) not in sizes:
        raise CorruptFile(f"HEAD.space.affine: expected {' or '.join(map(str, sizes))} numbers, got {len(affine)}")
    if not all(type(number) is float for number in (*space["spacing"], *affine)):
        raise CorruptFile("HEAD.space: expected floats")


def _check_windows(head: dict[str, Any]) -> None:
    windows = head["windows"]
    _check_map(windows, spec.WINDOWS_FIELDS, "HEAD.windows")
    if len(head["axes"]) != 1:
        raise CorruptFile(f"HEAD.windows: expected one axis, got {len(head['axes'])}")
    for key in ("hop", "overlap"):
        _check_list(windows[key], 1, 1, f"HEAD.windows.{key}")
        if type(windows[key][0]) is not int:
            raise CorruptFile(f"HEAD.windows.{key}: expected an integer, got {type(windows[key][0]).__name__}")
    (hop,), (overlap,) = windows["hop"], windows["overlap"]
    n = head["axes"][0]["n"]
    if not (1 <= hop < n and 2 <= overlap <= hop and overlap % 2 == 0):
        raise CorruptFile(f"HEAD.windows: expected an even overlap of 2 to the hop, and a hop below {n}, got {overlap} and {hop}")


def _check_out(out: dict[str, Any]) -> None:
    _check_map(out, spec.OUT_FIELDS, "HEAD.out")
    if not 1 <= out["bits"] <= 16:
        raise CorruptFile(f"HEAD.out.bits: expected 1..16, got {out['bits']}")
    if out.get("dtype", "uint8") not in spec.DTYPES:
        raise CorruptFile(f"HEAD.out.dtype: expected one of {', '.join(spec.DTYPES)}, got {out['dtype']!r}")
    _check_list(out["channels"], 1, 4096, "HEAD.out.channels")
    for i, channel in enumerate(out["channels"]):
        where = f"HEAD.out.channels[{i}]"
        _check_map(channel, spec.CHANNEL_FIELDS, where)
        if channel["role"] not in spec.ROLES:
            raise CorruptFile(f"{where}.role: expected one of {', '.join(spec.ROLES)}, got {channel['role']!r}")
        if "dtype" not in out and ("low" in channel or "high" in channel):
            raise CorruptFile(f"{where}: expected low and high only beside HEAD.out.dtype")
        if not channel.get("low", 0.0) < channel.get("high", 1.0):
            raise CorruptFile(f"{where}: expected low < high, got {channel.get('low', 0.0)} and {channel.get('high', 1.0)}")
    if "valid" in out and not (out["valid"] and out.get("dtype", "").startswith("float")):
        raise CorruptFile("HEAD.out.valid: expected true, and beside a floating HEAD.out.dtype")


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
        _check_map(found, spec.RESIDUAL_FIELDS, where)
        if not (found["bound"] >= 0 and found["step"] > 0 and found["tolerance"] > 0):
            raise CorruptFile(f"{where}: expected a bound of at least 0, a step and a tolerance above 0, got {found}")
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
    for i, entry in enumerate(entries):
        where = f"HEAD.tens[{i}]"
        if not isinstance(entry, list) or len(entry) != len(spec.TENSOR_FIELDS):
            raise CorruptFile(f"{where}: expected a list of {len(spec.TENSOR_FIELDS)} entries")
        for value, field in zip(entry, spec.TENSOR_FIELDS, strict=True):
            _check_type(value, field, where)
        codec, length = entry
        if codec not in spec.CODEC_NAMES:
            raise UnsupportedFile(f"{where}.codec: expected one of {sorted(spec.CODEC_NAMES)}, got {codec}")
        if length < 0:
            raise CorruptFile(f"{where}.length: expected a length >= 0, got {length}")


def _check_map(value: Any, fields: tuple[spec.Field, ...], where: str) -> None:
    if not isinstance(value, dict):
        raise CorruptFile(f"{where}: expected a map, got {type(value).__name__}")
    known = {field.key for field in fields}
    for key in value:
        if key not in known:
            raise CorruptFile(f"{where}: unknown key {key!r}")
    for field in fields:
        if field.key in value:
            _check_type(value[field.key], field, where)
        elif field.required:
            raise CorruptFile(f"{where}: key {field.key!r} is missing")


def _check_type(value: Any, field: spec.Field, where: str) -> None:
    if type(value) is not field.type:
        raise CorruptFile(f"{where}.{field.key}: expected {field.type.__name__}, got {type(value).__name__}")


def _check_list(value: Any, least: int, most: int, where: str) -> None:
    if not isinstance(value, list) or not least <= len(value) <= most:
        got = f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
        raise CorruptFile(f"{where}: expected a list of {least}..{most} entries, got {got}")
