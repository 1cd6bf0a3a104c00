"""What is decoded over HTTP has the values of the library's decode; what is too much or wrong is refused before any of it."""

import io
import json
import math
import shutil
import struct
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import trimesh
from PIL import Image

import inrcodec
from inrcodec.errors import InputError, LimitExceeded, UsageError
from inrcodec.serve.answers import part_of, same
from inrcodec.serve.pictures import Look, colored, heat, on_white, picture, turned
from inrcodec.serve.planes import Box, Plane, Tone, plane_of, shown_channels
from inrcodec.serve.problems import Refused
from inrcodec.serve.queries import JSON, answer_query, npy_points, type_of
from inrcodec.serve.service import Shown
from inrcodec.serve.settings import Bounds, Settings
from inrcodec.serve.sources import resized
from inrcodec.signals.base import Channel
from tests.pictures import SRGB
from tests.served import Client, served
from tests.test_decoder import file_bytes

VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"
NAMES = (
    "sasnet.2-rgb",
    "sasnet.1-rgba",
    "sasnet.1-grey16",
    "siren.1-rgb",
    "volume-float32",
    "volume-missing",
    "shape-sdf",
    "audio-windows",
)
BOUNDS = Bounds(output_samples=1 << 20, output_side=1 << 11, query_points=100, mesh_resolution=40, body_bytes=1 << 16)


def opened(name: str) -> inrcodec.Inr:
    return inrcodec.open(VALID / name / "input.inr", backend="numpy")


def video_bytes() -> bytes:
    """Three axes, of which the first is time at 10 frames a second; a hand-made network."""
    from inrcodec.container import Container, dump, load
    from inrcodec.networks import NETWORKS
    from inrcodec.weights import network_list, pack
    from tests.nets import lively_params, small_sasnet

    network, config = NETWORKS["sasnet.1"], small_sasnet(3, 3)
    values = {name: value * (6 if name == "out.weight" else 1) for name, value in lively_params(network, config).items()}
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 1e-3, np.float32) for p in network.params(config)}
    entries, data = pack(network, config, values, steps)
    head = dict(load(file_bytes()).head)
    head |= {
        "kind": "video",
        "axes": [{"name": name, "n": n, "lo": -1.0, "hi": 1.0} for name, n in (("t", 5), ("y", 12), ("x", 16))],
        "space": {"spacing": [0.1, 0.0, 0.0], "units": "s"},
        "net": network_list(network, config),
        "tens": entries,
    }
    return dump(Container(head, data))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """With a lossless file beside its source, and a file beside a source of another size."""
    folder = tmp_path_factory.mktemp("decoding")
    own, source = folder / "own.inr", folder / "own.png"
    shutil.copy(VALID / "residual-lossless" / "input.inr", own)
    Image.fromarray(np.load(VALID / "residual-lossless" / "source.npy").reshape(24, 31, 3)).save(source)
    other, wrong = folder / "other.inr", folder / "other.png"
    other.write_bytes(file_bytes((9, 9)))
    Image.new("RGB", (8, 9)).save(wrong)
    with served(Settings(folder=folder, backend="numpy", bounds=BOUNDS), [Shown(own, source), Shown(other, wrong)]) as found:
        yield found


@pytest.fixture(scope="module")
def ids(client: Client) -> dict[str, str]:
    return {name: client.put((VALID / name / "input.inr").read_bytes()) for name in NAMES} | {"video": client.put(video_bytes())}


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def got(client: Client, target: str) -> np.ndarray:
    reply = client.get(target)
    assert reply.status == 200, reply.body
    return pixels(reply.body)


def test_an_image_is_rendered_at_any_size(client: Client, ids: dict[str, str]) -> None:
    inr, base = opened("sasnet.2-rgb"), f"/v1/objects/{ids['sasnet.2-rgb']}/render"
    np.testing.assert_array_equal(got(client, base), inr.decode())
    np.testing.assert_array_equal(got(client, f"{base}?region=3,4,20,10&size=77,50"), inr.crop(((4, 14), (3, 23)), (50, 77)))
    np.testing.assert_array_equal(got(client, f"{base}?region=0,0,30,24&scale=0.5&format=tif"), inr.crop(((0, 24), (0, 30)), (12, 15)))
    assert got(client, f"{base}?quality=gray&format=webp").shape[:2] == (24, 31)
    assert np.abs(got(client, f"{base}?format=jpg").astype(int) - inr.decode()).mean() < 3
    gray = opened("sasnet.1-grey16")
    np.testing.assert_array_equal(got(client, f"/v1/objects/{ids['sasnet.1-grey16']}/render"), gray.decode(bits=8)[..., 0])


