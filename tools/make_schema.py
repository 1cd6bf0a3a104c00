"""Write formats/head.schema.json, a JSON Schema of the map of HEAD, from inrcodec/spec.py.

    python -m tools.make_schema [--check]

With --check nothing is written, and the program ends with 1 if the file is not as it would be written.
"""

import argparse
import json
import sys
from collections.abc import Collection
from typing import Any

from inrcodec import spec
from tools.render_tables import FORMATS, put

PATH = FORMATS / "head.schema.json"
COMMENT = (
    "HEAD as JSON: maps are objects, arrays are arrays. Integers are written without a fraction, floats with one, and a strict validator"
    " tells them apart. The schema has the keys, types and ranges of the format's text, and what the number of axes, `dtype`, `valid`,"
    " `residual`, `windows`, `tiles` and the kind `shape` ask of other keys. It does not say that lists are sorted, that one number is"
    " above another, and what goes with the tensors."
)
TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
FLOATS = [name for name in spec.DTYPES if name.startswith("float")]
# What one key asks of another.
OUT_RELATIONS = [
    {
        "if": {"not": {"required": ["dtype"]}},
        "then": {"properties": {"channels": {"items": {"properties": {"low": False, "high": False}}}}},
    },
    {"if": {"required": ["valid"]}, "then": {"required": ["dtype"], "properties": {"dtype": {"enum": FLOATS}}}},
]


def of_size(d: int) -> dict[str, Any]:
    """What a number of axes asks for."""
    sizes = [(k + 1) ** 2 for k in range(1, d + 1)]
    space = {"spacing": exactly(d), "affine": {"anyOf": [exactly(size) for size in sizes]}}
    tiles = {"properties": {"overlap": exactly(d)}}
    return {
        "if": {"properties": {"axes": exactly(d)}},
        "then": {"properties": {"space": {"properties": space}, "net": {"prefixItems": [True, {"const": d}]}, "tiles": tiles}},
    }


def exactly(count: int) -> dict[str, int]:
    return {"minItems": count, "maxItems": count}


def named(feature: str) -> dict[str, Any]:
    """`req` has the feature."""
    return {"properties": {"req": {"contains": {"const": feature}}}}


def of_codecs(codecs: Collection[int]) -> dict[str, Any]:
    """The entry of a tensor with one of these codecs."""
    return {"prefixItems": [{"enum": sorted(codecs)}]}


_RESIDUAL = {"required": ["out"], "properties": {"out": {"required": ["residual"]}}}
_NAMED = named(spec.RESIDUAL_FEATURE)
_EMPTY = {"if": of_codecs({spec.TILED}), "then": {"prefixItems": [True, {"const": 0}]}}
_BESIDE_TILES = {
    "level": {"const": 2},
    "windows": False,
    "out": {"properties": {"valid": False, "residual": False}},
    "tens": {
        "contains": of_codecs({spec.TILED}),
        "items": {**of_codecs(spec.CODECS.keys() - {spec.CONTEXT, spec.MASK, spec.RESIDUAL}), **_EMPTY},
    },
}
_WITHOUT_TILES = {"level": {"const": 1}, "tens": {"items": of_codecs(spec.CODECS.keys() - {spec.TILED})}}
HEAD_RELATIONS = [
    *(of_size(d) for d in range(1, 5)),
    {"if": _RESIDUAL, "then": _NAMED, "else": {"not": _NAMED}},
    {
        "if": {"required": ["tiles"]},
        "then": {"properties": _BESIDE_TILES, "allOf": [named(spec.TILES_FEATURE)]},
        "else": {"properties": _WITHOUT_TILES, "not": named(spec.TILES_FEATURE)},
    },
    {"if": {"required": ["windows"]}, "then": {"properties": {"axes": {"maxItems": 1}}}},
    {
        "if": {"required": ["kind"], "properties": {"kind": {"const": "shape"}}},
        "then": {
            "required": ["space"],
            "properties": {
                "axes": exactly(3),
                "out": {
                    "required": ["dtype"],
                    "properties": {
                        "channels": {"maxItems": 1, "items": {"properties": {"role": {"const": "sdf"}}}},
                        "residual": False,
                    },
                },
                "space": {"required": ["affine"], "properties": {"affine": exactly(16)}},
            },
        },
    },
]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true")
    return put(PATH, text(), "tools.make_schema", check=parser.parse_args().check)


def text() -> str:
    return json.dumps(schema(), indent=1) + "\n"


def schema() -> dict[str, Any]:
    head = of_map(spec.HEAD_FIELDS)
    head["properties"]["net"] |= {"anyOf": [of_network(name) for name in spec.NETWORK_FIELDS]}
    head["properties"]["req"]["uniqueItems"] = True
    head["properties"]["out"]["allOf"] = OUT_RELATIONS
    head["properties"]["tiles"]["properties"]["overlap"]["items"]["multipleOf"] = 2
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"HEAD of an .inr file, version {spec.MAJOR}.{spec.MINOR}",
        "$comment": COMMENT,
        **head,
        "allOf": HEAD_RELATIONS,
    }


def of_map(fields: tuple[spec.Field, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {field.key: of_field(field) for field in fields},
        "required": [field.key for field in fields if field.required],
        "additionalProperties": False,
    }


def of_entries(fields: list[dict[str, Any]]) -> dict[str, Any]:
    """A list with just these entries."""
    return {"type": "array", "prefixItems": fields, "items": False, "minItems": len(fields)}


def of_network(name: str) -> dict[str, Any]:
    values = [{"title": field.key, **of_field(field)} for field in spec.NETWORK_FIELDS[name]]
    return of_entries([{"const": name}, *values])


def of_field(field: spec.Field) -> dict[str, Any]:
    said = {"description": field.text} if field.text else {}
    if field.type is dict:
        return said | (of_map(field.fields) if field.fields else {"type": "object"})
    if field.type is list:
        return said | of_list(field)
    bounds = {"minimum": field.least, "maximum": field.most, "exclusiveMinimum": field.above}
    among = {"enum": list(field.among)} if field.among else {}
    return said | {"type": TYPES[field.type], **{key: bound for key, bound in bounds.items() if bound is not None}, **among}


def of_list(field: spec.Field) -> dict[str, Any]:
    if field.fields:
        return of_entries([{"title": part.key, **of_field(part)} for part in field.fields])
    bounds = {"minItems": field.least, "maxItems": field.most}
    items = {"items": of_field(field.each)} if field.each else {}
    return {"type": "array", **{key: bound for key, bound in bounds.items() if bound is not None}, **items}


if __name__ == "__main__":
    sys.exit(main())
