"""The part of Kaitai Struct that formats/inr.ksy uses: its structures read from bytes, and what is wrong with a description."""

import re
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

NUMBERS = {"u1": "B", "s1": "b", "u2": "H", "u4": "I", "f4": "f"}
KEYS = {
    "top": {"meta", "doc", "doc-ref", "seq", "types", "enums", "params", "instances"},
    "field": {"id", "type", "doc", "contents", "size", "size-eos", "repeat", "repeat-expr", "repeat-until", "if", "valid", "encoding"},
    "valid": {"min", "max", "any-of"},
    "meta": {"id", "title", "file-extension", "ks-version", "endian", "bit-endian"},
}
NAME = re.compile(r"[a-z][a-z0-9_]*")
Ksy = dict[str, Any]


class Mismatch(ValueError):
    """Bytes that a description does not allow."""


def problems(ksy: Ksy) -> Iterator[str]:
    """What is not well formed, one line each."""
    if set(ksy.get("meta", {})) - KEYS["meta"] or ksy.get("meta", {}).get("endian") != "le":
        yield "meta: unknown keys, or not little-endian"
    for enum, members in ksy.get("enums", {}).items():
        if not all(isinstance(number, int) and NAME.fullmatch(name) for number, name in members.items()):
            yield f"enum {enum}"
    for name, found in [("top", ksy), *ksy["types"].items()]:
        if not NAME.fullmatch(name) or set(found) - KEYS["top"]:
            yield f"{name}: unknown keys, or a wrong name"
        fields = [*found.get("params", []), *found["seq"]]
        ids = [field.get("id", "") for field in fields] + list(found.get("instances", {}))
        if len(set(ids)) != len(ids) or not all(NAME.fullmatch(key) for key in ids):
            yield f"{name}: wrong or repeated ids"
        for field in fields:
            yield from (f"{name}.{field['id']}: {fault}" for fault in _field_problems(ksy, field))


def _field_problems(ksy: Ksy, field: Ksy) -> Iterator[str]:
    if set(field) - KEYS["field"]:
        yield f"unknown keys {set(field) - KEYS['field']}"
    kinds = [field.get("type")] if not isinstance(field.get("type"), dict) else list(field["type"]["cases"].values())
    for kind in kinds:
        if kind is not None and kind not in {*NUMBERS, "str", *ksy["types"]} and not re.fullmatch(r"b[1-8]", kind):
            yield f"unknown type {kind}"
    if not {"type", "size", "size-eos", "contents"} & set(field):
        yield "neither type nor size"
    if field.get("type") == "str" and not {"size", "encoding"} <= set(field):
        yield "a string without size and encoding"
    if field.get("repeat", "eos") not in ("eos", "expr", "until") or ("repeat" in field) < ("repeat-expr" in field):
        yield "wrong repetition"
    if field.get("repeat") in ("expr", "until") and f"repeat-{field['repeat']}" not in field:
        yield "a repetition without its expression"
    if isinstance(field.get("valid"), dict) and set(field["valid"]) - KEYS["valid"]:
        yield "unknown validation"


class Reader:
    """Bytes from a place on; `bits` are those left of a byte."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.bits = data, 0, 0

    def take(self, size: int) -> bytes:
        if self.bits or self.at + size > len(self.data):
            raise Mismatch(f"byte {self.at}: expected {size} bytes, {len(self.data) - self.at} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def take_bits(self, count: int) -> int:
        if not self.bits:
            self.take(1)
            self.bits = 8
        self.bits -= count
        return self.data[self.at - 1] >> self.bits & (1 << count) - 1


def parse(ksy: Ksy, data: bytes, kind: str | None = None, **params: int) -> SimpleNamespace:
    """All of `data` as the top type, or as one of the types; an object with the ids as attributes."""
    reader = Reader(data)
    found = _structure(ksy, ksy if kind is None else ksy["types"][kind], reader, params)
    if reader.at != len(data):
        raise Mismatch(f"byte {reader.at}: expected the end")
    return found


def _structure(ksy: Ksy, described: Ksy, reader: Reader, params: dict[str, int]) -> SimpleNamespace:
    found = SimpleNamespace(**params)
    for field in described["seq"]:
        if "if" not in field or evaluate(field["if"], found):
            setattr(found, field["id"], _field(ksy, field, reader, found))
    for name, instance in described.get("instances", {}).items():
        setattr(found, name, evaluate(instance["value"], found))
    return found


def _field(ksy: Ksy, field: Ksy, reader: Reader, found: SimpleNamespace) -> Any:
    if "repeat" not in field:
        return _once(ksy, field, reader, found)
    values: list[Any] = []
    count = evaluate(str(field["repeat-expr"]), found) if field["repeat"] == "expr" else None
    while len(values) != count if count is not None else reader.at < len(reader.data):
        values.append(_once(ksy, field, reader, found))
        if field["repeat"] == "until" and evaluate(field["repeat-until"], found, values[-1]):
            return values
    if field["repeat"] == "until":
        raise Mismatch(f"byte {reader.at}: expected {field['id']} to end")
    return values


def _once(ksy: Ksy, field: Ksy, reader: Reader, found: SimpleNamespace) -> Any:
    if "contents" in field:
        value: Any = reader.take(len(field["contents"]))
        if list(value) != field["contents"]:
            raise Mismatch(f"{field['id']}: expected {field['contents']}, got {value.hex(' ')}")
        return value
    kind: Any = field.get("type")
    sized = "size" in field or field.get("size-eos", False)
    if isinstance(kind, dict):
        kind = kind["cases"].get(f'"{evaluate(kind["switch-on"], found)}"')
    if sized:
        value = reader.take(evaluate(str(field["size"]), found) if "size" in field else len(reader.data) - reader.at)
        if kind == "str":
            return value.decode(field["encoding"])
        return value if kind is None else parse(ksy, value, kind)
    if kind in NUMBERS:
        value = struct.unpack("<" + NUMBERS[kind], reader.take(struct.calcsize(NUMBERS[kind])))[0]
    elif kind in ksy["types"]:
        value = _structure(ksy, ksy["types"][kind], reader, {})
    else:
        value = reader.take_bits(int(kind[1:]))
    _validate(field, value)
    return value


def _validate(field: Ksy, value: Any) -> None:
    rule = field.get("valid")
    rule = rule if isinstance(rule, dict) else {} if rule is None else {"any-of": [rule]}
    if ("min" in rule and value < rule["min"]) or ("max" in rule and value > rule["max"]) or value not in rule.get("any-of", [value]):
        raise Mismatch(f"{field['id']}: expected {rule}, got {value}")


def evaluate(expression: str, found: SimpleNamespace, last: Any = None) -> Any:
    """An expression of Kaitai whose operators are also Python's, `a ? b : c` in brackets and `.size` aside."""
    text = re.sub(r"\(([^()?]+) \? ([^:()]+) : ([^()]+)\)", r"((\2) if (\1) else (\3))", expression)
    text = re.sub(r"(\w+)\.size", r"len(\1)", text)
    return eval(text, {"__builtins__": {}, "len": len}, {**vars(found), "_": last})