def test_alpha_is_kept_and_in_jpeg_stands_on_white(client: Client, ids: dict[str, str]) -> None:
    codes, base = opened("sasnet.1-rgba").decode().astype(float), f"/v1/objects/{ids['sasnet.1-rgba']}/render"
    np.testing.assert_array_equal(got(client, base), codes)
    white = codes[..., :3] * codes[..., 3:] / 255 + 255 - codes[..., 3:]
    assert np.abs(got(client, f"{base}?format=jpg") - white).mean() < 3


def test_a_slice_of_a_volume_is_seen_in_a_window_of_numbers(client: Client, ids: dict[str, str]) -> None:
    inr, base = opened("volume-float32"), f"/v1/objects/{ids['volume-float32']}/render"
    numbers = inr.decode()[..., 0].astype(float)
    low, high = inr.channels[0].low, inr.channels[0].high
    assert np.abs(got(client, f"{base}?axis=1&index=7") - (numbers[:, 7] - low) / (high - low) * 255).max() <= 0.51
    middle = (low + high) / 2
    dark = np.clip((numbers[4] - low) / (middle - low), 0, 1) * 255
    assert np.abs(got(client, f"{base}?high={middle}") - dark).max() <= 0.51
    between = inr.at([[2.5, y, x] for y in range(12) for x in range(24)], units="pixel").reshape(12, 24)
    shown = np.clip((between - low) / (high - low), 0, 1) * 255
    assert np.abs(got(client, f"{base}?index=2.5") - shown).max() <= 0.52


def test_what_is_missing_is_transparent(client: Client, ids: dict[str, str]) -> None:
    inr = opened("volume-missing")
    assert inr.missing is not None and inr.missing[4].any()
    codes = got(client, f"/v1/objects/{ids['volume-missing']}/render?index=4")
    np.testing.assert_array_equal(codes[..., 1] == 0, inr.missing[4])


def test_frames_of_a_video(client: Client, ids: dict[str, str]) -> None:
    inr, name = inrcodec.open(video_bytes(), backend="numpy"), ids["video"]
    whole = inr.decode()
    np.testing.assert_array_equal(got(client, f"/v1/objects/{name}/frames/3.png"), whole[3])
    np.testing.assert_array_equal(got(client, f"/v1/objects/{name}/render?t=0.3"), whole[3])
    np.testing.assert_array_equal(got(client, f"/v1/objects/{name}/render?t=0.5"), whole[4])
    between = inr.at([[1.25, y, x] for y in range(12) for x in range(16)], units="pixel").reshape(12, 16, 3)
    assert np.abs(got(client, f"/v1/objects/{name}/frames/1.25.png") - np.clip(between, 0, 1) * 255).max() <= 0.51
    assert got(client, f"/v1/objects/{name}/frames/1.25.png?size=40,20&region=0,0,8,4").shape == (20, 40, 3)
    assert client.get(f"/v1/objects/{name}/frames/5.png").status == client.get(f"/v1/objects/{name}/frames/x.png").status == 400


def test_masks_are_the_network_s(client: Client, ids: dict[str, str]) -> None:
    inr, base = opened("sasnet.2-rgb"), f"/v1/objects/{ids['sasnet.2-rgb']}/masks"
    masks = inr.modulation(scale=2)
    assert masks is not None
    for k in (0, masks.shape[-1] - 1):
        assert np.abs(got(client, f"{base}/{k}.png?scale=2") - masks[..., k] * 255).max() <= 0.51
    part = got(client, f"{base}/0.png?region=4,6,8,5&size=16,10")
    assert np.abs(part - masks[12:22, 8:24, 0] * 255).max() <= 0.51
    assert client.get(f"{base}/{masks.shape[-1]}.png").status == 404
    assert client.get(f"/v1/objects/{ids['siren.1-rgb']}/masks/0.png").status == 404
    slices = opened("volume-float32").modulation()
    assert slices is not None
    assert np.abs(got(client, f"/v1/objects/{ids['volume-float32']}/masks/1.png?index=3") - slices[3, ..., 1] * 255).max() <= 0.51


