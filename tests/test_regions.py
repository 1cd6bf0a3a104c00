"""Signals read box by box: the same samples as of the whole, of every kind of source, and little memory."""

import dataclasses
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inrcodec.errors import BackendMissing, InputError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.signals import read_signal
from inrcodec.signals.base import Axis, Channel, Content, Signal
from inrcodec.signals.orientation import stored_box, turn_upright
from inrcodec.signals.regions import PictureRegions, Regions, VolumeRegions, WholeRegions, open_regions
from inrcodec.signals.stores import ArrayStore, MappedStore, Rearranged, covering, slices
from inrcodec.signals.tiff_store import TiffStore

tifffile = pytest.importorskip("tifffile")
NONE_READ_WHOLE = Limits(pixels=1, output_samples=1)  # nothing that is read whole passes these


def numbers(dtype: str, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.normal(size=shape) * 100).astype(kind)
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(kind)
    low, high = max(info.min, -(1 << 31)), min(info.max, (1 << 31) - 1)
    return rng.integers(low, high, shape, dtype=np.int64).astype(kind)


def boxes(shape: Sequence[int]) -> st.SearchStrategy[list[tuple[int, int]]]:
    sides = [st.lists(st.integers(0, n), min_size=2, max_size=2, unique=True).map(sorted) for n in shape]
    return st.tuples(*sides).map(lambda found: [(a, b) for a, b in found])


def some_boxes(shape: Sequence[int]) -> list[list[tuple[int, int]]]:
    rng = np.random.default_rng(1)
    drawn = [[sorted(rng.choice(n + 1, 2, replace=False).tolist()) for n in shape] for _ in range(6)]
    whole = [(0, n) for n in shape]
    return [whole, [(n - 1, n) for n in shape], *([(a, b) for a, b in box] for box in drawn)]


def same_as_the_crop(regions: Regions, signal: Signal, box: Sequence[tuple[int, int]]) -> None:
    part, place = regions.read(box), slices(box)
    np.testing.assert_array_equal(part.values, signal.values[place])
    assert part.values.dtype == np.float32 and [axis.n for axis in part.axes] == list(part.values.shape[:-1])
    weights = np.ones_like(part.values) if signal.weights is None else signal.weights[place]
    np.testing.assert_array_equal(np.ones_like(part.values) if part.weights is None else part.weights, weights)
    assert signal.samples is not None and part.samples is not None and part.samples.dtype == signal.samples.dtype.newbyteorder("=")
    np.testing.assert_array_equal(part.samples, signal.samples[place])


def check(source: Any, *, lazy: bool = True, limits: Limits = NONE_READ_WHOLE, **options: Any) -> Regions:
    """Boxes and content of `source` are those of the signal; with `lazy` it is read within `limits`."""
    signal = read_signal(source, **options)
    assert isinstance(signal, Signal)
    regions = open_regions(source, limits=limits if lazy else Limits(), **options)
    for field in dataclasses.fields(Content):
        assert getattr(regions.content, field.name) == getattr(signal, field.name), field.name
    again = pickle.loads(pickle.dumps(regions))
    for box in some_boxes([axis.n for axis in signal.axes]):
        same_as_the_crop(regions, signal, box)
        same_as_the_crop(again, signal, box)
    return regions


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">i2", "<u4", "int64", "uint64", "float16", ">f4", "float64"])
@pytest.mark.parametrize("shape", [(5, 7, 9), (3, 4, 5, 6)])
def test_npy(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    path = tmp_path / "a.npy"
    array = numbers(dtype, shape)
    np.save(path, np.abs(array) if dtype == "uint64" else array)
    check(path)
    np.save(path, np.asfortranarray(array) if dtype != "uint64" else np.asfortranarray(array) >> np.uint64(40))
    regions = check(path)
    assert isinstance(regions, VolumeRegions) and isinstance(regions.store, MappedStore) and regions.store.order == "F"


def test_numbers_that_no_type_holds_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.array([[[0, 1 << 40]]]))
    check(path, lazy=False)
    with pytest.raises(LimitExceeded):
        check(path)
    np.save(path, np.zeros((2, 3, 4), np.longdouble))
    check(path, lazy=False)


