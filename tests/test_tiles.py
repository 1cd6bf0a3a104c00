"""Tiles: weights that sum to 1, values and derivatives of the whole, bytes read only where a tile is needed, and faults."""

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import inrcodec
from inrcodec import spec
from inrcodec.backends.numpy import NumpyOps
from inrcodec.chunks import Whole
from inrcodec.codec import params_digest, verify
from inrcodec.container import Container, dump, load, load_ranges
from inrcodec.coordinates import Lattice, Points
from inrcodec.decoder import Inr
from inrcodec.errors import CorruptFile, InrError, LimitExceeded, UnsupportedFile, UsageError
from inrcodec.limits import Limits
from inrcodec.networks import NETWORKS
from inrcodec.networks.base import Network
from inrcodec.networks.siren import SirenConfig
from inrcodec.tile_assembly import tiled
from inrcodec.tile_index import pack_index, unpack_index
from inrcodec.tiling import Split, Tiling, blended, tiling
from inrcodec.weights import network_list, pack
from tests.nets import lively_params, small_sasnet
from tools import small_tiles

# 20 x 30 samples: a tile above, and below it three of different sizes.
ROOT = Split(0, 8, (0, Split(1, 11, (1, Split(0, 14, (2, 3))))))
SHAPE, OVERLAP = (20, 30), (4, 6)
BOXES = (((0, 8), (0, 30)), ((8, 20), (0, 11)), ((8, 14), (11, 30)), ((14, 20), (11, 30)))
SIREN = (NETWORKS["siren.1"], SirenConfig(2, 3, 8, 1, 12.0, 12.0))
SASNET = (NETWORKS["sasnet.2"], small_sasnet(2, 3))


def head_of(network: Network, config: Any, shape: Sequence[int], scale: float = 1.0, offset: float = 0.0) -> dict[str, Any]:
    channels = [{"name": name, "role": "color", "scale": scale, "offset": offset} for name in "RGB"]
    return {
        "kind": "image",
        "level": 1,
        "req": [],
        "axes": [{"name": name, "n": n} for name, n in zip("yx", shape, strict=True)],
        "out": {"channels": channels, "bits": 8},
        "net": network_list(network, config),
    }


def tile_file(network: Network, config: Any, number: int) -> Container:
    params = lively_params(network, config, seed=number)
    frozen = lively_params(network, config, seed=0)
    values = {p.name: (params if p.trainable else frozen)[p.name] for p in network.params(config)}
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 2.0**-9, np.float32) for p in network.params(config) if p.trainable}
    tensors, data = pack(network, config, values, steps)
    head = head_of(network, config, [b - a for a, b in BOXES[number]], 0.25 + number / 16, 0.5)
    return Container({**head, "tens": tensors}, data)


def tiled_file(network: Network, config: Any) -> Container:
    files = [tile_file(network, config, number) for number in range(4)]
    return tiled(head_of(network, config, SHAPE), ROOT, OVERLAP, files.__getitem__, 4, ())


@lru_cache(maxsize=1)
def small_file() -> Container:
    return tiled_file(*SIREN)


def plain_weight(q: float, a: int, b: int, n: int, v: int) -> float:
    def r(t: float) -> float:
        t = min(max(t, 0.0), 1.0)
        return t * t * (3 - 2 * t)

    return (r((q - a) / v + 0.5) if a else 1.0) - (r((q - b) / v + 0.5) if b < n else 0.0)


@st.composite
def trees(draw: st.DrawFn, shape: Sequence[int], overlap: Sequence[int]) -> Split | int:
    """Splits that leave every tile as wide as the overlap; tiles are numbered depth first."""
    count = 0

    def node(box: Sequence[tuple[int, int]], depth: int) -> Split | int:
        nonlocal count
        can = [axis for axis, ((a, b), v) in enumerate(zip(box, overlap, strict=True)) if b - a >= 2 * v]
        if depth == 0 or not can or not draw(st.booleans()):
            count += 1
            return count - 1
        axis = draw(st.sampled_from(can))
        a, b = box[axis]
        at = draw(st.integers(a + overlap[axis], b - overlap[axis]))
        first, second = ([cut if k == axis else edge for k, edge in enumerate(box)] for cut in ((a, at), (at, b)))
        return Split(axis, at, (node(first, depth - 1), node(second, depth - 1)))

    return node([(0, n) for n in shape], 4)


