"""formats/inr.ksy describes the files: read by it, they have the chunks and payloads that the readers find."""

import copy
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from conformance import compared, minidecoder, tiledecoder
from inrcodec import container, spec
from inrcodec.tile_index import unpack_index
from inrcodec.tiles import tiles_of
from inrcodec.tiling import Split
from tests.kaitai import Mismatch, parse, problems

ROOT = Path(__file__).resolve().parents[1]
KSY: dict[str, Any] = yaml.safe_load((ROOT / "formats" / "inr.ksy").read_text())
VALID = {path.parent.name: path for path in sorted(ROOT.glob("conformance/valid/*/*/input.inr"))}
FAULTY = {path.stem: path for path in sorted(ROOT.glob("conformance/faulty/container-*.inr"))}
# Where a stream is in a payload: its id, bytes before it, and bytes per group before it.
STREAMS = {"rans": ("symbols", 0, 3), "rans_shared": ("numbers", 5, 0), "context": ("symbols", 0, 1), "context_net": ("weights", 3, 0)}
GROUPED = {"raw_int": "num_groups", "rans": "num_groups", "context": "num_features"}


def test_it_is_well_formed() -> None:
    assert list(problems(KSY)) == []


@pytest.mark.parametrize("key", ["id", "type", "repeat-expr", "encoding", "size"])
def test_what_is_not_well_formed_is_found(key: str) -> None:
    spoiled = 0
    for name, described in KSY["types"].items():
        for i, field in enumerate(described["seq"]):
            if key in field and (key != "type" or "size" not in field) and (key != "size" or field.get("type") == "str"):
                changed = copy.deepcopy(KSY)
                changed["types"][name]["seq"][i][key if key in ("id", "type") else "x"] = changed["types"][name]["seq"][i].pop(key)
                if key in ("id", "type"):
                    changed["types"][name]["seq"][i][key] = "No"
                assert list(problems(changed)), (name, i)
                spoiled += 1
    assert spoiled


def test_its_facts_are_those_of_the_specification() -> None:
    assert bytes(KSY["seq"][0]["contents"]) == spec.SIGNATURE
    assert KSY["enums"]["codec"] == {number: name.replace("-", "_") for number, name in spec.CODEC_NAMES.items()}
    assert set(KSY["enums"]["codec"].values()) <= set(KSY["types"])
    known = {rule["id"]: rule["valid"]["max"] for t in KSY["types"].values() for rule in t["seq"] if "max" in (rule.get("valid") or {0: 0})}
    assert known["len_payload"] == spec.MAX_CHUNK_LENGTH and known["log2_lanes"] == spec.RANS_MAX_LANES_LOG2
    assert known["zero_code"] + 1 == spec.ZERO_CODES and known["decay_code"] + 1 == spec.DECAY_CODES
    assert KSY["meta"]["title"].endswith(f"version {spec.MAJOR}.{spec.MINOR}")


@pytest.mark.parametrize("name", VALID)
def test_chunks_are_those_of_the_readers(name: str) -> None:
    data = VALID[name].read_bytes()
    found, own = parse(KSY, data).chunks, container.load(data)
    pieces = tiledecoder.read_chunks(data)
    assert [(chunk.letters.encode(), chunk.len_payload) for chunk in found] == [(letters, len(body)) for letters, body in pieces]
    assert [chunk.crc32 for chunk in found] == [zlib.crc32(letters + body) for letters, body in pieces]
    assert b"".join(chunk.payload for chunk in found if chunk.letters == "DATA") == b"".join((own.data, *own.parts))
    head = found[0].payload
    assert (head.major, head.minor, container.unpack_map(head.map, "HEAD")) == (spec.MAJOR, data[17], own.head)
    others = [container.Chunk(chunk.letters.encode(), chunk.payload) for chunk in found if chunk.letters[0].islower()]
    assert tuple(others) == own.ancillary


@pytest.mark.parametrize("name", VALID)
def test_payloads_of_tensors_are_those_of_the_readers(name: str) -> None:
    for own in parts(container.load(VALID[name].read_bytes())):
        check_payloads(own)


def parts(own: container.Container) -> list[container.Container]:
    """The file, or its tiles, each as one."""
    tiles = tiles_of(own)
    return [own] if tiles is None else [tiles.part(number) for number in range(tiles.count)]


