"""Volumes written as they are evaluated: the same bytes however they are cut, and never all of them in memory."""

import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inrcodec
from inrcodec import sampling
from inrcodec.container import Container, dump, load
from inrcodec.decoder import Inr
from inrcodec.errors import LimitExceeded, UsageError
from inrcodec.files import atomic_file
from inrcodec.limits import Limits
from inrcodec.networks import NETWORKS
from inrcodec.signals import read_signal
from inrcodec.signals.base import Metadata, Slabs, Space
from inrcodec.signals.codes import rescale_codes
from inrcodec.signals.image_write import stream_image, write_image
from inrcodec.signals.volume_write import SUFFIXES, stream_volume
from inrcodec.weights import network_list, pack
from tests.nets import lively_params, small_sasnet
from tests.test_cli import run
from tests.test_decoder import file_bytes

AFFINE = tuple(float(number) for number in (2, 0, 0, 1, 0, 3, 0, 2, 0, 0, 4, 3, 0, 0, 0, 1))
NEEDS = {".nii": "nibabel", ".nii.gz": "nibabel", ".tif": "tifffile", ".tiff": "tifffile"}


def volume_file(shape: tuple[int, ...] = (6, 7, 8), channels: int = 1) -> bytes:
    """A float32 volume of an unfitted network."""
    network, config = NETWORKS["sasnet.1"], small_sasnet(3, channels)
    values = lively_params(network, config)
    steps = {p.name: np.full(p.shape[p.axis] if p.axis >= 0 else 1, 1e-3, np.float32) for p in network.params(config)}
    entries, data = pack(network, config, values, steps)
    head = {
        **load(file_bytes()).head,
        "kind": "volume",
        "axes": [{"name": n, "n": m, "lo": -1.0, "hi": 1.0} for n, m in zip("zyx", shape, strict=True)],
        "out": {
            "channels": [{"name": f"v{k}", "role": "value", "scale": 0.5, "offset": 0.5, "high": 9.0} for k in range(channels)],
            "bits": 16,
            "dtype": "float32",
        },
        "space": {"spacing": [2.0, 3.0, 4.0], "affine": list(AFFINE), "units": "mm"},
        "net": network_list(network, config),
        "tens": entries,
    }
    del head["color"]
    return dump(Container(head, data))


@pytest.fixture
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SLAB_BYTES", 1 << 12)


def opened(**options: Any) -> Inr:
    return inrcodec.open(volume_file(**options), backend="numpy")


