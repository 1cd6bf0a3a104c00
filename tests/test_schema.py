"""The JSON Schema of HEAD: as spec.py says it, true of every valid file, and of no HEAD whose keys, types or ranges are at fault."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError, validators

from conformance import minidecoder
from inrcodec import spec
from inrcodec.errors import InrError, LimitExceeded
from inrcodec.head import check_head
from inrcodec.networks import NETWORKS
from inrcodec.weights import read_network
from tools import make_schema

CORPUS = Path(__file__).resolve().parents[1] / "conformance"
SCHEMA = json.loads(make_schema.PATH.read_text())
VALID = {path.parent.name: path for path in sorted(CORPUS.glob("valid/*/*/input.inr"))}
FAULTY = {path.stem: path for path in sorted(CORPUS.glob("faulty/*.inr"))}
LISTING = json.loads((CORPUS / "faulty" / "faulty.json").read_text())
TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": float, "boolean": bool}
# Faults of HEAD that lie in the order or the relation of values, or in what else is in the file.
BEYOND = {
    *("head-borders", "head-high-type", "head-icc-missing", "head-low-high", "head-low-type"),
    *("head-shape-affine-flat", "head-windows-hop", "head-windows-odd", "head-windows-overlap"),
    *("net-bands", "net-channels", "net-groups", "net-level-scale", "net-level-scale-beyond", "net-msa-order", "net-stretch-short"),
    "net-windows",
}
TENSORS = ("tensors-few", "tensors-lattice", "tensors-many", "tensors-mask", "tensors-none", "tensors-sum", "residual-tensor")
# Faults of tiles that HEAD shows; the others lie in TILE, in DATA, or in what goes with what.
TILED = {
    *("tiles-codec-alone", "tiles-head-missing", "tiles-key-missing", "tiles-key-unknown", "tiles-level-alone", "tiles-level-first"),
    *("tiles-list", "tiles-overlap-float", "tiles-overlap-integer", "tiles-overlap-long", "tiles-overlap-negative", "tiles-overlap-odd"),
    *("tiles-overlap-short", "tiles-overlap-zero", "tiles-own-length", "tiles-own-none", "tiles-req-alone", "tiles-req-missing"),
    *("tiles-context-shared", "tiles-residual", "tiles-shared-mask", "tiles-shared-residual", "tiles-shared-unknown", "tiles-valid"),
    "tiles-windows",
}
PAYLOADS = ("residual-behind", "residual-bits", "residual-integer", "residual-low", "residual-net", "residual-stream", "residual-trailing")


def strict_type(validator: Any, kind: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """A float is no integer and an integer no float, which JSON alone does not tell apart."""
    if type(value) is not TYPES[kind]:
        yield ValidationError(f"{value!r} is not of type {kind}")


Strict = validators.extend(Draft202012Validator, {"type": strict_type})


def head_of(path: Path) -> Any:
    data = path.read_bytes()
    return minidecoder.unpack(data[16 : 16 + int.from_bytes(data[8:12], "little")], 2)[0]


def test_the_schema_is_that_of_the_tool() -> None:
    assert make_schema.PATH.read_text() == make_schema.text()
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", VALID)
def test_a_valid_head_has_it(name: str) -> None:
    head = head_of(VALID[name])
    Strict(SCHEMA).validate(head)
    assert Draft202012Validator(SCHEMA).is_valid(json.loads(json.dumps(head)))


@pytest.mark.parametrize("name", [name for name in FAULTY if name.startswith(("head-", "net-", "tensors-", "residual-", "tiles-"))])
def test_a_faulty_head_has_not(name: str) -> None:
    beyond = name in BEYOND or (name.startswith(TENSORS) and name != "tensors-length-negative") or name.startswith(PAYLOADS)
    beyond = beyond or (name.startswith("tiles-") and name not in TILED)
    beyond = beyond or LISTING[name]["class"] == "limit"
    assert Strict(SCHEMA).is_valid(head_of(FAULTY[name])) == beyond


def test_the_lists_of_what_it_cannot_see_have_no_others() -> None:
    assert set(FAULTY) >= BEYOND | TILED
    assert all(any(name.startswith(start) for name in FAULTY) for start in TENSORS + PAYLOADS)


def places(value: Any, schema: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every value of a HEAD with the part of the schema that is its own."""
    yield path, schema
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, schema.get("properties", {}).get(key, {}), (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            inner = schema["prefixItems"][i] if "prefixItems" in schema else schema.get("items", {})
            yield from places(item, inner, (*path, i))


def variations(schema: dict[str, Any]) -> Iterator[Any]:
    """Values at the ends of a range and beyond, and of other types."""
    for key in ("minimum", "maximum", "exclusiveMinimum"):
        if key in schema:
            yield from (schema[key] + step for step in ((-1, 0, 1) if schema["type"] == "integer" else (-1.0, 0.0, 1.0)))
    yield from schema.get("enum", ())
    yield from (3, 3.0, True, False, "x", None, [], {})


def accepted(head: dict[str, Any]) -> bool | None:
    """None: it is more than this reader takes."""
    try:
        check_head(head)
        read_network(head)
    except LimitExceeded:
        return None
    except InrError:
        return False
    return True


def called(head: dict[str, Any], path: tuple[Any, ...]) -> str:
    """What a place of HEAD is called in the tables, as `net.low` or `tens.codec`."""
    keys = [key for key in path if isinstance(key, str)]
    if path[0] == "net" and path[1:]:
        keys.append(spec.NETWORK_FIELDS[head["net"][0]][path[1] - 1].key if path[1] else "id")
    if path[0] in ("net", "tens") and len(path) > 2:
        fields = spec.TENSOR_FIELDS if path[0] == "tens" else spec.LEVEL_FIELDS
        keys += [fields[path[-1]].key] if path[0] == "tens" or len(path) == 4 else []
    return ".".join(keys)


# Values that the package compares with others or with its limits, in the files below.
RELATED = {
    *("axes.n", "windows.overlap", "tens", "tens.codec", "net.out_features", "net.s_min", "net.s_max"),
    *("net.low", "net.bands", "net.groups", "net.levels.entries"),
}


@pytest.mark.parametrize(
    "name", ["small-siren", "small-missing", "small-windows", "small-sasnet", "small-residual", "msa.1-rgb", "tiles-pair"]
)
def test_what_the_package_accepts_has_it(name: str) -> None:
    """One value of a HEAD is another: what the schema refuses, the package refuses; what only the package refuses is a relation."""
    head, tried, only = head_of(VALID[name]), 0, set()
    network = SCHEMA["properties"]["net"]["anyOf"][list(spec.NETWORK_FIELDS).index(head["net"][0])]
    own = copy.deepcopy(SCHEMA)
    own["properties"]["net"] = network
    for path, schema in list(places(head, own))[1:]:
        for value in variations(schema):
            changed = copy.deepcopy(head)
            place: Any = changed
            for step in path[:-1]:
                place = place[step]
            place[path[-1]] = value
            seen, taken = Strict(SCHEMA).is_valid(changed), accepted(changed)
            assert seen or not taken, (path, value)
            tried += 1
            if seen and taken is False:
                only.add(called(head, path))
    assert tried > 200
    assert only <= RELATED, only - RELATED


def test_the_tables_of_the_networks_are_those_of_the_package() -> None:
    def described(config: Any) -> list[str]:
        return list(config.__dataclass_fields__)

    assert list(spec.NETWORK_FIELDS) == list(spec.NETWORK_IDS) == list(NETWORKS)
    for name, fields in spec.NETWORK_FIELDS.items():
        assert [field.key for field in fields] == described(NETWORKS[name].config)
    levels = NETWORKS["sasnet.1"].config.__dataclass_fields__["levels"].type
    assert [field.key for field in spec.LEVEL_FIELDS] == described(levels.__args__[0])