@given(trees(SHAPE, OVERLAP), st.lists(st.tuples(st.floats(-1.3, 1.3), st.floats(-1.3, 1.3)), min_size=1, max_size=20))
def test_weights_sum_to_one_and_few_tiles_meet(root: Split | int, points: list[tuple[float, float]]) -> None:
    tiles = tiling(SHAPE, [(-1, 1)] * 2, OVERLAP, root)
    q = np.stack([tiles.position(x, axis) for axis, x in enumerate(np.array(points).T)], axis=1)
    total, met = np.zeros(len(q)), np.zeros(len(q), dtype=int)
    seen = []
    for tile, chosen in tiles.of_points(q):
        weight = tiles.weight(q[chosen, 0], tile, 0) * tiles.weight(q[chosen, 1], tile, 1)
        box = tiles.boxes[tile]
        expected = [math.prod(plain_weight(q[i, axis], *box[axis], SHAPE[axis], OVERLAP[axis]) for axis in range(2)) for i in chosen]
        np.testing.assert_allclose(weight, expected, atol=1e-12)
        total[chosen] += weight
        met[chosen] += 1
        seen.append(tile)
    np.testing.assert_allclose(total, 1, atol=1e-12)
    assert met.max() <= 4 and seen == sorted(seen)


@given(trees(SHAPE, OVERLAP))
def test_an_index_comes_back(root: Split | int) -> None:
    boxes = tiling(SHAPE, [(-1, 1)] * 2, OVERLAP, root).boxes
    assert sum(math.prod(b - a for a, b in box) for box in boxes) == math.prod(SHAPE)
    container = small_file()
    entries = unpack_index(container.tile, container.head).entries
    some = tuple(entries[k % 4] for k in range(len(boxes)))
    payload = pack_index(root, some)
    found = unpack_index(payload, container.head)
    assert found.tiling.root == root and found.tiling.boxes == boxes and found.entries == some
    assert pack_index(found.tiling.root, found.entries) == payload


def by_hand(container: Container, points: np.ndarray) -> np.ndarray:
    """Values by the formulas of the text, sample by sample, of networks that are evaluated one by one."""
    tiles = inrcodec.decoder.Function(container, Limits()).tiles
    assert tiles is not None
    result = np.zeros((len(points), 3))
    for i, x in enumerate(points):
        q = [n * (xa + 1) / 2 for n, xa in zip(SHAPE, x, strict=True)]
        for number, box in enumerate(BOXES):
            weight = math.prod(plain_weight(q[k], *box[k], SHAPE[k], OVERLAP[k]) for k in range(2))
            local = [[(q[k] - sum(box[k]) / 2) * 2 / (box[k][1] - box[k][0] + OVERLAP[k]) for k in range(2)]]
            y = tiles.network.forward(NumpyOps(), tiles.config, tiles.params(number), Points(np.array(local)))
            result[i] += weight * ((0.25 + number / 16) * np.asarray(y)[0].astype(np.float64) + 0.5)
    return result


@pytest.mark.parametrize("net", [SIREN, SASNET], ids=["siren", "sasnet"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "onnx"])
def test_values_are_those_of_the_formulas(net: tuple[Network, Any], backend: str) -> None:
    container = tiled_file(*net)
    inr = inrcodec.open(dump(container), backend=backend)
    points = np.random.default_rng(1).uniform(-1.05, 1.05, (60, 2))
    expected = by_hand(container, points)
    np.testing.assert_allclose(inr.at(points), expected, atol=2e-5)
    np.testing.assert_array_equal(inr.at(points[:0]), np.zeros((0, 3)))
    axes = np.linspace(-1, 1, 23), np.linspace(1, -1, 17)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(inr.on(*axes).reshape(-1, 3), inr.at(grid), atol=2e-5)


def test_a_region_is_the_crop() -> None:
    inr = inrcodec.open(dump(tiled_file(*SASNET)), backend="torch")
    whole = inr.decode(scale=13)
    np.testing.assert_array_equal(inr.decode(scale=13, region=((5, 12), (3.5, 29))), whole[65:156, 46:377])
    np.testing.assert_array_equal(inr[3:9, ::2], inr.decode()[3:9, ::2])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_derivatives_are_those_of_differences(backend: str) -> None:
    inr = inrcodec.open(dump(tiled_file(*SIREN)), backend=backend)
    points = np.random.default_rng(2).uniform(-0.99, 0.99, (40, 2))
    points[:8, 0] = -0.2 + np.linspace(-0.1, 0.1, 8)  # across the first split
    found, step = inr.gradient(points), 2e-3
    for axis in range(2):
        move = np.eye(2)[axis] * step
        difference = (inr.at(points + move).astype(np.float64) - inr.at(points - move)) / (2 * step)
        np.testing.assert_allclose(found[:, :, axis], difference, atol=0.02 * np.abs(difference).max())