def cut(array: np.ndarray, rows: int) -> Slabs:
    parts = (array[at : at + rows] for at in range(0, len(array), rows))
    return Slabs(shape=array.shape, dtype=array.dtype, parts=parts, space=Space((2.0, 3.0, 4.0), AFFINE, "mm"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_the_bytes_do_not_depend_on_the_cuts(suffix: str, channels: int, dtype: str) -> None:
    if suffix in NEEDS:
        pytest.importorskip(NEEDS[suffix])
    array = (np.random.default_rng(0).standard_normal((7, 90, 600, channels)) * 100).astype(dtype)
    files = []
    for rows in (7, 3, 1):
        out = io.BytesIO()
        try:
            stream_volume(cut(array, rows), suffix, out)
        except UsageError:
            assert suffix.startswith(".tif") and channels == 2 and out.getvalue() == b""
            return
        files.append(out.getvalue())
    assert files[0] == files[1] == files[2] and len(files[0]) > 1000


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("region", [None, ((1, 5), (0, 7), (2, 8))])
@pytest.mark.parametrize("scale", [1.0, 3.0, 0.5])
def test_slabs_are_the_decode_bit_for_bit(scale: float, region: Any) -> None:
    inr = opened()
    slabs = inr.slabs(scale=scale, region=region)
    parts = list(slabs.parts)
    whole = inr.decode(scale=scale, region=region)
    assert slabs.shape == whole.shape and slabs.dtype == whole.dtype
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    if scale == 3.0:
        assert len(parts) > 1 and max(part.nbytes for part in parts) <= 2 * sampling.SLAB_BYTES
    assert slabs.space == inr.samples(scale=scale, region=region).space


def test_a_slab_is_of_whole_tiles_and_bounded() -> None:
    for shape in [(1024, 1024, 1024), (10, 4000, 4000), (5000, 3, 3), (64, 30000, 30000), (100_000, 7)]:
        tile = sampling.tile_shape(shape, (1,) * len(shape), 1)
        row = 8 * int(np.prod(shape[1:], dtype=object))
        rows = sampling.slab_rows(tile[0], row)
        assert rows % tile[0] == 0 and (rows * row <= sampling.SLAB_BYTES or rows == 1)
        assert np.prod(tile) <= 2 * sampling.TILE_SAMPLES and np.prod(tile) >= min(np.prod(shape, dtype=object), sampling.TILE_SAMPLES // 4)


class Sink(io.RawIOBase):
    """Takes bytes, keeps their number, and cannot be rewound."""

    def __init__(self) -> None:
        self.taken = 0
        self.largest = 0

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        self.taken += size
        self.largest = max(self.largest, size)
        return size

    def seekable(self) -> bool:
        return False


# TIFF stacks have one channel.
@pytest.mark.parametrize(("suffix", "channels"), [(s, c) for c in (1, 3) for s in SUFFIXES if c == 1 or not s.startswith(".tif")])
def test_memory_is_that_of_a_few_slabs(suffix: str, channels: int) -> None:
    if suffix in NEEDS:
        pytest.importorskip(NEEDS[suffix])
    rows, shape = 2, (64, 128, 128, channels)
    slab = rows * 128 * 128 * channels * 4

    def parts() -> Iterator[np.ndarray]:
        for at in range(0, shape[0], rows):
            yield np.full((rows, *shape[1:]), at, np.float32)

    stream_volume(cut(np.zeros((1, 1, 1, channels), np.float32), 1), suffix, io.BytesIO())  # imports
    sink = Sink()
    tracemalloc.start()
    try:
        stream_volume(Slabs(shape=shape, dtype=np.dtype(np.float32), parts=parts()), suffix, sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.taken >= (1000 if suffix in (".nii.gz", ".nrrd") else slab * 32)
    assert peak < 4 * slab + (3 << 20) < 32 * slab


@pytest.mark.usefixtures("small_slabs")
def test_a_decode_into_a_file_holds_a_slab_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inr = opened()
    largest = []
    sample = Inr._sample

    def noted(self: Inr, *arguments: Any, **options: Any) -> np.ndarray:
        part = sample(self, *arguments, **options)
        largest.append(part.nbytes)
        return part

    monkeypatch.setattr(Inr, "_sample", noted)
    inr.export(tmp_path / "a.npy", scale=4.0)
    assert len(largest) > 10 and max(largest) <= 2 * sampling.SLAB_BYTES
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), inr.decode(scale=4.0)[..., 0])


def test_limits_hold_for_the_whole() -> None:
    inr = inrcodec.open(volume_file(), backend="numpy", limits=Limits(output_samples=1000))
    with pytest.raises(LimitExceeded, match="12 x 14 x 16 samples"):
        inr.slabs(scale=2.0)


def test_the_command_writes_files_and_stdout_alike(tmp_path: Path) -> None:
    (tmp_path / "v.inr").write_bytes(volume_file())
    done = run("decode", "v.inr", "-o", "v.nrrd", "--scale", "2", "--backend", "numpy", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    piped = run("decode", "v.inr", "-o", "-", "--format", "nrrd", "--scale", "2", "--backend", "numpy", cwd=tmp_path)
    assert piped.stdout == (tmp_path / "v.nrrd").read_bytes()


def test_a_file_that_fails_half_way_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def write() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write()
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_written_to_a_file_and_read_back(suffix: str, tmp_path: Path) -> None:
    if suffix in NEEDS:
        pytest.importorskip(NEEDS[suffix])
    inr, path = opened(), tmp_path / f"v{suffix}"
    inr.export(path)
    signal = read_signal(path, kind="volume")
    channel = signal.channels[0]
    decoded = inr.decode()
    np.testing.assert_allclose(channel.low + signal.values * (channel.high - channel.low), decoded, atol=1e-5)


@pytest.mark.usefixtures("small_slabs")
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
@pytest.mark.parametrize(("bits", "region"), [(8, None), (16, None), (8, ((3, 11), (2, 15)))])
def test_pictures_are_written_as_they_are_evaluated(suffix: str, bits: int, region: Any) -> None:
    inr = inrcodec.open(file_bytes(), backend="numpy")
    whole, streamed = inr.samples(scale=6, region=region, bits=bits), io.BytesIO()
    assert len(list(inr.slabs(scale=6, region=region, bits=bits).parts)) > 2
    inr.write(streamed, suffix, name="a", scale=6, region=region, bits=bits)
    assert streamed.getvalue() == write_image(whole, suffix)
    found = np.load(io.BytesIO(streamed.getvalue())) if suffix == ".npy" else read_signal(streamed.getvalue()).samples
    np.testing.assert_array_equal(found, whole.codes)


@pytest.mark.parametrize("bits", [1, 8, 12])
@pytest.mark.parametrize("most", [1 << 40, 0])
def test_strips_do_not_depend_on_the_cuts(bits: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.setattr("inrcodec.signals.image_write._BLOCK", 1 << 10)
    monkeypatch.setattr("inrcodec.signals.image_write._TIFF_MOST", most)
    c = 1 if bits == 1 else 3
    codes = np.random.default_rng(0).integers(0, 1 << bits, (97, 61, c)).astype(np.uint8 if bits <= 8 else np.uint16)
    files = []
    for rows in (97, 30, 7, 1):
        out, parts = io.BytesIO(), (codes[at : at + rows] for at in range(0, 97, rows))
        stream_image(Slabs(shape=codes.shape, dtype=codes.dtype, parts=parts, bits=bits, metadata=Metadata(xmp=b"<x/>")), ".tif", out)
        files.append(out.getvalue())
    assert files[0] == files[1] == files[2] == files[3] and files[0][2] == (43 if most == 0 else 42)
    with tifffile.TiffFile(io.BytesIO(files[0])) as file:
        np.testing.assert_array_equal(file.pages[0].asarray().reshape(codes.shape), rescale_codes(codes, bits, {1: 1, 8: 8, 12: 16}[bits]))
        assert len(file.pages) == 1 and file.pages[0].tags[700].value == b"<x/>"
        assert len(file.pages[0].dataoffsets) == {1: 1, 8: 20, 12: 49}[bits]  # strips of 1024 bytes at most, or a row


def test_a_pipe_gets_the_same_picture(tmp_path: Path) -> None:
    (tmp_path / "a.inr").write_bytes(file_bytes())
    options = ("--scale", "3", "--backend", "numpy")
    assert run("decode", "a.inr", "-o", "a.tif", *options, cwd=tmp_path).returncode == 0
    piped = run("decode", "a.inr", "-o", "-", "--format", "tif", *options, cwd=tmp_path)
    assert piped.stdout == (tmp_path / "a.tif").read_bytes() and len(piped.stdout) > 1000


def test_a_large_picture_takes_little_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sampling, "SLAB_BYTES", 1 << 15)
    inr = inrcodec.open(file_bytes((60, 40)), backend="numpy")
    peaks = []
    for size in ((300, 200), (300, 200), (1500, 200)):  # the first time more is held
        tracemalloc.start()
        inr.export(tmp_path / "a.npy", size=size)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] - peaks[1] < (1500 - 300) * 200 * 3 / 4