def check_payloads(own: container.Container) -> None:
    assert compared.COMPARED.keys() < minidecoder.TABLES.keys()
    tensors, at, known = minidecoder.read_net(own.head)["tensors"], 0, 0
    for i, (codec, length) in enumerate(own.head["tens"]):
        part, kind = own.data[at : at + length], KSY["enums"]["codec"][codec]
        at += length
        _, shape, axis = tensors[i] if i < len(tensors) else ("", (), -1)
        groups = shape[axis] if axis >= 0 else 1
        if not part:
            continue
        found = parse(KSY, part, kind, **({GROUPED[kind]: groups} if kind in GROUPED else {}))
        known += 1
        if kind in GROUPED:
            assert [code % 256 for code in found.step_codes] == list(part[:groups])
        if kind in STREAMS:
            key, before, each = STREAMS[kind]
            check_stream(vars(found)[key], part[before + each * groups :])
    assert known and at == len(own.data)


TILED = [name for name, path in VALID.items() if path.parent.parent.name == "2"]


@pytest.mark.parametrize("name", TILED)
def test_tiles_are_those_of_the_readers(name: str) -> None:
    data = VALID[name].read_bytes()
    own = container.load(data)
    index = unpack_index(own.tile, own.head)
    [tile] = [chunk.payload for chunk in parse(KSY, data).chunks if chunk.letters == "TILE"]

    def nested(node: Any) -> Any:
        return (node.kind, node.place.value, *map(nested, node.parts)) if node.kind else 0

    def expected(node: Split | int) -> Any:
        return 0 if isinstance(node, int) else (1 + node.axis, node.at, *map(expected, node.parts))

    assert nested(tile.root) == expected(index.tiling.root)
    rest = tile.entries
    for entry in index.entries:
        counts = {"num_tensors": len(entry.tensors), "num_channels": len(entry.scales)}
        size = len(rest) if entry is index.entries[-1] else next(size for size in range(len(rest)) if fits(rest[:size], counts))
        found = parse(KSY, rest[:size], "tile_entry", **counts)
        assert [(tensor.codec, tensor.len_payload.value) for tensor in found.tensors] == list(entry.tensors)
        assert (found.scales, found.offsets) == (list(entry.scales), list(entry.offsets))
        rest = rest[size:]


def fits(part: bytes, counts: dict[str, int]) -> bool:
    try:
        parse(KSY, part, "tile_entry", **counts)
    except Mismatch:
        return False
    return True


@pytest.mark.parametrize("name", ["tree-axis-beyond", "tree-endless", "empty"])
def test_faults_of_a_tree_are_seen(name: str) -> None:
    with pytest.raises(Mismatch):
        parse(KSY, (ROOT / "conformance" / "faulty" / f"tiles-{name}.inr").read_bytes())


def check_stream(stream: Any, part: bytes) -> None:
    own = minidecoder.Stream(part)
    assert (own.states, list(own.words)) == (stream.states, stream.words)
    escapes, at = [], own.end
    while at < len(part):
        value, at = minidecoder.leb128(part, at)
        escapes.append(value)
    assert [escape.value for escape in stream.escapes] == escapes


@pytest.mark.parametrize(
    "name",
    [
        *("container-cut-in-crc", "container-cut-in-head", "container-cut-in-length", "container-cut-in-signature", "container-empty"),
        *("container-head-empty", "container-inrimage", "container-length-beyond", "container-length-largest", "container-major"),
        *("container-signature", "container-signature-text", "container-trailing"),
    ],
)
def test_faults_of_the_structure_are_seen(name: str) -> None:
    with pytest.raises(Mismatch):
        parse(KSY, FAULTY[name].read_bytes())


def test_the_examples_of_the_text() -> None:
    escaped = parse(KSY, bytes.fromhex("0001ddaeaf13445ecc0fddc508"), "stream")
    assert (escaped.states, escaped.words) == ([0x13AFAEDD], [0x5E44]) and [e.value for e in escaped.escapes] == [1996, 139997]
    net = parse(KSY, bytes.fromhex("0009013f000000c801010006 00002e62c30b".replace(" ", "")), "residual")
    assert (net.num_low_bits, net.len_net.value, net.net.num_neurons, net.net.weights.states) == (0, 9, 1, [0x101C8])
    with pytest.raises(Mismatch):
        parse(KSY, b"\x02\x01\x05\0", "raw_int", num_groups=2)
    assert parse(KSY, b"\xff\xff\xff\xff\x0f", "leb128").value == 2**32 - 1