def test_masks_are_blended() -> None:
    inr = inrcodec.open(dump(tiled_file(*SASNET)))
    masks = inr.modulation()
    assert masks is not None and masks.shape == (20, 30, SASNET[1].masks)
    assert ((masks >= 0) & (masks <= 1)).all()
    alone = inrcodec.open(dump(tile_file(*SASNET, 1))).modulation(np.array([0.0]), np.array([-0.8]))
    assert alone is not None
    box, v = BOXES[1], OVERLAP
    place = [np.array([(sum(box[k]) / 2 + x * (box[k][1] - box[k][0] + v[k]) / 2) / SHAPE[k] * 2 - 1]) for k, x in enumerate((0.0, -0.8))]
    there = inr.modulation(*place)
    assert there is not None
    np.testing.assert_allclose(there, alone, atol=1e-5)


@dataclass
class Watched:
    """Bytes, and which were read."""

    data: bytes
    taken: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, start: int, stop: int) -> bytes:
        self.taken.append((start, min(stop, self.size)))
        return self.data[start:stop]


def test_only_tiles_that_are_needed_are_read(tmp_path: Path) -> None:
    container = tiled_file(*SASNET)
    ranges = Watched(dump(container))
    inr = Inr(load_ranges(ranges), ranges.size)
    head = sum(b - a for a, b in ranges.taken)
    assert head < 0.25 * ranges.size
    ranges.taken.clear()
    part = inr.decode(region=((0, 6), (0, 30)))
    assert sum(b - a for a, b in ranges.taken) == len(container.parts[0]) + spec.CHUNK_BYTES
    path = tmp_path / "tiled.inr"
    path.write_bytes(ranges.data)
    opened = inrcodec.open(path)
    np.testing.assert_array_equal(opened.decode(region=((0, 6), (0, 30))), part)
    again = pickle.loads(pickle.dumps(opened))
    np.testing.assert_array_equal(again.decode(), opened.decode())


def test_an_index_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[bytes]()

    def counted(payload: bytes, head: Any, limits: Limits) -> Any:
        read.append(payload)
        return unpack_index(payload, head, limits)

    monkeypatch.setattr("inrcodec.container.unpack_index", counted)
    inr = inrcodec.open(dump(small_file()))
    inr.decode()
    assert inr.info["tiles"]["count"] == inr.function.tiles.count
    assert len(read) == 1
    # Of other bytes it is another index.
    split = pack_index(Split(0, 6, (0, 1)), unpack_index(inr.container.tile, inr.head).entries[:2])
    assert len(replace(inr.container, tile=split).index().entries) == 2


def test_a_tiled_file_comes_back_and_shares_what_is_alike() -> None:
    container = tiled_file(*SASNET)
    data = dump(container)
    found = load(data)
    assert dump(found) == data and found == load(dump(found))
    shared = [codec for codec, _ in found.head["tens"] if codec != spec.TILED]
    assert shared == [spec.LATTICE, spec.RAW_F32] or shared[0] == spec.LATTICE
    inr = inrcodec.open(data)
    checks = verify(inr)
    assert checks["parameters_sha256"] == params_digest(inr) and inr.info["tiles"]["count"] == 4
    assert inr.info["parameters"] == 4 * inrcodec.open(dump(tile_file(*SASNET, 0))).info["parameters"]


def changed(container: Container, **head: Any) -> bytes:
    return dump(replace(container, head={key: value for key, value in {**container.head, **head}.items() if value is not None}))