def test_sources_and_errors_where_there_are_sources(client: Client, ids: dict[str, str]) -> None:
    source = np.load(VALID / "residual-lossless" / "source.npy").reshape(24, 31, 3)
    shown = {each["name"]: each["id"] for each in client.get("/v1/objects").json["objects"] if each["source"]}
    base = f"/v1/objects/{shown['own.inr']}"
    np.testing.assert_array_equal(got(client, f"{base}/source.png"), source)
    np.testing.assert_array_equal(got(client, f"{base}/source.png?region=5,6,4,3&scale=2"), source[6:9, 5:9].repeat(2, 0).repeat(2, 1))
    halves = np.floor(source[:, :30].reshape(12, 2, 15, 2, 3).mean(axis=(1, 3)) + 0.5)
    np.testing.assert_array_equal(got(client, f"{base}/source.png?region=0,0,30,24&scale=0.5"), halves)
    assert got(client, f"{base}/error.png").max() == 0
    for name in ("source.png", "error.png"):
        assert client.get(f"/v1/objects/{shown['other.inr']}/{name}").status == 404
        assert client.get(f"/v1/objects/{ids['sasnet.2-rgb']}/{name}").status == 404


def test_an_error_is_as_hot_as_it_is_large(tmp_path: Path) -> None:
    (tmp_path / "a.inr").write_bytes(file_bytes((9, 9)))
    decoded = inrcodec.open(tmp_path / "a.inr", backend="numpy").decode()
    apart = np.zeros((9, 9), int)
    apart[2, 3], apart[5, 6] = 20, 60
    Image.fromarray(np.where(decoded > 127, decoded - apart[..., None], decoded + apart[..., None]).astype(np.uint8)).save(
        tmp_path / "a.png"
    )
    with served(Settings(folder=tmp_path / "service", backend="numpy"), [Shown(tmp_path / "a.inr", tmp_path / "a.png")]) as client:
        name = client.get("/v1/objects").json["objects"][0]["id"]
        seen = got(client, f"/v1/objects/{name}/error.png?most=0.5").astype(int)
    np.testing.assert_array_equal(seen, heat(apart / 255 / 0.5))
    assert seen[0, 0].tolist() == [0, 0, 0] and seen[5, 6].tolist() == [255, 105, 0]


POINTS = [[0.0, 0.5], [-1, 1], [0.25, -0.75]]


def test_points_have_the_values_and_derivatives_of_the_library(client: Client, ids: dict[str, str]) -> None:
    inr, target = opened("sasnet.2-rgb"), f"/v1/objects/{ids['sasnet.2-rgb']}/query"
    reply = client.post(target, json.dumps({"coords": POINTS, "gradient": True}).encode(), Content_Type=JSON)
    np.testing.assert_allclose(reply.json["values"], inr.at(POINTS), rtol=1e-6)
    np.testing.assert_allclose(reply.json["gradient"], inr.gradient(POINTS), rtol=1e-6)
    pixel = client.post(target, msgpack.packb({"coords": [[3, 4]], "units": "pixel"}), Content_Type="application/msgpack")
    assert pixel.headers["content-type"] == "application/msgpack"
    np.testing.assert_allclose(msgpack.unpackb(pixel.body)["values"], inr.at([[3, 4]], units="pixel"), rtol=1e-6)
    out = io.BytesIO()
    np.save(out, np.array(POINTS, np.float32))
    array = client.post(f"{target}?gradient=true", out.getvalue(), Content_Type="application/x-npy")
    found = np.load(io.BytesIO(array.body), allow_pickle=False)
    assert found.shape == (3, 9) and array.headers["content-type"] == "application/x-npy"
    np.testing.assert_array_equal(found, np.concatenate([inr.at(POINTS), inr.gradient(POINTS).reshape(3, 6)], axis=1))


def test_a_missing_value_is_null(client: Client, ids: dict[str, str]) -> None:
    inr = opened("volume-missing")
    place = np.argwhere(inr.missing)[0].tolist()
    body = json.dumps({"coords": [place, [0, 0, 0]], "units": "pixel"}).encode()
    values = client.post(f"/v1/objects/{ids['volume-missing']}/query", body).json["values"]
    expected = inr.at([place, [0, 0, 0]], units="pixel")
    assert values[0] == [None] and np.isnan(expected[0, 0])
    assert values[1] == ([None] if np.isnan(expected[1, 0]) else [pytest.approx(expected[1, 0])])


