"""Tiles: their geometry, and that put together they are the level decoded at once."""

import io
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import inrcodec
from inrcodec.serve import deepzoom
from inrcodec.serve.deepzoom import Level, deepest, dzi, dzi_level, filled, nominal_zoom, tilejson, xyz_level
from inrcodec.serve.planes import of_grid, plane_of
from inrcodec.serve.problems import Refused
from inrcodec.serve.settings import Settings
from tests.served import Client, served
from tests.test_decoder import file_bytes

sides = st.integers(1, 40_000)
VALID = Path(__file__).resolve().parents[1] / "conformance" / "valid" / "1"


@given(sides, sides, st.integers(1, 16))
def test_levels_double_from_one_sample_to_the_scaled_picture(width: int, height: int, scale: int) -> None:
    last = deepest(scale * width, scale * height)
    assert last == math.ceil(math.log2(scale * max(width, height)))
    levels = [dzi_level(width, height, scale, k) for k in range(last + 1)]
    assert (levels[0].width, levels[0].height) == (1, 1)
    assert (levels[-1].width, levels[-1].height) == (scale * width, scale * height)
    for small, large in pairwise(levels):
        assert (small.width, small.height) == (-(-large.width // 2), -(-large.height // 2))


@given(sides, sides)
def test_the_first_xyz_level_is_one_tile_and_one_level_is_nominal(width: int, height: int) -> None:
    first, nominal = xyz_level(width, height, 0), xyz_level(width, height, nominal_zoom(width, height))
    assert (first.columns, first.rows) == (1, 1) and (nominal.width, nominal.height) == (width, height)
    deeper = xyz_level(width, height, nominal_zoom(width, height) + 2)
    assert (deeper.width, deeper.height) == (4 * width, 4 * height)


@given(st.integers(1, 2000), st.integers(1, 2000), st.sampled_from([256, 512]))
def test_tiles_cover_a_level_once(width: int, height: int, tile: int) -> None:
    level = Level(width, height, tile)
    boxes = [level.box(column, row) for row in range(level.rows) for column in range(level.columns)]
    assert sum(box.w * box.h for box in boxes) == width * height
    assert all(0 < box.w <= tile and 0 < box.h <= tile and box.x % tile == box.y % tile == 0 for box in boxes)
    assert max(box.x + box.w for box in boxes) == width and max(box.y + box.h for box in boxes) == height


def test_what_is_not_there_is_not_found() -> None:
    level = Level(600, 300, 256)
    for column, row in ((3, 0), (0, 2), (-1, 0)):
        with pytest.raises(Refused, match="columns 0 to 2 and rows 0 to 1"):
            level.box(column, row)
    for call in (
        lambda: dzi_level(600, 300, 1, 11),
        lambda: dzi_level(600, 300, 0, 1),
        lambda: dzi(600, 300, 5000, "jpg"),
        lambda: xyz_level(600, 300, 9),
        lambda: xyz_level(600, 300, 10**8),
    ):
        with pytest.raises(Refused) as caught:
            call()
        assert caught.value.status == 404


def test_documents_say_what_tiles_are() -> None:
    root = ElementTree.fromstring(dzi(600, 300, 4, "png"))
    assert root.tag == f"{{{deepzoom.NAMESPACE}}}Image" and root.attrib == {"Format": "png", "Overlap": "1", "TileSize": "512"}
    assert root[0].attrib == {"Width": "2400", "Height": "1200"}
    told = tilejson(600, 300, "http://a/tiles/b", name="c", form="webp")
    assert told["tiles"] == ["http://a/tiles/b/{z}/{x}/{y}.webp"] and (told["minzoom"], told["maxzoom"], told["nominalzoom"]) == (0, 8, 2)


def test_tiles_at_an_edge_are_filled_with_nothing() -> None:
    codes = np.full((3, 2, 3), 7, np.uint8)
    whole = filled(codes, 4)
    assert whole.shape == (4, 4, 4) and (whole[:3, :2] == [7, 7, 7, 255]).all() and whole[3:].max() == whole[:, 2:].max() == 0
    assert filled(np.zeros((4, 4, 1), np.uint8), 4).shape == (4, 4, 1)


@pytest.mark.parametrize("size", [(300, 180), (70, 40), (19, 11)])
def test_tiles_put_together_are_the_level_bit_for_bit(size: tuple[int, int]) -> None:
    """Larger than the picture and smaller, by means."""
    inr = inrcodec.open(file_bytes((40, 70)), backend="numpy")
    plane, level = plane_of(inr), Level(*size, 16 if size[0] < 100 else 128)
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    for row in range(level.rows):
        for column in range(level.columns):
            box = level.box(column, row)
            whole[box.y : box.y + box.h, box.x : box.x + box.w] = of_grid(inr, plane, size, box, work=1 << 40)
    np.testing.assert_array_equal(whole, inr.decode(size=size[::-1]))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served(Settings(folder=tmp_path_factory.mktemp("tiles"), backend="numpy")) as found:
        yield found


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_served_tiles_are_crops_of_what_the_library_decodes(client: Client) -> None:
    data = file_bytes((70, 90))
    name, inr = client.put(data), inrcodec.open(data, backend="numpy")
    whole = inr.decode(scale=8)
    assert whole.shape == (560, 720, 3)
    np.testing.assert_array_equal(pixels(client.get(f"/dzi/8/{name}_files/10/1_1.png").body), whole[511:, 511:])
    np.testing.assert_array_equal(pixels(client.get(f"/dzi/8/{name}_files/10/0_0.png").body), whole[:513, :513])
    np.testing.assert_array_equal(pixels(client.get(f"/dzi/{name}_files/7/0_0.png").body), inr.decode())
    np.testing.assert_array_equal(pixels(client.get(f"/dzi/{name}_files/5/0_0.png").body), inr.decode(size=(18, 23)))
    edge = pixels(client.get(f"/tiles/{name}/3/2/2.png").body)
    assert edge.shape == (256, 256, 4) and edge[48:].max() == 0
    np.testing.assert_array_equal(edge[:48, :208, :3], whole[512:, 512:])
    np.testing.assert_array_equal(pixels(client.get(f"/tiles/{name}/3/1/1.png").body), whole[256:512, 256:512])


def test_served_documents(client: Client) -> None:
    name = client.put((VALID / "sasnet.1-rgba" / "input.inr").read_bytes())
    document = client.get(f"/dzi/4/{name}.dzi")
    assert document.status == 200 and b'Format="png"' in document.body and b'Width="124" Height="96"' in document.body
    assert document.headers["access-control-allow-origin"] == "*" and "immutable" in document.headers["cache-control"]
    assert b'Format="webp"' in client.get(f"/dzi/{name}.dzi?format=webp").body
    told = client.get(f"/tiles/{name}/tilejson.json").json
    assert told["tiles"] == [f"http://127.0.0.1:{client.port}/tiles/{name}/{{z}}/{{x}}/{{y}}.png"]
    assert client("HEAD", f"/dzi/{name}.dzi").status == 200


def test_the_middle_of_a_volume_is_seen_in_tiles(client: Client) -> None:
    path = VALID / "volume-float32" / "input.inr"
    name, inr = client.put(path.read_bytes()), inrcodec.open(path, backend="numpy")
    low, high = inr.channels[0].low, inr.channels[0].high
    expected = (inr.decode()[4].astype(float) - low) / (high - low) * 255
    assert np.abs(pixels(client.get(f"/dzi/{name}_files/5/0_0.png").body) - expected[..., 0]).max() <= 0.51


@pytest.mark.parametrize(
    "place",
    ["0/{}_files/1/0_0.png", "{}_files/x/0_0.png", "{}_files/1/0.png", "{}_files/1/9_9.png", "{}_files/1/0_0.bmp", "9" * 5000 + "/{}.dzi"],
)
def test_other_addresses_are_not_found(client: Client, place: str) -> None:
    name = client.put(file_bytes((70, 90)))
    assert client.get("/dzi/" + place.format(name)).status == 404
    assert client.get(f"/tiles/{name}/0/{'9' * 5000}/0.png").status == 404
