"""Where images come from: paths, bytes, file objects, arrays, and a folder of odd files."""

import hashlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from inrcodec import spec
from inrcodec.errors import InputError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.signals import MODALITIES, read_signal, writer_for
from inrcodec.signals.base import exact_samples
from inrcodec.signals.image import accepts, read_image

ODD = Path(__file__).resolve().parents[2] / "shared" / "data" / "odd"
PICTURE = np.arange(0, 240, 4, np.uint8).reshape(4, 5, 3)


def png_file():
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, "PNG")
    return out.getvalue()


def codes_of(signal):
    return np.floor(signal.values.astype(np.float64) * (2**signal.bits - 1) + 0.5).astype(int)


@pytest.mark.parametrize("make", [str, Path, bytes, bytearray, open, io.BytesIO])
def test_sources(make, tmp_path):
    data = png_file()
    path = tmp_path / "späce name.dat"  # known by content
    path.write_bytes(data)
    with open(path, "rb") as file:
        source = {open: file, str: str(path), Path: path}.get(make) or make(data)
        signal = read_signal(source)
    assert np.array_equal(codes_of(signal), PICTURE)
    assert signal.digest == hashlib.sha256(data).hexdigest()
    assert signal.source == (str(path) if make in (str, Path, open) else {io.BytesIO: "<stream>"}.get(make, "<bytes>"))


def test_sources_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "bare").mkdir()
    for source, words in [
        (tmp_path / "none.png", "none.png: no such file"),
        (tmp_path, "empty.png: expected an image"),
        (tmp_path / "bare", "DICOM"),
        (tmp_path / "empty.png", "got an empty file"),
        (tmp_path / "text.png", "text.png: expected an image, .* got a file beginning with b'no pictu'"),
        ("a\0b", "not a file name"),
        (b"", "<bytes>: .* empty"),
        (spec.INRIMAGE_SIGNATURE + b"-4#{", "header"),
        (spec.SIGNATURE + b"rest", "already encoded"),
        (io.StringIO("text"), "binary mode"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            read_signal(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="got int"):
        read_signal(3)
    with pytest.raises(InputError, match="expected an image"):
        read_image(b"no picture", "x")

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"x.png: cannot be read: Permission denied"):
        read_signal("x.png")


def test_modalities_and_writers():
    assert [m.kind for m in MODALITIES] == ["image", "volume", "audio", "video", "shape", "field"]
    assert writer_for("image", ".png") is MODALITIES[0].write
    assert accepts(b"GIF89a", ".wav") and not accepts(b"RIFF\0\0\0\0WAVE", ".png")
    for kind, suffix, words in [("image", ".txt", r"cannot write image as '.txt'; expected one of .png"), ("sound", ".png", "'sound'")]:
        with pytest.raises(UsageError, match=words):
            writer_for(kind, suffix)


@settings(max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.dtype(t) for t in ("u1", "<u2", ">u2", "?")]),
        st.one_of(hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), st.tuples(*[st.integers(1, 5)] * 2, st.integers(1, 4))),
    )
)
def test_integer_arrays(array):
    signal = read_signal(array)
    expected = array.reshape(*array.shape[:2], -1).astype(int)
    assert signal.bits == {"u1": 8, "u2": 16, "b1": 1}[array.dtype.str[1:]]
    if signal.weights is not None:
        expected[signal.weights == 0] = codes_of(signal)[signal.weights == 0]
    assert np.array_equal(codes_of(signal), expected)


def test_integer_arrays_in_any_memory_order():
    array = PICTURE[::-1, ::2]
    signal = read_signal(np.asfortranarray(array))
    assert np.array_equal(codes_of(signal), array) and signal.values.flags.c_contiguous
    assert signal.digest == read_signal(array).digest and signal.source == "array"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