def npy(shape: tuple[int, ...], data: bytes, descr: str = "<f8") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n" + data


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (JSON, b'{"coords": [[0, 0, 0]]}', 400),
        (JSON, b'{"coords": [[0], [0, 0]]}', 400),
        (JSON, b'{"coords": [[0, true]]}', 400),
        (JSON, b'{"coords": [["0", 0]]}', 400),
        (JSON, b'{"coords": [[NaN, 0]]}', 400),
        (JSON, b'{"coords": [[0, 1e999]]}', 400),
        (JSON, b'{"coords": [], "units": "miles"}', 400),
        (JSON, b'{"coords": [[0, 0]], "units": "world"}', 400),
        (JSON, b"[" * 60000, 400),
        (JSON, b"", 400),
        (JSON, b"\xff\xfe", 400),
        (JSON, json.dumps({"coords": [[0, 0]] * 101}).encode(), 413),
        (JSON, b" " * (1 << 17), 413),
        ("application/msgpack", b"\xdd\xff\xff\xff\xff", 400),
        ("application/msgpack", b"\x91" * 60000, 400),
        ("application/msgpack", b"", 400),
        ("application/x-npy", npy((1 << 40, 2), b""), 413),
        ("application/x-npy", npy((1, 1 << 40), b""), 422),
        ("application/x-npy", npy((2, 2), bytes(31)), 422),
        ("application/x-npy", npy((2, 2), bytes(33)), 422),
        ("application/x-npy", npy((1, 2), bytes(16), "|O"), 422),
        ("application/x-npy", npy((1, 2), bytes(32), "<c16"), 422),
        ("application/x-npy", npy((1, 3), bytes(24)), 400),
        ("application/x-npy", npy((1, 2), struct.pack("<dd", math.nan, 0)), 400),
        ("application/x-npy", b"PK\x03\x04", 422),
        ("text/csv", b"0,0", 415),
    ],
)
def test_bodies_that_are_no_points_are_refused(client: Client, ids: dict[str, str], kind: str, body: bytes, status: int) -> None:
    reply = client.post(f"/v1/objects/{ids['sasnet.2-rgb']}/query", body, Content_Type=kind)
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json" and "\n" not in reply.json["detail"]


def test_a_header_is_measured_before_anything_is_read() -> None:
    with pytest.raises(LimitExceeded, match="at most 5"):
        npy_points(npy((6, 2), bytes(96)), 5)
    with pytest.raises(InputError, match="expected 46116860184273879040 bytes of samples, got 8"):
        npy_points(npy((5, 1 << 60), bytes(8)), 5)
    assert npy_points(npy((2,), struct.pack("<dd", 3, 4)), 5).tolist() == [3, 4]
    with pytest.raises(Refused, match="text/html"):
        type_of("text/html; charset=utf-8")
    empty = answer_query(opened("sasnet.2-rgb"), JSON, b'{"coords": []}', units="domain", gradient=False, most=5)
    assert json.loads(empty.body) == {"values": [], "gradient": None}


def test_a_mesh_is_the_library_s(client: Client, ids: dict[str, str]) -> None:
    base = f"/v1/objects/{ids['shape-sdf']}"
    expected = opened("shape-sdf").mesh(resolution=24)
    for form in ("glb", "stl", "ply", "obj", "off"):
        reply = client.get(f"{base}/mesh.{form}?resolution=24")
        assert reply.status == 200 and reply.body == expected.to_bytes(f".{form}")
    mesh = trimesh.load_mesh(io.BytesIO(reply.body), file_type="off")
    assert len(mesh.faces) == len(expected.faces)
    assert client.get(f"{base}/mesh.glb?resolution=41").status == 413
    assert client.get(f"{base}/mesh.fbx").status == 400
    assert client.get(f"/v1/objects/{ids['sasnet.2-rgb']}/mesh.glb").status == 400


def test_sound_is_sent_whole_and_in_parts(client: Client, ids: dict[str, str]) -> None:
    base, inr = f"/v1/objects/{ids['audio-windows']}/audio.wav", opened("audio-windows")
    whole = client.get(base)
    with wave.open(io.BytesIO(whole.body)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8000, 2, 800)
        codes = np.frombuffer(file.readframes(800), "<i2").reshape(800, 2)
    assert np.abs(codes - np.clip(inr.decode() * 32768, -32768, 32767)).max() <= 1
    part = client.get(base, Range="bytes=44-143")
    assert (part.status, part.body) == (206, whole.body[44:144])
    assert part.headers["content-range"] == f"bytes 44-143/{len(whole.body)}" and part.headers["accept-ranges"] == "bytes"
    assert client.get(base, Range="bytes=99999-").status == 416
    assert client.get(base, Range="bytes=0-3", If_Range='"other"').status == 200
    with wave.open(io.BytesIO(client.get(f"{base}?rate=16000&start=0.05&stop=0.075").body)) as file:
        assert (file.getframerate(), file.getnframes()) == (16000, 400)
    assert client.get(f"{base}?rate=2e8").status == 413
    assert client.get(f"{base}?start=5").status == 400
    assert client.get(f"/v1/objects/{ids['sasnet.2-rgb']}/audio.wav").status == 400


