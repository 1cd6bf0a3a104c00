"""The container: round trips, canonical maps, and every way to be damaged."""

import struct
import zlib
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inrcodec import spec
from inrcodec.container import Chunk, Container, check_head, compress, decompress, dump, get, load, pack_map, unpack_map
from inrcodec.errors import CorruptFile, InrError, LimitExceeded, NotInr, UnsupportedFile
from inrcodec.limits import Limits


def head(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kind": "image",
        "level": 1,
        "req": ["codec.raw.1", "net.siren.1"],
        "axes": [{"name": "y", "n": 2, "lo": -1.0, "hi": 1.0}, {"name": "x", "n": 3, "lo": -1.0, "hi": 1.0}],
        "out": {"channels": [{"name": "Y", "role": "color", "scale": 0.5, "offset": 0.5}], "bits": 8},
        "net": {"id": "siren.1"},
        "tens": [["a", [2], spec.RAW_F32, -1, 8]],
    }
    return {**base, **changes}


def small(**changes: Any) -> bytes:
    return dump(Container(head(**changes), b"\0\0\x80?\0\0\0@", (Chunk(b"eXIf", b"II*\0"),)))


def chunk(kind: bytes, payload: bytes) -> bytes:
    body = kind + payload
    return struct.pack("<I", len(payload)) + body + struct.pack("<I", zlib.crc32(body))


HEAD = chunk(b"HEAD", bytes([spec.MAJOR, spec.MINOR]) + pack_map(head()))
DATA = chunk(b"DATA", b"\0\0\x80?\0\0\0@")
DONE = chunk(b"DONE", b"")


def test_round_trip_and_golden_frame() -> None:
    container = load(small())
    assert container.head == head() and container.data == b"\0\0\x80?\0\0\0@"
    assert get(container, spec.EXIF) == b"II*\0" and get(container, spec.ICC) is None
    data = small()
    assert data[:8].hex() == "89494e520d0a1a0a"
    assert data[-12:].hex() == "00000000444f4e45" + struct.pack("<I", zlib.crc32(b"DONE")).hex()
    assert data[12:16] == b"HEAD" and data[16:18] == bytes([0, 1])
    assert dump(load(data)) == data


@given(st.binary(max_size=200), st.lists(st.tuples(st.sampled_from([b"eXIf", b"xMPp", b"zzZz"]), st.binary(max_size=50)), max_size=5))
def test_any_payload_survives(data: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    container = Container(head(tens=[["a", [2], spec.RAW_F32, -1, len(data)]]), data, tuple(Chunk(*item) for item in extra))
    assert load(dump(container)) == container


def test_data_may_be_cut_anywhere() -> None:
    whole = load(spec.SIGNATURE + HEAD + DATA + DONE).data
    parts = chunk(b"DATA", whole[:3]) + chunk(b"DATA", b"") + chunk(b"DATA", whole[3:])
    assert load(spec.SIGNATURE + HEAD + parts + DONE).data == whole


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=9)
    | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), plain, max_size=6))
def test_canonical_maps(value: dict[str, Any]) -> None:
    try:
        packed = pack_map(value)
    except ValueError:
        return
    assert pack_map(unpack_map(packed, "x")) == packed


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "msgpack"),
        (b"\xc0", "expected a msgpack map"),
        (pack_map({"a": 1}) + b"\0", "expected .* bytes"),
        (b"\x82\xa1a\x01\xa1a\x02", "twice"),
        (b"\x82\xa1b\x01\xa1a\x02", "canonical"),
        (b"\x81\xa1a\xcc\x01", "canonical"),
        (b"\x81\xa1a\xca\x00\x00\x00\x00", "canonical"),
        (b"\x81\xa1a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "NaN"),
        (b"\x81\x01\x01", "msgpack"),
        (b"\x81\xa1a\xc7\x01\x05\x00", "msgpack"),
        (b"\xdf\xff\xff\xff\xff", "msgpack"),
        (b"\x81\xa1a" + b"\x91" * 40 + b"\x01", "nested"),
        (msgpack.packb({"e\u0301": 1}), "canonical"),
    ],
)
def test_maps_that_are_not_canonical_are_corrupt(payload: bytes, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        unpack_map(payload, "HEAD")


def test_maps_cannot_hold_everything() -> None:
    for value in ({"a": float("nan")}, {"a": {1, 2}}, {1: 2}):
        with pytest.raises(ValueError):
            pack_map(value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", NotInr, "empty"),
        (b"#INRIMAGE-4#{\n", NotInr, "Inrimage volume"),
        (b"\x89PNG\r\n\x1a\n", NotInr, "signature"),
        (spec.SIGNATURE[:5], CorruptFile, "cut off"),
        (spec.SIGNATURE, CorruptFile, "DONE"),
        (spec.SIGNATURE + HEAD + DATA, CorruptFile, "cut off"),
        (spec.SIGNATURE + HEAD + DONE, CorruptFile, "DATA"),
        (spec.SIGNATURE + DATA + HEAD + DONE, CorruptFile, "HEAD first"),
        (spec.SIGNATURE + HEAD + HEAD + DATA + DONE, CorruptFile, "HEAD first and once"),
        (spec.SIGNATURE + HEAD + DATA + chunk(b"eXIf", b"") + chunk(b"DATA", b"") + DONE, CorruptFile, "side by side"),
        (spec.SIGNATURE + HEAD + DATA + chunk(b"DONE", b"x"), CorruptFile, "empty DONE"),
        (spec.SIGNATURE + HEAD + DATA + DONE + DONE, CorruptFile, "nothing after DONE"),
        (spec.SIGNATURE + HEAD + DATA + DONE + b"x", CorruptFile, "expected a chunk"),
        (spec.SIGNATURE + HEAD + chunk(b"NEWC", b"") + DATA + DONE, UnsupportedFile, "unknown critical chunk"),
        (spec.SIGNATURE + HEAD + chunk(b"ne1C", b"") + DATA + DONE, CorruptFile, "four letters"),
        (spec.SIGNATURE + chunk(b"HEAD", b"\x07\0" + pack_map(head())) + DATA + DONE, UnsupportedFile, r"version 7\.0"),
        (spec.SIGNATURE + struct.pack("<I", 1 << 31) + b"HEAD" + bytes(8), CorruptFile, "left"),
        (spec.SIGNATURE + HEAD + chunk(b"DATA", b"123") + DONE, CorruptFile, "sum to 8 bytes, DATA has 3"),
        (spec.SIGNATURE + HEAD[:-1] + bytes([HEAD[-1] ^ 1]) + DATA + DONE, CorruptFile, "CRC-32"),
    ],
)
def test_each_rule_has_its_error(data: bytes, error: type[InrError], message: str) -> None:
    with pytest.raises(error, match=message):
        load(data)


