"""Bytes and containers: round trips, golden bytes, and that damage of any kind is one clear error."""

import copy
import struct
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from inrcodec import spec
from inrcodec.chunks import Chunk
from inrcodec.container import MAX_DEPTH, Container, compress, decompress, dump, get, load, pack_map, unpack_map
from inrcodec.errors import CorruptFile, InrError, LimitExceeded, NotInr, UnsupportedFile
from inrcodec.head import check_head
from inrcodec.limits import Limits

HEAD: dict[str, Any] = {
    "kind": "image",
    "level": 1,
    "req": [],
    "axes": [{"name": "y", "n": 2, "lo": -1.0, "hi": 0.1}, {"name": "x", "n": 3}],
    "out": {"channels": [{"name": "Y", "role": "color", "scale": 0.5, "offset": 0.5}], "bits": 8},
    "net": ["siren.1"],
    "tens": [[spec.RAW_F32, 8]],
}
SMALL = Container(HEAD, bytes(range(8)), (Chunk(b"xMPp", b"<x/>"),))
GOLDEN = bytes.fromhex(
    "89494e520d0a1a0a"  # signature
    "9f000000 48454144 0001"  # HEAD of 159 bytes, version 0.1
    "87"  # a map of 7, keys in the order of their bytes
    "a461786573 92"  # axes
    "84 a26869 cb3fb999999999999a a26c6f cabf800000 a16e 02 a46e616d65 a179"
    "82 a16e 03 a46e616d65 a178"
    "a46b696e64 a5696d616765"  # kind image
    "a56c6576656c 01"  # level
    "a36e6574 91 a7736972656e2e31"  # net
    "a36f7574 82 a462697473 08 a86368616e6e656c73 91"  # out
    "84 a46e616d65 a159 a66f6666736574 ca3f000000 a4726f6c65 a5636f6c6f72 a57363616c65 ca3f000000"
    "a3726571 90"  # req
    "a474656e73 91 92 00 08"  # tens
    "403ff4b3"
    "04000000 784d5070 3c782f3e faf275f9"  # xMPp
    "08000000 44415441 0001020304050607 4f0ae8cb"  # DATA
    "00000000 444f4e45 1f0db826"  # DONE
)


def raw_chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack("<I", len(payload)) + kind + payload + struct.pack("<I", zlib.crc32(kind + payload))


def file_of(*chunks: bytes) -> bytes:
    return spec.SIGNATURE + b"".join(chunks)


def head_chunk(head: Any = None, version: tuple[int, int] = (spec.MAJOR, spec.MINOR)) -> bytes:
    return raw_chunk(b"HEAD", bytes(version) + pack_map(HEAD if head is None else head))


DATA = raw_chunk(b"DATA", SMALL.data)
DONE = raw_chunk(b"DONE", b"")


def with_head(change: Callable[[dict[str, Any]], Any]) -> bytes:
    head = copy.deepcopy(HEAD)
    change(head)
    return file_of(head_chunk(head), DATA, DONE)


def test_a_small_file_byte_by_byte() -> None:
    assert dump(SMALL).hex() == GOLDEN.hex()
    assert load(GOLDEN) == SMALL