@pytest.mark.parametrize(
    ("name", "target", "status"),
    [
        ("sasnet.2-rgb", "render?size=40000,25000", 413),
        ("sasnet.2-rgb", "render?size=2000,2000", 413),
        ("sasnet.2-rgb", "render?scale=1e6", 413),
        ("sasnet.2-rgb", "masks/0.png?size=40000,25000", 413),
        ("sasnet.2-rgb", "render?size=0,5", 400),
        ("sasnet.2-rgb", "render?size=5", 400),
        ("sasnet.2-rgb", "render?size=5,5&scale=2", 400),
        ("sasnet.2-rgb", "render?scale=nan", 400),
        ("sasnet.2-rgb", "render?region=0,0,32,24", 400),
        ("sasnet.2-rgb", "render?region=0,0,0,24", 400),
        ("sasnet.2-rgb", "render?region=-1,0,5,5", 400),
        ("sasnet.2-rgb", "render?format=gif", 400),
        ("sasnet.2-rgb", "render?axis=0", 400),
        ("sasnet.2-rgb", "render?t=0", 400),
        ("sasnet.2-rgb", "render?low=0", 400),
        ("sasnet.2-rgb", "masks/x.png", 400),
        ("volume-float32", "render?axis=3", 400),
        ("volume-float32", "render?index=10", 400),
        ("volume-float32", "render?low=5&high=5", 400),
        ("volume-float32", "render?low=inf", 400),
        ("video", "render?frame=1&t=0.1", 400),
        ("video", "render?t=0.51", 400),
        ("audio-windows", "render", 400),
        ("audio-windows", "masks/0.png", 400),
    ],
)
def test_what_is_wrong_or_too_much_is_told(client: Client, ids: dict[str, str], name: str, target: str, status: int) -> None:
    reply = client.get(f"/v1/objects/{ids[name]}/{target}")
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json" and "\n" not in reply.json["detail"]


def test_too_much_work_is_refused_before_it_is_begun(tmp_path: Path) -> None:
    data = file_bytes((64, 64))
    with served(Settings(folder=tmp_path, backend="numpy", bounds=Bounds(work=1_000_000))) as client:
        name = client.put(data)
        assert client.get(f"/v1/objects/{name}/render?size=8,8&region=0,0,8,8").status == 200
        for target in ("render", "masks/0.png", "render?size=60,60"):
            reply = client.get(f"/v1/objects/{name}/{target}")
            assert reply.status == 413 and "multiply-accumulates" in reply.json["detail"]
        shape = client.put((VALID / "shape-sdf" / "input.inr").read_bytes())
        assert client.get(f"/v1/objects/{shape}/mesh.stl?resolution=200").status == 413


def test_an_answer_is_known_by_its_etag(client: Client, ids: dict[str, str]) -> None:
    base = f"/v1/objects/{ids['sasnet.2-rgb']}/render"
    first, other = client.get(base), client.get(f"{base}?scale=2")
    assert first.headers["etag"] != other.headers["etag"] and "immutable" in first.headers["cache-control"]
    assert first.headers["etag"] == client.get(f"{base}?size=31,24&unknown=1").headers["etag"]
    again = client.get(base, If_None_Match=f'"x", {first.headers["etag"]}')
    assert (again.status, again.body) == (304, b"")
    assert client.get(f"/v1/objects/sha256-{'0' * 64}/render", If_None_Match="*").status == 404


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=95-", (95, 100)),
        ("bytes=-5", (95, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=9-200", (9, 100)),
        ("bytes=9-5", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("", None),
    ],
)
def test_ranges(asked: str, part: tuple[int, int] | None) -> None:
    assert part_of(asked, 100) == part


def test_ranges_that_are_not_there_are_refused() -> None:
    for asked in ("bytes=100-", "bytes=-0", "bytes=200-300"):
        with pytest.raises(Refused) as caught:
            part_of(asked, 100)
        assert caught.value.status == 416
    assert same('W/"a", "b"', '"a"') and same("*", '"a"') and not same('"c"', '"a"')


CODES = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)