def test_constant_volumes_have_a_range(tmp_path: Path) -> None:
    for value in (0, 255):
        np.save(tmp_path / "a.npy", np.full((2, 3, 4), value, np.uint8))
        check(tmp_path / "a.npy")


@settings(max_examples=40)
@given(st.data())
def test_any_box_of_a_volume_is_the_crop(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 9), min_size=3, max_size=4).map(tuple))
    dtype = data.draw(st.sampled_from(["uint8", "int16", ">f4", "float64"]))
    array = numbers(dtype, shape, data.draw(st.integers(0, 9)))
    signal = read_signal(array, kind="volume")
    regions = open_regions(array, kind="volume")
    assert isinstance(signal, Signal) and regions.content.channels == signal.channels and regions.content.digest == signal.digest
    for _ in range(4):
        same_as_the_crop(regions, signal, data.draw(boxes(shape)))


@settings(max_examples=60)
@given(st.data())
def test_covering_boxes_cover_once(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 300), min_size=1, max_size=3))
    chunk = [data.draw(st.integers(1, 2 * n)) for n in shape]
    order = data.draw(st.sampled_from([None, range(len(shape))]))
    count = np.zeros(shape, np.uint8)
    for box in covering(shape, chunk, order):
        count[slices(box)] += 1
    assert (count == 1).all()