names = st.text("abcdefghij", min_size=1, max_size=5)
numbers = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).map(lambda text: unicodedata.normalize("NFC", text))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | numbers | texts | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@st.composite
def containers(draw: st.DrawFn) -> Container:
    codecs = st.sampled_from(sorted(set(spec.CODEC_NAMES) - {spec.MASK, spec.RESIDUAL, spec.TILED}))
    tensors = draw(st.lists(st.tuples(codecs, st.integers(0, 40)).map(list), max_size=4))
    total = sum(length for _, length in tensors)
    lo, width = draw(st.floats(-1e6, 1e6)), draw(st.floats(1e-3, 1e6))
    head = {
        "kind": draw(st.sampled_from([kind for kind in spec.KINDS if kind != "shape"])),
        "level": 1,
        "req": [],
        "axes": [{"name": draw(names), "n": draw(st.integers(1, 1 << 31)), **draw(st.sampled_from([{}, {"lo": lo, "hi": lo + width}]))}],
        "out": {
            "channels": [
                {
                    "name": draw(names),
                    "role": draw(st.sampled_from(spec.ROLES)),
                    "scale": draw(numbers),
                    "offset": 0.0,
                }
            ],
            "bits": draw(st.integers(1, 16)),
        },
        "net": draw(st.lists(plain, max_size=3)),
        "tens": tensors,
        **draw(st.fixed_dictionaries({}, optional={"opt": st.dictionaries(texts, plain, max_size=3)})),
    }
    kinds = st.sampled_from([*spec.ANCILLARY_CHUNKS, b"abCd"])
    ancillary = draw(st.lists(st.builds(Chunk, kinds, st.binary(max_size=30)), max_size=3))
    return Container(head, draw(st.binary(min_size=total, max_size=total)), tuple(ancillary))


@given(containers())
def test_containers_come_back(container: Container) -> None:
    data = dump(container)
    assert load(data) == container
    assert dump(load(data)) == data


@given(st.dictionaries(texts, plain, max_size=4))
def test_maps_come_back_and_have_one_form(value: dict[str, Any]) -> None:
    packed = pack_map(value)
    assert unpack_map(packed, "map") == value
    assert pack_map(dict(reversed(value.items()))) == packed


@pytest.mark.parametrize("end", range(len(dump(SMALL))))
def test_every_truncation_is_seen(end: int) -> None:
    with pytest.raises(CorruptFile):
        load(dump(SMALL)[:end])


def test_every_flipped_bit_is_seen() -> None:
    data = dump(SMALL)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptFile, UnsupportedFile, LimitExceeded)):
            load(bytes(damaged))