def test_faults_are_told() -> None:
    container = tiled_file(*SIREN)
    data = dump(container)
    bad: list[tuple[bytes, type[InrError], str]] = [
        (changed(container, level=1), CorruptFile, "HEAD.level: expected 2"),
        (changed(container, req=[]), CorruptFile, "HEAD.req: expected 'tiles'"),
        (changed(container, tiles=None), CorruptFile, "HEAD.level"),
        (changed(container, tiles={"overlap": [4]}), CorruptFile, "HEAD.tiles.overlap: expected an even integer for each of 2 axes"),
        (changed(container, tiles={"overlap": [4, 5]}), CorruptFile, "HEAD.tiles.overlap"),
        (changed(container, tiles={"overlap": [10, 6]}), CorruptFile, "TILE: tile 0: axis 0: expected at least the 10 samples"),
        (dump(replace(container, tile=b"")), CorruptFile, "expected a TILE chunk"),
        (dump(replace(container, tile=container.tile + b"\0")), CorruptFile, "TILE: expected"),
        (dump(replace(container, tile=container.tile[:-1])), CorruptFile, "it is cut off"),
        (dump(replace(container, tile=b"\1\x08\0\3")), CorruptFile, "TILE: byte 3: expected 0 or an axis from 1 to 2, got 3"),
        (dump(replace(container, tile=b"\1\x19\0\0")), CorruptFile, "TILE: a split of axis 0 at 25: expected one within 0 .. 20"),
        (dump(replace(container, tile=b"\1\1" * 70)), CorruptFile, "at most 64 splits"),
        (dump(replace(container, parts=container.parts[:3])), CorruptFile, "DATA"),
        (dump(replace(container, parts=(*container.parts, b"more"))), CorruptFile, "expected the DATA chunks side by side"),
        (data[:-30], CorruptFile, "cut off"),
    ]
    codec = bytearray(container.tile)
    codec[container.tile.index(bytes([spec.RANS]))] = 99
    bad.append((dump(replace(container, tile=bytes(codec))), UnsupportedFile, "TILE: tile 0: unknown codec 99"))
    for content, error, message in bad:
        with pytest.raises(error, match=message.replace("(", r"\(")):
            inrcodec.open(content).decode()
    with pytest.raises(LimitExceeded, match="at most 3 tiles"):
        inrcodec.open(data, limits=Limits(tiles=3))


def test_damage_of_a_tile_is_seen_when_it_is_read() -> None:
    container = tiled_file(*SIREN)
    data = bytearray(dump(container))
    data[-40] ^= 1
    with pytest.raises(CorruptFile, match="CRC-32"):
        load(bytes(data))
    inr = Inr(load_ranges(Whole(bytes(data))), len(data))
    inr.decode(region=((0, 2), (0, 5)))
    with pytest.raises(CorruptFile, match="CRC-32"):
        inr.decode()


def test_one_tile_is_the_whole() -> None:
    file = tile_file(*SIREN, 0)
    config = SIREN[1]
    head = head_of(SIREN[0], config, BOXES[0][0][1:] + BOXES[0][1][1:])
    container = tiled(head, 0, (2, 2), lambda _: file, 1, ())
    inr, alone = inrcodec.open(dump(container)), inrcodec.open(dump(file))
    x = np.linspace(-1, 1, 9)
    ours = inr.on(x * 8 / 10, x * 30 / 32)
    tiles: Tiling = inr.function.tiles.tiling  # type: ignore[union-attr]
    np.testing.assert_allclose(tiles.local(tiles.position(x, 0), 0, 0), x * 8 / 10)
    np.testing.assert_allclose(inr.on(x, x), alone.on(x * 8 / 10, x * 30 / 32), atol=2e-6)
    assert ours.shape == (9, 9, 3)


def test_tiles_of_a_constant_are_constant() -> None:
    tiles = tiling(SHAPE, [(-1, 1)] * 2, OVERLAP, ROOT)
    found = blended(tiles, lambda _: lambda coords: np.ones((coords.n, 1), np.float32), Lattice((np.linspace(-1, 1, 60),) * 2))
    np.testing.assert_allclose(found, 1, atol=3e-7)


def test_what_takes_one_network_refuses_tiles() -> None:
    from inrcodec.html import html_page

    data = dump(tiled_file(*SIREN))
    with pytest.raises(UsageError, match="one of tiles"):
        inrcodec.export_onnx(data)
    with pytest.raises(UsageError, match="one of tiles"):
        html_page(data, name="tiled")


def test_what_a_file_says_of_its_tiles() -> None:
    container = tiled_file(*SASNET)
    info = inrcodec.open(dump(container)).info
    tiles = info["tiles"]
    assert tiles["smallest"] == [6, 11] and tiles["largest"] == [12, 30] and tiles["overlap"] == [4, 6]
    assert sum(tensor["bytes"] for tensor in info["tensors"]) == tiles["bytes"]["all"] + len(container.data)
    assert tiles["bytes"]["all"] == sum(map(len, container.parts))


def test_limits_are_those_of_each_tile_with_its_own_bytes() -> None:
    data = small_tiles.files()["tiles-image"]
    assert load(data).head["tens"][3] == [spec.RAW_F32, 32]  # fewer bytes are shared than a tile has parameters
    inrcodec.open(data, limits=Limits(parameters=0, parameters_per_byte=1)).decode()
    with pytest.raises(LimitExceeded, match=r"at most 0 parameters in \d+ bytes"):
        inrcodec.open(data, limits=Limits(parameters=0, parameters_per_byte=0)).decode()