def test_covering_boxes_are_bounded_and_in_order() -> None:
    found = list(covering((1000, 1000, 10), (1, 1, 1)))
    assert all(np.prod([b - a for a, b in box]) <= 1 << 20 for box in found) and 8 < len(found) < 40
    assert found == sorted(found)
    assert list(covering((4000, 3), (1, 1), range(2))) == [((0, 4000), (0, 3))]
    assert next(iter(covering((4, 10**9), (1, 1))))[0] == (0, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_turned_pictures(orientation: int) -> None:
    codes = np.arange(35).reshape(5, 7, 1)
    whole = turn_upright(codes, orientation)
    for box in some_boxes(whole.shape[:2]):
        part = codes[slices(stored_box(box, codes.shape, orientation))]
        np.testing.assert_array_equal(turn_upright(part, orientation), whole[slices(box)])


TILED: list[dict[str, Any]] = [
    {},
    {"tile": (16, 32)},
    {"tile": (16, 16), "compression": "zlib", "predictor": True},
    {"rowsperstrip": 7, "compression": "zlib"},
    {"rowsperstrip": 5},
    {"byteorder": ">", "compression": "zlib", "tile": (32, 16)},
    {"bigtiff": True, "tile": (16, 16)},
]


@pytest.mark.parametrize("options", TILED)
@pytest.mark.parametrize(
    ("dtype", "channels", "photometric", "extra"),
    [
        ("uint8", 1, "minisblack", None),
        ("uint8", 1, "miniswhite", None),
        ("uint16", 1, "minisblack", None),
        ("uint16", 1, "miniswhite", None),
        ("uint8", 3, "rgb", None),
        ("uint16", 3, "rgb", None),
        ("uint8", 4, "rgb", "unassalpha"),
        ("uint16", 4, "rgb", "unassalpha"),
        ("uint8", 2, "minisblack", "unassalpha"),
    ],
)
def test_tiff_pictures(tmp_path: Path, options: dict[str, Any], dtype: str, channels: int, photometric: str, extra: str | None) -> None:
    path = tmp_path / "a.tif"
    codes = numbers(dtype, (45, 61, channels))
    if extra:
        codes[3:20, 5:40, -1] = 0
        codes[30:, 50:, -1] = np.iinfo(dtype).max
    array = codes[:, :, 0] if channels == 1 else codes
    if (photometric, dtype) == ("miniswhite", "uint16"):
        options = {**options, "byteorder": "<"}  # Pillow knows no other
    tifffile.imwrite(path, array, photometric=photometric, extrasamples=[extra] if extra else None, **options)
    regions = check(path)
    assert isinstance(regions, PictureRegions) and isinstance(
        regions.store, MappedStore if {"tile", "compression"}.isdisjoint(options) else TiffStore
    )
    if extra:
        assert regions.read([(3, 20), (5, 40)]).weights is not None and regions.read([(30, 45), (50, 61)]).weights is None


@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_turned_tiff_pictures(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "a.tif"
    tags = [(274, "H", 1, orientation, True), (271, "s", 0, "maker", True)]
    tifffile.imwrite(path, numbers("uint8", (33, 20, 3)), photometric="rgb", tile=(16, 16), extratags=tags)
    assert check(path).content.metadata.exif is not None
    assert check(path, strip=True).content.metadata.exif is None


def test_tiff_pictures_with_profiles_and_pages(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = bytes(16) + b"RGB " + bytes(108)
    tifffile.imwrite(path, numbers("uint8", (33, 20, 3)), photometric="rgb", iccprofile=profile)
    assert check(path).content.metadata.icc == profile
    tifffile.imwrite(path, numbers("uint8", (33, 20)), iccprofile=profile, photometric="minisblack")
    assert "left out" in check(path).content.notes[0]
    tifffile.imwrite(path, numbers("uint8", (3, 33, 20, 3)), photometric="rgb", metadata=None)
    assert "the first of 3 pictures" in check(path).content.notes[0]


def test_tiff_that_is_read_whole(tmp_path: Path) -> None:
    """Premultiplied alpha, separate planes, palettes, one bit, floats, 12 bits, XMP of a turned picture."""
    path = tmp_path / "a.tif"
    rgba = numbers("uint8", (20, 30, 4))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    writers: list[Callable[[], object]] = [
        lambda: tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["assocalpha"]),
        lambda: tifffile.imwrite(path, np.moveaxis(rgba[:, :, :3], -1, 0), photometric="rgb", planarconfig="separate"),
        lambda: Image.fromarray(rgba[:, :, 0]).convert("P").save(path),
        lambda: Image.fromarray(rgba[:, :, 0] > 99).save(path),
        lambda: tifffile.imwrite(path, rgba[:, :, 0].astype(np.float32) / 255, photometric="minisblack"),
        lambda: Image.fromarray(rgba[:, :, :3]).save(path, compression="jpeg"),
        lambda: Image.fromarray(rgba[:, :, :3]).save(path, tiffinfo={700: xmp, 274: 3}),
    ]
    for write in writers:
        write()
        check(path, lazy=False)
        with pytest.raises(LimitExceeded):
            check(path)


def test_compressions_of_other_writers(tmp_path: Path) -> None:
    """Read by boxes where tifffile can, else whole."""
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "tiff_deflate", "zstd"):
        Image.fromarray(numbers("uint8", (200, 300, 3))).save(tmp_path / "a.tif", compression=compression)
        check(tmp_path / "a.tif", lazy="deflate" in compression)


@pytest.mark.parametrize("options", TILED)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "uint32"])
def test_tiff_stacks(tmp_path: Path, options: dict[str, Any], dtype: str) -> None:
    path = tmp_path / "a.tif"
    if dtype == "float32":
        options = {**options, "predictor": False}  # one of floats needs another package
    tifffile.imwrite(path, numbers(dtype, (4, 45, 61)), photometric="minisblack", **options)
    regions = check(path)
    assert isinstance(regions, VolumeRegions) and isinstance(regions.store, Rearranged)