def test_pictures_are_mirrored_and_then_turned_clockwise() -> None:
    corner = np.zeros((2, 3, 1), np.uint8)
    corner[0, 0] = 9
    assert turned(corner, mirrored=False, rotation=90)[0, 1] == 9
    assert turned(corner, mirrored=True, rotation=90)[2, 1] == 9
    assert turned(corner, mirrored=False, rotation=270)[2, 0] == 9
    with pytest.raises(UsageError, match="multiple of 90"):
        turned(corner, mirrored=False, rotation=45)


def test_qualities_and_what_lies_behind_alpha() -> None:
    alpha = CODES[..., 3:] / 255
    white = CODES[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(on_white(CODES) - white).max() <= 0.51
    gray, bits = colored(CODES, "gray")
    assert gray.shape == (5, 7, 2) and bits == 8 and (gray[..., 1] == CODES[..., 3]).all()
    bitonal, bits = colored(CODES, "bitonal")
    assert bitonal.shape == (5, 7, 1) and bits == 1
    luma = white @ [0.299, 0.587, 0.114]
    clear = np.abs(luma - 127.5) > 1.5
    assert ((bitonal[..., 0] == 1) == (luma > 127.5))[clear].all()


@pytest.mark.parametrize("form", ["jpg", "png", "webp", "tif"])
def test_the_colour_profile_is_kept_where_the_channels_are(form: str) -> None:
    codes = np.ascontiguousarray(CODES[..., :3])
    assert Image.open(io.BytesIO(picture(codes, Look(format=form), icc=SRGB))).info["icc_profile"] == SRGB
    assert "icc_profile" not in Image.open(io.BytesIO(picture(codes, Look(format=form, quality="gray"), icc=SRGB))).info
    with pytest.raises(UsageError, match="expected one of jpg"):
        picture(codes, Look(format="bmp"))


@pytest.mark.parametrize(
    ("roles", "shown"),
    [("c", [0]), ("ca", [0, 1]), ("ccc", [0, 1, 2]), ("ccca", [0, 1, 2, 3]), ("vv", [0]), ("vvv", [0]), ("ccccc", [0])],
)
def test_channels_that_make_a_picture(roles: str, shown: list[int]) -> None:
    names: dict[str, Any] = {"c": "color", "a": "alpha", "v": "value"}
    assert shown_channels(tuple(Channel(each, names[each]) for each in roles)) == shown


def test_planes_and_sizes() -> None:
    plane = plane_of(opened("volume-float32"), axis=1, index=3.5)
    assert plane == Plane((10, 12, 24), (None, 3.5, None)) and (plane.width, plane.height) == (24, 10)
    assert plane.region(Box(1, 2, 3, 4)) == [(2, 6), (3.5, 4.5), (1, 4)] and Tone() == Tone(None, None)
    assert plane_of(opened("volume-float32")).cuts == (4, None, None)
    values = np.arange(12.0).reshape(3, 4, 1)
    assert resized(values, 2, 3)[..., 0].tolist() == [[0.5, 2.5], [4.5, 6.5], [8.5, 10.5]]
    assert resized(values, 8, 3)[0, :, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_picture_too_large_to_be_averaged_is_seen_whole_all_the_same(tmp_path: Path) -> None:
    file = file_bytes((4000, 6000))
    inr = inrcodec.open(file, backend="numpy")
    work = inr.function.work(4000 * 6000) // 100
    with served(Settings(folder=tmp_path, bounds=Bounds(work=work))) as client:
        name = client.put(file)
        seen = got(client, f"/v1/objects/{name}/render?size=30,20")
        assert got(client, f"/iiif/3/{name}/full/30,20/0/default.png").shape == (20, 30, 3)
        assert got(client, f"/dzi/1/{name}_files/5/0_0.png").shape == (16, 24, 3)
    most = math.isqrt(work // 8 // inr.function.work(600))
    assert 1 < most < 200
    np.testing.assert_array_equal(seen, inr.crop(((0, 4000), (0, 6000)), (20, 30), averaged=most))
    with pytest.raises(LimitExceeded):
        inrcodec.open(file, limits=Bounds(work=work).limits()).decode(size=(20, 30))