def test_every_flipped_bit_of_head_behind_a_right_checksum_is_an_error_or_a_valid_head() -> None:
    payload = bytes([spec.MAJOR, spec.MINOR]) + pack_map(HEAD)
    accepted = 0
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        data = file_of(raw_chunk(b"HEAD", bytes(damaged)), DATA, DONE)
        try:
            head = load(data).head
        except InrError:
            continue
        accepted += 1
        check_head(head)
    assert 0 < accepted < 4 * len(payload)  # names and numbers may differ; structure may not


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_never_another_exception(data: bytes) -> None:
    for whole in (data, spec.SIGNATURE + data, file_of(raw_chunk(b"HEAD", bytes([spec.MAJOR, spec.MINOR]) + data), DATA, DONE)):
        with pytest.raises(InrError):
            load(whole)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", NotInr, "empty"),
        (b"#INRIMAGE-4#{\nXDIM=2\n", NotInr, "this is an Inrimage volume, an older format with the same suffix"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), NotInr, "expected the signature 89 49 4e 52 0d 0a 1a 0a, got 89 50 4e 47"),
        (spec.SIGNATURE[:5], CorruptFile, "byte 5: the file is cut off inside its signature"),
        (spec.SIGNATURE, CorruptFile, "byte 8: expected a DONE chunk at the end"),
        (dump(SMALL) + b"x", CorruptFile, "expected a chunk of at least 12 bytes, 1 are left"),
        (dump(SMALL) + raw_chunk(b"xMPp", b""), CorruptFile, "chunk xMPp at byte .*: expected nothing after DONE"),
        (file_of(head_chunk(), DATA, DONE, DONE), CorruptFile, "expected nothing after DONE"),
        (file_of(DATA, head_chunk(), DONE), CorruptFile, "chunk DATA at byte 8: expected HEAD first and once"),
        (file_of(head_chunk(), head_chunk(), DATA, DONE), CorruptFile, "chunk HEAD at byte .*: expected HEAD first and once"),
        (file_of(head_chunk(), DONE), CorruptFile, "expected a DATA chunk, found none"),
        (file_of(head_chunk(), DONE, DATA), CorruptFile, "expected nothing after DONE"),
        (
            file_of(head_chunk(), raw_chunk(b"DATA", b"1234"), raw_chunk(b"xMPp", b""), raw_chunk(b"DATA", b"5678"), DONE),
            CorruptFile,
            "side",
        ),
        (file_of(head_chunk(), DATA, raw_chunk(b"DONE", b"x")), CorruptFile, "expected an empty DONE, got 1 bytes"),
        (file_of(head_chunk(), raw_chunk(b"ABCD", b""), DATA, DONE), UnsupportedFile, "chunk ABCD at byte .*: unknown critical chunk"),
        (file_of(head_chunk(), raw_chunk(b"AB1D", b""), DATA, DONE), CorruptFile, "four letters of a chunk type, got 41 42 31 44"),
        (file_of(head_chunk(), raw_chunk(b"abcd", b""), DATA, DONE), CorruptFile, "four letters of a chunk type, got 61 62 63 64"),
        (file_of(head_chunk(), DATA[:-1] + b"\0", DONE), CorruptFile, "chunk DATA at byte .*: CRC-32: expected"),
        (file_of(head_chunk(), b"\xff\xff\xff\xff" + DATA[4:], DONE), CorruptFile, "expected 4294967295 bytes of payload, 20 are left"),
        (file_of(head_chunk(), raw_chunk(b"DATA", b"1234567"), DONE), CorruptFile, "lengths sum to 8 bytes, DATA has 7"),
        (file_of(head_chunk(version=(9, 0)), DATA, DONE), UnsupportedFile, r"format version 9\.0: this decoder knows major version 0"),
        (file_of(raw_chunk(b"HEAD", b"\0"), DATA, DONE), CorruptFile, "expected a version and a map, got 1 bytes"),
    ],
)
def test_faults_of_the_chunks(data: bytes, error: type[InrError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        load(data)
    assert "\n" not in str(caught.value)


def set_at(*path: Any) -> Callable[[dict[str, Any]], None]:
    """A change of HEAD: path..., value."""

    def change(head: dict[str, Any]) -> None:
        place: Any = head
        for step in path[:-2]:
            place = place[step]
        place[path[-2]] = path[-1]

    return change


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (set_at("extra", 1), CorruptFile, "HEAD: unknown key 'extra'"),
        (set_at("axes", 0, "unit", "mm"), CorruptFile, r"HEAD.axes\[0\]: unknown key 'unit'"),
        (lambda h: h.pop("net"), CorruptFile, "HEAD: key 'net' is missing"),
        (lambda h: h["out"].pop("bits"), CorruptFile, "HEAD.out: key 'bits' is missing"),
        (set_at("level", True), CorruptFile, "HEAD.level: expected int, got bool"),
        (set_at("level", 3), UnsupportedFile, "HEAD.level: expected one of 1, 2, got 3"),
        (set_at("level", 2), CorruptFile, "HEAD.level: expected 1 without HEAD.tiles, got 2"),
        (set_at("kind", "scent"), InrError, "HEAD.kind: expected one of image, .*'scent'"),
        (set_at("req", ["tiles.1", "zz"]), UnsupportedFile, "unknown features: tiles.1, zz"),
        (set_at("req", ["zz", "tiles.1"]), CorruptFile, "sorted list of distinct"),
        (set_at("req", ["zz", "zz"]), CorruptFile, "sorted list of distinct"),
        (set_at("req", [["zz"]]), CorruptFile, "sorted list of distinct"),
        (set_at("net", {}), CorruptFile, "HEAD.net: expected list, got dict"),
        (set_at("axes", []), CorruptFile, r"HEAD.axes: expected a list of 1\.\.4 entries, got 0"),
        (set_at("axes", 0, 7), CorruptFile, r"HEAD.axes\[0\]: expected a map, got int"),
        (set_at("axes", 0, "n", 0), CorruptFile, r"HEAD.axes\[0\].n: expected 1"),
        (set_at("axes", 0, "n", 2.0), CorruptFile, "expected int, got float"),
        (set_at("axes", 0, "lo", 1), CorruptFile, "expected float, got int"),
        (set_at("axes", 0, "lo", 1.0), CorruptFile, "expected lo < hi, got 1.0 and 0.1"),
        (set_at("axes", 1, "lo", 1.0), CorruptFile, "expected lo < hi, got 1.0 and 1.0"),
        (set_at("out", "bits", 17), CorruptFile, r"HEAD.out.bits: expected 1\.\.16, got 17"),
        (set_at("out", "channels", []), CorruptFile, "HEAD.out.channels"),
        (set_at("out", "channels", 0, "role", "taste"), CorruptFile, "role: expected one of color"),
        (set_at("out", "channels", 0, "role", "valid"), CorruptFile, "role: expected one of color"),
        (set_at("out", "valid", True), CorruptFile, "HEAD.out.valid: expected a floating HEAD.out.dtype"),
        (lambda h: h["out"].update(valid=True, dtype="int16"), CorruptFile, "HEAD.out.valid: expected a floating HEAD.out.dtype"),
        (lambda h: h["out"].update(valid=False, dtype="float32"), CorruptFile, "HEAD.out.valid: expected True, got False"),
        (lambda h: h["out"].update(valid=True, dtype="float32"), CorruptFile, r"expected the last one of codec mask, got numbers \[\]"),
        (set_at("tens", 0, 0, spec.MASK), CorruptFile, r"expected none of codec mask, got numbers \[0\]"),
        (set_at("color", {"icc": 1}), CorruptFile, "HEAD.color.icc: expected bool, got int"),
        (set_at("color", {"icc": True}), CorruptFile, "expected an iCCP chunk, found none"),
        (set_at("tens", 0, 7), CorruptFile, r"HEAD.tens\[0\]: expected list, got int"),
        (set_at("tens", 0, [0]), CorruptFile, "expected a list of 2 entries"),
        (set_at("tens", 0, 0, True), CorruptFile, r"HEAD.tens\[0\].codec: expected int, got bool"),
        (set_at("tens", 0, 0, 99), UnsupportedFile, r"HEAD.tens\[0\].codec"),
        (set_at("tens", 0, 1, -1), CorruptFile, r"HEAD.tens\[0\].length: expected at least 0, got -1"),
        (set_at("tens", 0, 1, 1 << 60), CorruptFile, "lengths sum to 1152921504606846976 bytes, DATA has 8"),
    ],
)
def test_faults_of_head(change: Callable[[dict[str, Any]], Any], error: type[InrError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        load(with_head(change))
    assert "\n" not in str(caught.value)


def test_what_readers_must_accept() -> None:
    assert load(with_head(set_at("opt", {"anything": [1, {"deep": None}]}))).head["opt"]["anything"][0] == 1
    later = file_of(head_chunk(version=(spec.MAJOR, 255)), DATA, DONE)
    assert load(later).head == HEAD
    split = file_of(head_chunk(), *(raw_chunk(b"DATA", bytes([i])) for i in range(8)), raw_chunk(b"zzZz", b"?"), DONE)
    assert load(split) == Container(HEAD, SMALL.data, (Chunk(b"zzZz", b"?"),))
    empty = {**HEAD, "tens": []}
    assert load(dump(Container(empty, b""))) == Container(empty, b"")


def test_limits_are_kept_and_can_be_raised() -> None:
    data = dump(SMALL)
    two = dump(Container({**HEAD, "tens": [[0, 4]] * 2}, bytes(8)))
    for given_limits, whole in (
        (Limits(head_bytes=50), data),
        (Limits(chunks=3), data),
        (Limits(ancillary_bytes=3), data),
        (Limits(tensors=1), two),
    ):
        with pytest.raises(LimitExceeded, match="expected at most"):
            load(whole, given_limits)
    assert load(data, Limits(chunks=4, ancillary_bytes=4, tensors=1)) == SMALL


@pytest.mark.parametrize(
    "packed",
    [
        bytes.fromhex("82a16101a16101"),  # the key a twice
        bytes.fromhex("82a16201a16101"),  # b before a
        bytes.fromhex("81a161cc01"),  # 1 as uint8
        bytes.fromhex("81a161d101ff"),  # 511 as int16
        bytes.fromhex("81a161cb3ff0000000000000"),  # 1.0 as float64
        bytes.fromhex("81a161ca7f800000"),  # infinity
        bytes.fromhex("81a161cb7ff8000000000000"),  # NaN
        bytes.fromhex("81a161cb7ff0000000000000"),  # infinity
        bytes.fromhex("81d9016101"),  # a short string in a long form
        bytes.fromhex("81a161d60000000000"),  # a timestamp-like extension
        bytes.fromhex("81a161d6ff00000000"),  # a timestamp
        bytes.fromhex("81a161c70001"),  # an empty extension
        bytes.fromhex("810101"),  # an integer key
        bytes.fromhex("81c4016101"),  # a binary key
        bytes.fromhex("81a1ff01"),  # not UTF-8
        bytes.fromhex("81a365cc8101"),  # e and a combining acute accent: not NFC
        bytes.fromhex("81a16101ff"),  # a byte behind the map
        bytes.fromhex("81a161"),  # cut off
        bytes.fromhex("9101"),  # a list
        bytes.fromhex("c1"),  # never used
        bytes.fromhex("df7fffffff"),  # two thousand million entries
        bytes.fromhex("81a161dd7fffffff"),
        bytes.fromhex("81a161c67fffffff"),
        b"",
        b"\x81\xa1a" + b"\x91" * (MAX_DEPTH + 1) + b"\x01",
        b"\x81\xa1a" + b"\x91" * 100_000 + b"\x01",
    ],
)
def test_maps_that_are_not_canonical_are_corrupt(packed: bytes) -> None:
    with pytest.raises(CorruptFile, match=r"^HEAD: "):
        unpack_map(packed, "HEAD")


@pytest.mark.parametrize("value", [{1: 2}, {"a": float("nan")}, {"a": float("inf")}, {"a": {1}}])
def test_values_a_map_cannot_hold(value: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        pack_map(value)


def test_a_map_nested_too_deeply_is_refused_by_the_writer() -> None:
    value: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        value = {"a": value}
    with pytest.raises(ValueError, match="nested"):
        pack_map(value)


def test_get_finds_the_first_of_a_type() -> None:
    container = Container(HEAD, b"", (Chunk(b"mETa", b"1"), Chunk(b"mETa", b"2")))
    assert get(container, b"mETa") == b"1"
    assert get(container, spec.ICC) is None


@given(st.binary(max_size=2000))
def test_zstd_comes_back(payload: bytes) -> None:
    assert decompress(compress(payload), len(payload)) == payload


def test_zstd_bombs_and_damage() -> None:
    frame = compress(bytes(1 << 20))
    assert len(frame) < 200
    with pytest.raises(LimitExceeded, match="expected at most 1048575 bytes of content, it states 1048576"):
        decompress(frame, (1 << 20) - 1)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"abc" * 10)
    for damaged in (b"", b"abcd", frame[:-1], frame + b"x", frame + frame, unsized):
        with pytest.raises(CorruptFile, match="zstd frame"):
            decompress(damaged, 1 << 21)


@given(st.binary(max_size=300), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_frame_is_never_another_exception(payload: bytes, place: int, change: int) -> None:
    frame = bytearray(compress(payload))
    frame[place % len(frame)] ^= change
    try:
        content = decompress(bytes(frame), 1000)
    except (CorruptFile, LimitExceeded):
        return
    assert len(content) <= 1000


def test_the_format_text_has_the_numbers_of_the_specification() -> None:
    text = (Path(__file__).resolve().parents[1] / "formats" / "inr-1.0.md").read_text(encoding="utf-8")
    assert " ".join(map(str, spec.STEP_MANTISSAS)) in text
    assert all(f"`{chunk.decode()}`" in text for chunk in spec.CRITICAL_CHUNKS + spec.ANCILLARY_CHUNKS)