def test_stacks_of_imagej(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    times = {"axes": "TZYX", "spacing": 1.5, "unit": "um", "finterval": 0.2}
    tifffile.imwrite(path, numbers("uint16", (2, 3, 8, 9)), imagej=True, resolution=(4.0, 2.0), metadata=times)
    assert check(path).content.space is not None
    tifffile.imwrite(path, numbers("uint16", (2, 3, 8, 9)), imagej=True, metadata=times, compression="zlib")
    check(path)
    tifffile.imwrite(path, numbers("uint16", (3, 2, 8, 9)), imagej=True, metadata={"axes": "ZCYX"})
    assert len(check(path).content.channels) == 2
    tifffile.imwrite(path, numbers("uint8", (33, 20)), photometric="minisblack")
    assert check(path, kind="volume").content.axes[0] == Axis("z", 1, -1 / 33, 1 / 33)


def test_damage_is_told_as_usual(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for options in ({"tile": (16, 16)}, {"compression": "zlib"}, {}):
        for array, photometric in ((numbers("uint8", (3, 45, 61)), "minisblack"), (numbers("uint8", (45, 61, 3)), "rgb")):
            tifffile.imwrite(path, array, photometric=photometric, **options)
            data = path.read_bytes()
            for cut in (0, 3, 9, 200, len(data) // 2):
                path.write_bytes(data[:cut])
                with pytest.raises(InputError, match=r"a\.tif: ") as usual:
                    read_signal(path)
                with pytest.raises(InputError) as caught:
                    open_regions(path)
                assert str(caught.value) == str(usual.value)
    np.save(tmp_path / "a.npy", numbers("uint8", (3, 45, 61)))
    data = (tmp_path / "a.npy").read_bytes()
    for cut in (0, 7, 40, len(data) - 1):
        (tmp_path / "a.npy").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"a\.npy: "):
            open_regions(tmp_path / "a.npy")
    with pytest.raises(InputError, match="no such file"):
        open_regions(tmp_path / "b.npy")


def test_damage_after_opening_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers("uint8", (45, 61, 3)), photometric="rgb", tile=(16, 16), compression="zlib")
    regions = open_regions(path)
    assert isinstance(regions, PictureRegions) and isinstance(regions.store, TiffStore)
    data, at = bytearray(path.read_bytes()), int(regions.store.offsets[0, -1])
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    regions.read([(0, 16), (0, 16)])
    with pytest.raises(InputError, match=r"a\.tif: damaged TIFF"):
        regions.read([(40, 45), (50, 61)])
    np.save(tmp_path / "a.npy", numbers("uint8", (3, 45, 61)))
    volume = open_regions(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated: expected"):
        volume.read([(0, 1)] * 3)
    (tmp_path / "a.npy").unlink()
    with pytest.raises(InputError, match="cannot be read"):
        volume.read([(0, 1)] * 3)


def test_missing_samples_and_other_kinds_are_refused(tmp_path: Path) -> None:
    array = numbers("float32", (3, 4, 5))
    array[1, 2, 3] = np.nan
    np.save(tmp_path / "a.npy", array)
    for source in (tmp_path / "a.npy", array, read_signal(array)):
        with pytest.raises(UsageError, match="tiles: expected finite samples"):
            open_regions(source)
    np.savez(tmp_path / "a.npz", array)
    with pytest.raises(UsageError, match="tiles: expected finite samples"):
        open_regions(tmp_path / "a.npz")
    shape = tmp_path / "a.off"
    shape.write_text("OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n")
    pytest.importorskip("igl")
    with pytest.raises(UsageError, match="expected an image, a volume or video, got shape"):
        open_regions(shape)
    with pytest.raises(UsageError, match="kind: expected one of"):
        open_regions(array, kind="poem")


def test_sound_is_refused(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    with pytest.raises(UsageError, match="got audio"):
        open_regions(tmp_path / "a.wav")


def test_other_sources_are_read_whole(tmp_path: Path) -> None:
    rgba = numbers("uint8", (20, 30, 4))
    rgba[3:9, 4:11, 3] = 0
    Image.fromarray(rgba).save(tmp_path / "a.png")
    regions = check(tmp_path / "a.png", lazy=False)
    assert isinstance(regions, PictureRegions) and isinstance(regions.store, ArrayStore) and regions.store.array.dtype == np.uint8
    for array in (rgba, rgba[:, :, 0], rgba[:, :, 0] > 99, rgba[:, :, 1] / np.float32(255), numbers("uint16", (8, 9)).astype(">u2")):
        check(array, lazy=False)
    assert isinstance(check(numbers("int16", (8, 9, 10))), VolumeRegions)
    check(np.asfortranarray(numbers(">i2", (8, 9, 10))))
    check(numbers("uint8", (3, 4, 5, 6)))
    with pytest.raises(InputError, match="without masked samples"):
        open_regions(np.ma.masked_array(numbers("uint8", (8, 9, 10)), mask=True))
    with pytest.raises(LimitExceeded):
        open_regions(tmp_path / "a.png", limits=Limits(pixels=599))
    sequence = tmp_path / "frames"
    sequence.mkdir()
    for k in range(3):
        Image.fromarray(rgba[k:, :, :3][:16]).save(sequence / f"{k}.png")
    clip, signal = open_regions(sequence, rate=24.0, frames=2), read_signal(sequence, rate=24.0, frames=2)
    assert isinstance(signal, Signal) and clip.content.kind == "video" and clip.content.axes == signal.axes
    np.testing.assert_array_equal(clip.read([(1, 2), (3, 9), (4, 30)]).values, signal.values[1:2, 3:9, 4:30])


def test_a_signal_is_cropped() -> None:
    values = np.random.default_rng(1).random((6, 7, 2), np.float32)
    weights = np.ones_like(values)
    weights[:2] = 0
    channels = (Channel("u", "value"), Channel("v", "value", -1, 3))
    signal = Signal(kind="field", axes=(Axis("y", 6, 0, 2), Axis("x", 7)), channels=channels, bits=16, values=values, weights=weights)
    regions = open_regions(signal)
    assert isinstance(regions, WholeRegions) and not isinstance(regions.content, Signal)
    part = regions.read([(1, 4), (2, 3)])
    np.testing.assert_array_equal(part.values, values[1:4, 2:3])
    assert part.weights is not None and part.axes[0] == Axis("y", 3, 0, 2) and regions.read([(2, 6), (0, 7)]).weights is None


@pytest.mark.parametrize("box", [[(0, 1)], [(0, 1), (2, 2), (0, 1)], [(0, 1), (0, 1), (-1, 3)], [(0, 1), (0, 1), (0, 11)]])
def test_boxes_outside_are_refused(box: list[tuple[int, int]]) -> None:
    with pytest.raises(UsageError, match=r"box: expected a start and a larger stop within \[8, 9, 10\]"):
        open_regions(numbers("uint8", (8, 9, 10))).read(box)


def zarr_array(path: Path, array: np.ndarray, version: int, **options: Any) -> None:
    zarr = pytest.importorskip("zarr")
    found = zarr.create_array(path, shape=array.shape, dtype=array.dtype, zarr_format=version, **options)
    found[:] = array


@pytest.mark.parametrize(("version", "options"), [(2, {}), (3, {}), (3, {"shards": (4, 6, 8)}), (2, {"order": "F"})])
@pytest.mark.parametrize("dtype", ["<i2", ">f4", "uint8", "int64"])
def test_zarr(tmp_path: Path, version: int, options: dict[str, Any], dtype: str) -> None:
    path = tmp_path / "a.zarr"
    array = numbers(dtype if version == 2 else np.dtype(dtype).newbyteorder("=").str, (9, 10, 11))
    zarr_array(path, array, version, chunks=(2, 3, 4), **options)
    chunks = Limits(output_samples=192)
    regions = check(path, limits=chunks)
    assert regions.content.kind == "volume" and len(regions.content.digest) == 64
    np.testing.assert_array_equal(regions.read([(2, 9), (0, 3), (5, 6)]).samples, array[2:9, :3, 5:6, None])
    shutil.make_archive(str(tmp_path / "b"), "zip", path)
    check(tmp_path / "b.zip", limits=chunks)
    with pytest.raises(LimitExceeded):
        read_signal(path, limits=Limits(output_samples=989))


def test_zarr_groups(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name, side in (("0", 8), ("1", 4)):
        group.create_array(name, shape=(side,) * 3, dtype="uint8", chunks=(4,) * 3)[:] = numbers("uint8", (side,) * 3)
    regions = check(tmp_path / "a.zarr", limits=Limits(output_samples=64))
    assert [axis.n for axis in regions.content.axes] == [8] * 3 and "left out: 1" in regions.content.notes[0]
    digest = regions.content.digest
    group["1"][0, 0, 0] = 77
    assert open_regions(tmp_path / "a.zarr").content.digest != digest
    other = zarr.open_group(tmp_path / "b.zarr", mode="w")
    for name in "xy":
        other.create_array(name, shape=(4,) * 3, dtype="uint8")
    with pytest.raises(InputError, match="expected one array, or one named data, 0, arr_0, got x, y"):
        open_regions(tmp_path / "b.zarr")


def test_zarr_faults(tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    numcodecs = pytest.importorskip("numcodecs")
    path = tmp_path / "a.zarr"
    zarr_array(path, numbers("uint8", (8, 8, 8)), 2, chunks=(8, 8, 8), filters=[numcodecs.Delta("u1")])
    meta = path / ".zarray"
    good = meta.read_text()
    for codec, message in ({"id": "base64"}, "expected one of the codecs"), ({"id": "pickle", "protocol": 4}, "damaged or unsupported"):
        meta.write_text(json.dumps({**json.loads(good), "filters": [codec]}))
        for read in (open_regions, read_signal):
            with pytest.raises(InputError, match=rf"a\.zarr: .*{message}" if codec["id"] == "base64" else message):
                read(path)
    meta.write_text(good[:50])
    with pytest.raises(InputError, match="damaged or unsupported Zarr"):
        open_regions(path)
    meta.write_text(good)
    with pytest.raises(LimitExceeded, match=r"chunks of \(8, 8, 8\)"):
        open_regions(path, limits=Limits(output_samples=511))
    regions = open_regions(path)
    chunk = next(file for file in path.iterdir() if not file.name.startswith("."))
    chunk.write_bytes(b"no chunk")
    with pytest.raises(InputError, match="damaged or unsupported Zarr"):
        regions.read([(0, 2)] * 3)
    with pytest.raises(UsageError, match="frames: expected sound or video"):
        read_signal(path, frames=2)
    zarr_array(tmp_path / "b.zarr", numbers("uint8", (8, 8)), 3)
    with pytest.raises(InputError, match="expected an array of 3 axes"):
        open_regions(tmp_path / "b.zarr")


def test_zarr_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zarr_array(tmp_path / "a.zarr", numbers("uint8", (8, 8, 8)), 3)
    monkeypatch.setitem(sys.modules, "zarr", None)
    for read in (open_regions, read_signal):
        with pytest.raises(BackendMissing, match=r"pip install inrcodec\[zarr\]"):
            read(tmp_path / "a.zarr")


# ru_maxrss would begin with that of the process that started this one.
MEASURED = """
import re, sys
import numpy as np
from inrcodec.signals.regions import open_regions
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
open_regions(np.zeros((9, 9, 9)))
before = peak()
{}
print(peak() - before)
"""
BOX = "assert open_regions(sys.argv[1]).read([(3, 35), (100, 132), (0, 64)]).values.shape == (32, 32, 64, 1)"
WHOLE = "assert np.load(sys.argv[1]).max() == 77"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory as Linux tells it")
def test_a_file_larger_than_the_memory_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=(100, 1024, 1024))[50, 5, 5] = 77  # 200 MB, hardly any on the disk
    taken = []
    for code in (BOX, WHOLE):
        done = subprocess.run([sys.executable, "-c", MEASURED.format(code), str(path)], capture_output=True, text=True, check=True)
        taken.append(int(done.stdout))
    assert taken[0] < 20 << 20 < 190 << 20 < taken[1]


def test_a_single_packed_strip_is_read_whole(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", numbers("uint8", (45, 61, 3)), photometric="rgb", compression="zlib", rowsperstrip=45)
    regions = check(tmp_path / "a.tif", lazy=False)
    assert isinstance(regions, PictureRegions) and isinstance(regions.store, ArrayStore)