def test_unknown_ancillary_chunks_are_kept_and_ignored() -> None:
    assert load(spec.SIGNATURE + HEAD + chunk(b"zzZz", b"?") + DATA + DONE).ancillary == (Chunk(b"zzZz", b"?"),)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"kind": "poem"}, UnsupportedFile, "kind"),
        ({"level": 2}, UnsupportedFile, "level"),
        ({"level": True}, CorruptFile, "expected int, got bool"),
        ({"req": ["net.siren.1", "codec.raw.1"]}, CorruptFile, "sorted"),
        ({"req": ["codec.magic.7", "tile.blend.1"]}, UnsupportedFile, r"codec\.magic\.7, tile\.blend\.1"),
        ({"surprise": 1}, CorruptFile, "unknown key 'surprise'"),
        ({"axes": []}, CorruptFile, "axes"),
        ({"axes": [{"name": "y", "n": 0, "lo": -1.0, "hi": 1.0}]}, CorruptFile, "n: expected"),
        ({"axes": [{"name": "y", "n": 1, "lo": 1.0, "hi": 1.0}]}, CorruptFile, "lo < hi"),
        ({"axes": [{"name": "y", "n": 1, "lo": -1, "hi": 1.0}]}, CorruptFile, "expected float"),
        ({"axes": [{"name": "y", "n": 1, "lo": -1.0}]}, CorruptFile, "'hi' is missing"),
        ({"out": {"channels": [], "bits": 8}}, CorruptFile, "channels"),
        ({"out": {"channels": [{"name": "Y", "role": "smell", "scale": 1.0, "offset": 0.0}], "bits": 8}}, CorruptFile, "role"),
        ({"out": {"channels": [{"name": "Y", "role": "color", "scale": 1.0, "offset": 0.0}], "bits": 17}}, CorruptFile, "bits"),
        ({"color": {"icc": True}}, CorruptFile, "iCCP"),
        ({"color": {"hue": 1}}, CorruptFile, "unknown key"),
        ({"tens": [["a", [0], 0, -1, 8]]}, CorruptFile, "positive"),
        ({"tens": [["a", [2], 99, -1, 8]]}, UnsupportedFile, "codec"),
        ({"tens": [["a", [2], 0, 1, 8]]}, CorruptFile, "axis"),
        ({"tens": [["a", [2], 0, -1]]}, CorruptFile, "5 entries"),
        ({"tens": [["a", [1 << 20, 1 << 20], 0, -1, 8]]}, LimitExceeded, "elements"),
        ({"tens": [["a", [2], 0, -1, 8]] * 5000}, CorruptFile, "msgpack"),
    ],
)
def test_each_field_of_head_is_checked(changes: dict[str, Any], error: type[InrError], message: str) -> None:
    with pytest.raises(error, match=message):
        load(small(**changes))


def test_missing_keys() -> None:
    for field in spec.HEAD_FIELDS:
        if field.required:
            broken = head()
            del broken[field.key]
            with pytest.raises(CorruptFile, match=f"'{field.key}' is missing"):
                check_head(broken)


def test_limits() -> None:
    for limits in (Limits(head_bytes=10), Limits(chunks=2), Limits(ancillary_bytes=3), Limits(tensors=0), Limits(elements=1)):
        with pytest.raises(LimitExceeded):
            load(small(), limits)


def test_truncation_at_every_byte() -> None:
    data = small()
    for cut in range(len(data)):
        with pytest.raises((CorruptFile, NotInr)):
            load(data[:cut])


def test_every_flipped_bit_is_an_error_of_ours() -> None:
    data = small()
    for i in range(8 * len(data)):
        broken = bytearray(data)
        broken[i // 8] ^= 1 << (i % 8)
        with pytest.raises(InrError):
            load(bytes(broken))


@given(st.binary(max_size=120))
@settings(max_examples=200)
def test_noise_behind_the_signature_never_crashes(noise: bytes) -> None:
    with pytest.raises(InrError):
        load(spec.SIGNATURE + noise)
    with pytest.raises(InrError):
        load(spec.SIGNATURE + chunk(b"HEAD", bytes([spec.MAJOR, 1]) + noise) + DATA + DONE)


def test_zstd_frames() -> None:
    payload = np.arange(1000).tobytes()
    frame = compress(payload)
    assert decompress(frame, 8000) == payload
    with pytest.raises(LimitExceeded, match="at most 7999"):
        decompress(frame, 7999)
    for broken in (b"", frame[:-3], frame + b"x", b"not zstd at all"):
        with pytest.raises(CorruptFile, match="zstd"):
            decompress(broken, 8000)