def test_float_arrays(dtype):
    eight = (np.arange(256) / 255).reshape(16, 16).astype(dtype)
    assert read_signal(eight).bits == (16 if dtype is np.float16 else 8)
    sixteen = read_signal((np.arange(100) / 1000).reshape(10, 10).astype(dtype))
    assert sixteen.bits == 16
    assert np.abs(sixteen.values[:, :, 0].ravel() - np.arange(100) / 1000).max() < (1e-4 if dtype is np.float16 else 8e-6)
    if dtype is not np.float16:
        assert np.array_equal(codes_of(read_signal(eight)).ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 2), np.nan), r"got nan at \[0, 0\]"),
        (np.array([[0, 1.0], [0.5, 1.5]]), r"array: expected finite values in \[0, 1\], got 1.5 at \[1, 1\]"),
        (np.array([[[0.0, -0.25]]], np.float32), r"got -0.25 at \[0, 0, 1\]"),
        (np.array([[math.inf]]), "got inf"),
        (np.zeros((2, 2), int), "got int64"),
        (np.zeros((2, 2), complex), "got complex128"),
        (np.zeros(3), r"got \(3,\)"),
        (np.zeros((2, 2, 2, 2, 2), np.uint8), r"2, 2"),
        (np.zeros((0, 2), np.uint8), r"got \(0, 2\)"),
    ],
)
def test_arrays_that_are_no_images(array, words):
    with pytest.raises(InputError, match=words):
        read_signal(array)


def test_array_limit():
    with pytest.raises(LimitExceeded, match="3x2 is 6 pixels, the limit is 5"):
        read_signal(np.zeros((2, 3), np.uint8), limits=Limits(pixels=5))


def test_odd_pixels():
    if not ODD.is_dir():
        pytest.skip("no folder odd")
    for name, mode in [("grey8.png", "L"), ("interlaced.png", "RGB"), ("progressive_444.jpg", "RGB"), ("palette64.png", "RGB")]:
        with Image.open(ODD / name) as image:
            assert np.array_equal(codes_of(read_signal(ODD / name)).squeeze(), np.asarray(image.convert(mode))), name
    with Image.open(ODD / "rgb16.png") as image:
        deep = codes_of(read_signal(ODD / "rgb16.png"))
        assert np.array_equal(deep >> 8, np.asarray(image)) and len(np.unique(deep & 255)) > 100
    hidden = read_signal(ODD / "rgba_transparent.png")
    assert np.array_equal(hidden.weights[:, :, 0] == 0, hidden.values[:, :, 3] == 0)
    assert read_signal(ODD / "icc_profile.jpg").metadata.icc is not None


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "float16", "float64"])
def test_numbers_in_a_tiff_are_no_colours(dtype: str) -> None:
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    numbers = np.array([[1, 2, 3], [4, 5, 100]], dtype)
    tifffile.imwrite(out, numbers)
    with pytest.raises(InputError, match=rf"TIFF: .* of {np.dtype(dtype).itemsize * 8} bits are not supported; .* kind volume"):
        read_signal(out.getvalue())
    np.testing.assert_array_equal(exact_samples(read_signal(out.getvalue(), kind="volume"))[0, ..., 0], numbers)


def test_a_float_tiff_beyond_one_is_told_what_takes_it() -> None:
    out = io.BytesIO()
    Image.fromarray(np.full((2, 3), 7, np.float32)).save(out, "TIFF")
    with pytest.raises(InputError, match=r"expected finite values in \[0, 1\], got 7.0 .*; kind volume"):
        read_signal(out.getvalue())


def test_masked_samples_are_refused() -> None:
    array = np.ma.array(np.zeros((4, 5), np.uint8), mask=np.eye(4, 5, dtype=bool))
    with pytest.raises(InputError, match="without masked samples"):
        read_signal(array)
    assert read_signal(np.ma.array(np.zeros((4, 5), np.uint8))).values.shape == (4, 5, 1)


@pytest.mark.parametrize("more", [{}, {"photometric": "rgb", "planarconfig": "separate"}, {"photometric": "rgb"}, {"tile": (16, 16)}])
def test_a_tiff_of_too_few_strips_is_truncated(more: dict[str, object]) -> None:
    tifffile = pytest.importorskip("tifffile")
    shape = {0: (48, 40), 1: (3, 48, 40), 2: (48, 40, 3)}[0 if "photometric" not in more else 1 if "planarconfig" in more else 2]
    out = io.BytesIO()
    tifffile.imwrite(out, np.full(shape, 9, np.uint8), rowsperstrip=None if "tile" in more else 16, **more)
    data = bytearray(out.getvalue())
    assert read_signal(bytes(data)).values.min() > 0
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        at = tiff.pages[0].tags["ImageLength"].valueoffset
    data[at : at + 2] = (80).to_bytes(2, "little")
    with pytest.raises(InputError, match="truncated TIFF: expected strips of"):
        read_signal(bytes(data))
