"""Volumes: files and arrays in, files out."""

import bz2
import gzip
import hashlib
import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inrcodec import spec
from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded, UsageError
from inrcodec.limits import Limits
from inrcodec.signals import volume_formats
from inrcodec.signals.base import Channel, Samples, Signal, Space, as_slabs
from inrcodec.signals.volume import FORMATS, accepts, dicom_paths, is_stack, read_dicom_series, read_volume, volume_from_array
from inrcodec.signals.volume_write import SUFFIXES, raw_sidecar, write_volume

nibabel = pytest.importorskip("nibabel")
pytest.importorskip("nrrd")
tifffile = pytest.importorskip("tifffile")
pydicom = pytest.importorskip("pydicom")

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
AFFINE = (0.1, -0.2, 2.5, -90.25, 0.3, 3.5, 0.2, -126.125, 4.5, 0.1, -0.3, -72.5, 0.0, 0.0, 0.0, 1.0)
STEPS = tuple(float(s) for s in np.linalg.norm(np.reshape(AFFINE, (4, 4))[:3, :3], axis=0))
INTEGERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32")


def ramp(dtype="int16", shape=(3, 4, 5)):
    """Different samples that use much of the type's range."""
    dtype = np.dtype(dtype)
    numbers = np.linspace(-1, 1, int(np.prod(shape))).reshape(shape)
    if dtype.kind == "f":
        return (numbers * 1000).astype(dtype)
    info = np.iinfo(dtype)
    return np.floor((numbers + 1) / 2 * (int(info.max) - int(info.min)) + int(info.min)).astype(dtype)


def samples_of(signal: Signal) -> np.ndarray:
    """What a decoder makes of the values: (*axes, c), NaN where a sample is missing."""
    low, high = (np.array([getattr(channel, side) for channel in signal.channels]) for side in ("low", "high"))
    numbers = low + signal.values.astype(np.float64) * (high - low)
    if np.dtype(signal.dtype).kind in "iu":
        return np.floor(numbers + 0.5).astype(signal.dtype)
    if signal.missing is not None:
        numbers[signal.missing] = np.nan
    return numbers.astype(signal.dtype)


def check(signal: Signal, array: np.ndarray, *, channels: bool = False) -> None:
    """The signal is a valid one of this array, to float32's precision of the range."""
    array = array if channels else array[..., None]
    names = "tzyx"[-(array.ndim - 1) :]
    assert signal.kind == "volume"
    assert [(a.name, a.n) for a in signal.axes] == list(zip(names, array.shape, strict=False))
    assert max(a.hi for a in signal.axes) == 1 and all(a.lo == -a.hi < a.hi for a in signal.axes)
    assert signal.dtype in spec.DTYPES
    assert all(channel.role in spec.ROLES for channel in signal.channels)
    assert signal.values.dtype == np.float32 and signal.values.shape == (*array.shape[:-1], len(signal.channels))
    assert signal.values.min() >= 0 and signal.values.max() <= 1
    span = max(c.high - c.low for c in signal.channels)
    np.testing.assert_allclose(
        samples_of(signal).astype(np.float64),
        array.astype(np.float64),
        rtol=1e-6,
        atol=span * 1e-3 if signal.dtype == "float16" else span * 1.2e-7 + 1e-30,
    )


def as_samples(array, space=None, *, channels=False) -> Samples:
    codes = array if channels else array[..., None]
    return Samples(
        kind="volume", channels=tuple(Channel(f"value{k}", "value") for k in range(codes.shape[-1])), codes=codes, bits=16, space=space
    )


def written(array, suffix, space=None, *, channels=False) -> bytes:
    return write_volume(as_samples(array, space, channels=channels), suffix)


def fails(data, name, words, error=InputError, **options):
    with pytest.raises(error, match=words) as caught:
        read_volume(data, name, **options)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is error


def npy(array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


# Arrays


@pytest.mark.parametrize("dtype", [*spec.DTYPES, "bool", ">i2", ">f8", "int64", "uint64", "longdouble"])
def test_arrays_of_every_type(dtype):
    array = (
        np.arange(60).reshape(3, 4, 5) % 2 == 1
        if dtype == "bool"
        else ramp("int16" if dtype == "int64" else "uint8" if dtype == "uint64" else dtype)
    )
    array = array.astype(dtype)
    signal = volume_from_array(array)
    check(signal, array)
    wide = {"int64": "int32", "uint64": "int32", "longdouble": "float64"}
    plain = np.dtype(dtype).newbyteorder("=").name
    assert signal.dtype == {"bool": "uint8", **wide}.get(dtype, plain)
    assert bool(signal.notes) == (dtype in wide)
    assert signal.source == "<array>" and signal.digest == hashlib.sha256(array.tobytes()).hexdigest()
    assert signal.weights is None and signal.space is None


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4)), r"expected shape \(z, y, x\) or \(t, z, y, x\), got \(4, 4\)"),
        (np.zeros((1, 1, 1, 1, 1)), "expected shape"),
        (np.zeros((3, 0, 4)), r"at least one sample along every axis, got \[3, 0, 4\]"),
        (np.zeros((2, 2, 2), complex), "expected integers or floating point numbers, got complex128"),
        (np.zeros((2, 2, 2), object), "got object"),
        (np.zeros((2, 2, 2), "U3"), "got <U3"),
        (np.full((2, 2, 2), 2**60 + 1), "got int64 samples that none of them holds exactly"),
        (np.full((2, 2, 2), np.nan), "got NaN or infinity alone"),
        (np.array([[[-1.7e308, 1.7e308]]]), "a range that float64 holds"),
    ],
)
def test_arrays_that_are_no_volumes(array, words):
    with pytest.raises(InputError, match=words):
        volume_from_array(array)


def test_too_many_samples():
    with pytest.raises(LimitExceeded, match="3x4x5 is 60 samples, the limit is 59"):
        volume_from_array(ramp(), limits=Limits(output_samples=59))
    volume_from_array(ramp(), limits=Limits(output_samples=60))


@pytest.mark.parametrize(
    ("low", "high", "bits"), [(0, 1, 1), (0, 255, 8), (-1, 255, 9), (-1000, 1000, 11), (0, 65535, 16), (-(2**31), 2**31 - 1, 16)]
)
def test_bits_of_integers(low, high, bits):
    assert volume_from_array(np.array([[[low, high]]], np.int64)).bits == bits


@pytest.mark.parametrize(("array", "low", "high"), [(np.uint8(7), 7, 8), (np.uint8(255), 254, 255), (np.float32(-1.5), -1.5, -0.5)])
def test_constant_volumes(array, low, high):
    signal = volume_from_array(np.full((2, 3, 4), array))
    assert (signal.channels[0].low, signal.channels[0].high) == (low, high)
    check(signal, np.full((2, 3, 4), array))


def test_large_constant():
    signal = volume_from_array(np.full((2, 2, 2), 1e300))
    assert signal.channels[0].high > signal.channels[0].low and not signal.values.any()


def test_axes_are_proportional_to_samples():
    signal = volume_from_array(np.zeros((240, 49, 1), np.uint8), space=Space((9.0, 1.0, 1.0)))
    assert [a.hi for a in signal.axes] == [1, 49 / 240, 1 / 240]
    assert [a.name for a in volume_from_array(np.zeros((2, 3, 4, 5))).axes] == ["t", "z", "y", "x"]


def test_missing_samples():
    array = ramp("float32", (4, 5, 6))
    array[0, 1, 2], array[1, 1, 1], array[3, 4, 5] = np.nan, np.inf, -np.inf
    signal = volume_from_array(array)
    lost = ~np.isfinite(array)
    assert [channel.name for channel in signal.channels] == ["value"]
    assert np.array_equal(signal.missing, lost) and np.array_equal(signal.weights[..., 0] == 0, lost)
    np.testing.assert_allclose(signal.values[lost][:, 0], signal.values[~lost][:, 0].mean(), rtol=1e-6)
    assert signal.notes == ("3 of 120 samples are NaN or infinite and read as missing",)
    check(signal, np.where(lost, np.nan, array))


def test_channels():
    array = np.stack([ramp("int16"), ramp("int16") // 2], axis=-1)
    signal = volume_from_array(array, channels_last=True)
    assert [c.name for c in signal.channels] == ["value0", "value1"]
    check(signal, array, channels=True)
    floats = array.astype(np.float32)
    floats[0, 0, 0, 1] = np.nan
    signal = volume_from_array(floats, channels_last=True)
    assert [c.role for c in signal.channels] == ["value", "value"]
    assert (signal.weights[0, 0, 0] == [0, 0]).all() and signal.missing.sum() == 1


@settings(max_examples=40)
@given(
    hnp.arrays(
        st.sampled_from([np.dtype(t) for t in ("uint8", "int32", "float16", "float32", "float64", "int64")]),
        hnp.array_shapes(min_dims=3, max_dims=4, max_side=4),
    )
)
def test_any_array(array):
    try:
        signal = volume_from_array(array)
    except InputError as error:
        assert "samples: expected" in str(error)
        return
    assert np.isfinite(signal.values).all() and 0 <= signal.values.min() <= signal.values.max() <= 1
    assert all(channel.low < channel.high for channel in signal.channels) and 1 <= signal.bits <= 16
    assert (signal.weights is None) == bool(np.isfinite(array).all())


def test_space_without_meaning():
    assert volume_from_array(ramp(), space=Space((0.0, 0.0, 0.0))).space is None
    assert volume_from_array(ramp(), space=Space((np.nan, -2.0, 1.0))).space == Space((0.0, 2.0, 1.0))
    signal = volume_from_array(ramp(), space=Space((1.0, 1.0, 1.0), (np.inf,) * 16))
    assert signal.space.affine is None and "orientation" in signal.notes[0]


# Round trips


def read_back(data, suffix, samples, tmp_path) -> Signal:
    if suffix == ".raw":
        (tmp_path / "v.json").write_bytes(raw_sidecar(as_slabs(samples), "v.raw"))
    return read_volume(data, str(tmp_path / ("v" + suffix)))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", spec.DTYPES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5)])
def test_round_trip(suffix, dtype, shape, tmp_path):
    array = ramp(dtype, shape)
    samples = as_samples(array)
    if (dtype == "float16" and suffix in (".nii", ".nii.gz", ".nrrd", ".inrimage")) or (len(shape) == 4 and suffix == ".inrimage"):
        with pytest.raises(UsageError, match=f"cannot write {dtype} samples as"):
            write_volume(samples, suffix)
        return
    data = write_volume(samples, suffix)
    assert data == write_volume(samples, suffix)
    signal = read_back(data, suffix, samples, tmp_path)
    check(signal, array)
    assert signal.dtype == dtype and signal.space is None and signal.notes == ()
    assert signal.digest == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".npy"])
@pytest.mark.parametrize(
    "space",
    [
        Space(STEPS, AFFINE, "mm"),
        Space((0.25, *STEPS), AFFINE, "um"),
        Space((2.5, 0.5, 0.25), None, "mm"),
        Space((3.0, 2.5, 0.5, 0.25), None, "mm"),
    ],
)
def test_space_is_kept(suffix, space, tmp_path):
    shape = (3, 4, 5) if len(space.spacing) == 3 else (2, 3, 4, 5)
    samples = as_samples(ramp("int16", shape), space)
    if suffix == ".inrimage":
        if len(shape) == 3:
            assert read_volume(write_volume(samples, suffix), "v").space.spacing == pytest.approx(space.spacing, rel=1e-6)
        return
    found = read_back(write_volume(samples, suffix), suffix, samples, tmp_path).space
    assert found.spacing == pytest.approx(space.spacing, rel=1e-6)
    assert found.units == space.units
    assert (found.affine is None) == (space.affine is None)
    if space.affine is not None:
        np.testing.assert_allclose(found.affine, space.affine, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".raw", ".inrimage"])
@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (2, 3, 4, 5, 3)])
def test_channels_are_kept(suffix, shape, tmp_path):
    array = ramp("float32", shape)
    samples = as_samples(array, Space(((0.5,) if len(shape) == 5 else ()) + STEPS, AFFINE, "mm"), channels=True)
    if suffix == ".inrimage" and len(shape) == 5:
        return
    check(read_back(write_volume(samples, suffix), suffix, samples, tmp_path), array, channels=True)


def test_what_cannot_be_written():
    with pytest.raises(UsageError, match=r"cannot write a volume as '.mp4'; expected one of .npy .nii"):
        written(ramp(), ".mp4")
    with pytest.raises(UsageError, match="2 channels as .tif, which holds volumes of one channel"):
        written(ramp("uint8", (3, 4, 5, 2)), ".tif", channels=True)
    with pytest.raises(UsageError, match="cannot write a volume of shape"):
        written(np.zeros((3, 4)), ".npy")


def test_missing_samples_are_written_as_nan():
    array = ramp("float32")
    array[1, 2, 3] = np.nan
    for suffix in (".npy", ".nii.gz", ".nrrd", ".tif", ".inrimage"):
        check(read_volume(written(array, suffix), "v" + suffix), array)


def test_one_page_and_flat_volumes():
    for shape in [(1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)]:
        array = ramp("uint8", shape)
        for suffix in (".npy", ".nii", ".nrrd", ".tif", ".inrimage"):
            check(read_volume(written(array, suffix), "v" + suffix), array)


# Content


@pytest.mark.parametrize("suffix", [".npy", ".nii", ".nii.gz", ".nrrd", ".inrimage"])
def test_known_by_content(suffix):
    data = written(ramp(), suffix)
    assert accepts(data[:64], "") and accepts(data[:64], ".dat")
    check(read_volume(data, "<bytes>"), ramp())


def test_known_by_suffix():
    for suffix in (".raw", ".dcm", ".nii", ".nhdr"):
        assert accepts(b"\0" * 64, suffix) and not accepts(b"\0" * 64, "")
    assert accepts(b'\n{"file": ', ".json") and not accepts(b"[1]", ".json") and not accepts(b"{", "")
    for data in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", written(ramp(), ".tif")[:64], b"PK\x03\x04" + bytes(60), b""):
        assert not accepts(data, "")
    fails(b"something else", "a.dat", "a.dat: expected a volume .* got a file beginning with b'somethin'")
    assert "NIfTI" in FORMATS


# .npy and .npz


def test_npy_orders_and_strides():
    array = ramp("int16", (3, 4, 5))
    for stored in (array, np.asfortranarray(array), array.astype(">i2"), np.asfortranarray(array.astype(">i2"))):
        signal = read_volume(npy(stored), "v.npy")
        check(signal, array)
        assert signal.dtype == "int16"


def npy_header(text: str, body: bytes = b"") -> bytes:
    head = text.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + body


@pytest.mark.parametrize(
    ("data", "words", "error"),
    [
        (npy(ramp())[:-1], "truncated: expected 120 bytes of samples, got 119", InputError),
        (npy(ramp())[:40], "damaged .npy header", InputError),
        (npy(np.zeros((4, 4))), r"expected an array of 3 axes .* got shape \(4, 4\)", InputError),
        (npy(np.zeros((0, 4, 4))), "at least one sample along every axis", InputError),
        (npy_header("{'descr': '|O', 'fortran_order': False, 'shape': (1, 1, 1)}", b"cos\nsystem\n."), "got object", InputError),
        (npy_header("{'descr': '<i2', 'fortran_order': False, 'shape': (-1, 1, 1)}"), "at least one sample", InputError),
        (
            npy_header("{'descr': '<i2', 'fortran_order': False, 'shape': (99999, 99999, 9)}"),
            "99999x99999x9 is .* samples, the limit",
            LimitExceeded,
        ),
        (npy_header("{'descr': [('a', '<i2')], 'fortran_order': False, 'shape': (1, 1, 1)}"), "expected integers or floating", InputError),
        (npy_header("__import__('os')"), "damaged .npy header", InputError),
        (b"\x93NUMPY\x09\x00", "expected version", InputError),
        (b"not numpy", "damaged .npy header", InputError),
    ],
)
def test_damaged_npy(data, words, error):
    fails(data, "v.npy", words, error)


def test_npz():
    def npz(**arrays):
        out = io.BytesIO()
        np.savez_compressed(out, **arrays)
        return out.getvalue()

    array = ramp("float32")
    for data in (npz(only=array), npz(data=array, other=np.zeros(3)), npz(arr_0=array, b=np.zeros(3))):
        assert accepts(data[:64], "")
        check(read_volume(data, "v.npz"), array)
    assert "left out: other" in read_volume(npz(data=array, other=np.zeros(3)), "v.npz").notes[0]
    fails(npz(a=array, b=array), "v.npz", "expected one array, or one named data or arr_0, got a, b")
    fails(npz(a=array)[:-30], "v.npz", "damaged or unsupported volume")
    fails(npz(), "v.npz", "got none")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4096, 4096, 4096)}", bytes(1 << 20)))
    fails(bomb.getvalue(), "v.npz", "68719476736 samples", LimitExceeded)
    corrupt = bytearray(npz(a=array))
    corrupt[120] ^= 255
    fails(bytes(corrupt), "v.npz", "v.npz: damaged")


# Raw


def raw_file(folder, array, **sidecar):
    (folder / "v.raw").write_bytes(array.tobytes())
    described = {"shape": list(array.shape), "dtype": array.dtype.name, "file": "v.raw", **sidecar}
    (folder / "v.json").write_text(json.dumps({key: value for key, value in described.items() if value is not None}))


@pytest.mark.parametrize("name", ["v.raw", "v.json"])
def test_raw(name, tmp_path):
    array = ramp("int16")
    for stored, sidecar in [
        (array, {}),
        (array, {"file": None, "byteorder": "little", "order": "C (last axis fastest)"}),
        (array.astype(">i2"), {"byteorder": "big"}),
        (array.astype(">i2"), {"dtype": ">i2"}),
        (array.T.copy(), {"order": "F", "shape": [3, 4, 5]}),
    ]:
        raw_file(tmp_path, stored, **sidecar)
        signal = read_volume((tmp_path / name).read_bytes(), str(tmp_path / name))
        check(signal, array)
        assert signal.digest == hashlib.sha256(stored.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        ({"shape": [3, 4, 6]}, r"v.raw: size: expected 144 bytes \(3x4x6 int16\), got 120"),
        ({"shape": [3, 4]}, "expected a list of 3 or 4 whole numbers"),
        ({"shape": [3, 4.0, 5]}, "whole numbers"),
        ({"shape": "3"}, "whole numbers"),
        ({"shape": None}, "expected a JSON object with shape and dtype"),
        ({"shape": [3, 4, -5]}, "at least one sample"),
        ({"dtype": "complex64"}, "got complex64"),
        ({"dtype": "elephant"}, "expected the name of a NumPy type, got 'elephant'"),
        ({"dtype": 3}, "got"),
        ({"byteorder": "middle"}, "byteorder: expected little or big, got 'middle'"),
        ({"order": "Z"}, "order: expected C or F, got 'Z'"),
        ({"file": "../v.raw"}, "expected the plain name of a file in the same folder"),
        ({"file": 7}, "expected the name of the raw file, got 7"),
        ({"file": "w.raw"}, "needs the file .*w.raw, which cannot be read: No such file"),
    ],
)
def test_damaged_raw(sidecar, words, tmp_path):
    raw_file(tmp_path, ramp(), **sidecar)
    fails((tmp_path / "v.json").read_bytes(), str(tmp_path / "v.json"), words)


def test_raw_alone(tmp_path):
    fails(b"1234", "<bytes>.raw", "needs the file <bytes>.json, which cannot be read")
    fails(b"{", "v.json", "expected the JSON description")
    fails(b"[" * 100000, "v.json", "expected the JSON description")
    fails(b" " * (1 << 21), "v.json", "at most 1048576 bytes")
    raw_file(tmp_path, ramp(), shape=[1 << 20] * 3)
    fails((tmp_path / "v.raw").read_bytes(), str(tmp_path / "v.raw"), "samples, the limit is", LimitExceeded)


# NIfTI


def nifti(array, affine=None, *, kind="Nifti1Image", endian=None, change=lambda _: None) -> bytes:
    header = getattr(nibabel, kind).header_class(endianness=endian or "<")
    header.set_data_dtype(array.dtype)
    image = getattr(nibabel, kind)(array, affine, header)
    change(image.header)
    return image.to_bytes()


@pytest.mark.parametrize("kind", ["Nifti1Image", "Nifti2Image"])
@pytest.mark.parametrize("endian", ["<", ">"])
def test_nifti_axes_and_affine(kind, endian):
    array = ramp("int16", (5, 4, 3, 2))  # x, y, z, t
    affine = np.array([[2.0, 0.1, 0.2, -9], [0.1, 3, 0.3, 7], [0.2, 0.3, 4, 5], [0, 0, 0, 1]])

    def change(header):
        header.set_xyzt_units("mm", "msec")
        header["pixdim"][4] = 2500

    data = nifti(array, affine, kind=kind, endian=endian, change=change)
    for name, stored in (
        ("v.nii", data),
        ("v.nii.gz", gzip.compress(data)),
        ("v.nii.gz", gzip.compress(data[:400]) + gzip.compress(data[400:])),
    ):
        signal = read_volume(stored, name)
        check(signal, array.T)
        matrix = np.reshape(signal.space.affine, (4, 4))
        np.testing.assert_allclose(matrix @ [2, 1, 4, 1], affine @ [4, 1, 2, 1], rtol=1e-6)  # index (z, y, x) of ours, (x, y, z) of NIfTI's
        assert signal.space.spacing == pytest.approx((2.5, *np.linalg.norm(affine[:3, :3], axis=0)[::-1]))
        assert signal.space.units == "mm"


def test_nifti_scaling():
    array = ramp("int16", (5, 4, 3))
    for slope, intercept, dtype in [(2.0, -1024.0, "float32"), (1.0, 0.0, "int16"), (0.0, 5.0, "int16"), (np.nan, np.nan, "int16")]:
        data = bytearray(nifti(array))
        data[112:120] = struct.pack("<ff", slope, intercept)
        signal = read_volume(bytes(data), "v.nii")
        assert signal.dtype == dtype
        check(signal, array.T * slope + intercept if dtype == "float32" else array.T)


def test_nifti_odd_shapes():
    for shape in [(5, 4), (5, 4, 3, 1), (5, 4, 3, 1, 1, 1)]:
        array = ramp("uint8", shape)
        check(read_volume(nifti(array), "v.nii"), array.reshape(*shape[:2], -1).T)
    colors = np.zeros((5, 4, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = ramp("uint8", (5, 4, 3))
    colors["B"] = 3
    signal = read_volume(nifti(colors), "v.nii")
    assert signal.values.shape == (3, 4, 5, 3)
    assert np.array_equal(samples_of(signal)[..., 1], colors["G"].T)
    fails(nifti(ramp("uint8", (2,) * 6)), "v.nii", "expected 2 to 5 axes")


def patched(data: bytes, at: int, code: str, *numbers) -> bytes:
    return data[:at] + struct.pack(code, *numbers) + data[at + struct.calcsize(code) :]


@pytest.mark.parametrize(
    ("change", "words", "error"),
    [
        (lambda d: d[:-1], "truncated: expected 120 bytes of samples, got 119", InputError),
        (lambda d: d[:200], "expected a single-file NIfTI", InputError),
        (lambda d: patched(d, 40, "<4h", 3, 30000, 30000, 30000), "samples, the limit is", LimitExceeded),
        (lambda d: patched(d, 40, "<4h", 3, 5, 0, 3), "at least one sample", InputError),
        (lambda d: patched(d, 40, "<4h", 3, 5, -4, 3), "at least one sample", InputError),
        (lambda d: patched(d, 108, "<f", 1e30), "expected samples from byte 348 on", InputError),
        (lambda d: patched(d, 108, "<f", np.nan), "damaged or unsupported", InputError),
        (lambda d: patched(d, 70, "<h", 32), "got complex64", InputError),
        (lambda d: patched(d, 70, "<h", 999), "damaged or unsupported", InputError),
        (lambda d: patched(d, 344, "4s", b"ni1\0"), "a header without its samples", InputError),
        (lambda d: patched(d, 344, "4s", b"wrng"), "expected a single-file NIfTI", InputError),
        (lambda _: b"nothing", "expected a single-file NIfTI, got a file beginning with b'nothing'", InputError),
    ],
)
def test_damaged_nifti(change, words, error):
    data = change(nifti(ramp("int16", (5, 4, 3))))
    fails(data, "v.nii", words, error)
    fails(gzip.compress(data), "v.nii.gz", words.replace("NIfTI,", "NIfTI in gzip data,"), error)


def test_damaged_gzip():
    data = gzip.compress(nifti(ramp("int16", (15, 14, 13))))
    for cut in (len(data) - 1, len(data) - 9, len(data) // 2, 30, 11, 3, 2):
        fails(data[:cut], "v.nii.gz", "v.nii.gz: ")
    fails(data[: len(data) // 2], "v.nii.gz", "truncated gzip data: it ends at byte")
    fails(patched(data, len(data) - 6, "B", data[-6] ^ 1), "v.nii.gz", "damaged gzip data .* incorrect data check")
    fails(gzip.compress(b"some text"), "v.nii.gz", "expected a single-file NIfTI in gzip data, got a file beginning with b'some tex'")
    check(read_volume(data + bytes(100), "v.nii.gz"), ramp("int16", (15, 14, 13)).T)


def test_gzip_bomb_is_not_unpacked():
    head = nifti(ramp("int16", (5, 4, 3)))
    bomb = gzip.compress(head + bytes(1 << 26))
    assert len(volume_formats.gunzip(bomb, "v", len(head))) < len(head) + (1 << 17)
    check(read_volume(bomb, "v.nii.gz"), ramp("int16", (5, 4, 3)).T)


# NRRD


def nrrd_file(array, fields, *, encode=lambda data: data, data=None) -> bytes:
    """Array in C order: NRRD's sizes are its shape reversed."""
    body = encode(array.tobytes()) if data is None else data
    names = {"i1": "int8", "u1": "uchar", "i2": "short", "f4": "float", "f8": "double"}
    every = {
        "type": names[array.dtype.str[1:]],
        "dimension": array.ndim,
        "sizes": " ".join(map(str, array.shape[::-1])),
        "endian": "little",
    }
    every |= {"encoding": "raw"} | fields
    return (
        "NRRD0004\n# made here\n" + "".join(f"{key}: {value}\n" for key, value in every.items() if value is not None) + "\n"
    ).encode() + body


ENCODINGS = {
    "raw": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "hex": lambda data: data.hex().encode(),
    "ascii": lambda data: " ".join(map(str, np.frombuffer(data, "<i2"))).encode(),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("detached", [False, True])
def test_nrrd_encodings(encoding, detached, tmp_path):
    array = ramp("int16")
    body = ENCODINGS[encoding](array.tobytes())
    if detached:
        (tmp_path / "v.bin").write_bytes(body)
    data = nrrd_file(array, {"encoding": encoding, "data file": "v.bin" if detached else None}, data=b"" if detached else body)
    check(read_volume(data, str(tmp_path / "v.nhdr")), array)


def test_nrrd_space():
    array = ramp("int16")
    fields = {
        "space": "left-posterior-superior",
        "space directions": "(0.5,0,0) (0,0.6,0.1) (0,0,2)",
        "space origin": "(10,20,30)",
        "space units": '"mm" "mm" "mm"',
    }
    space = read_volume(nrrd_file(array, fields), "v.nrrd").space
    matrix = np.reshape(space.affine, (4, 4))
    np.testing.assert_allclose(matrix @ [2, 1, 3, 1], [-(10 + 1.5), -(20 + 0.6), 30 + 0.1 + 4, 1])  # z 2, y 1, x 3
    assert space.spacing == pytest.approx((2, np.hypot(0.6, 0.1), 0.5)) and space.units == "mm"
    assert read_volume(nrrd_file(array, {"spacings": "1 2 nan"}), "v.nrrd").space.spacing == (0, 2, 1)


@pytest.mark.parametrize(
    ("fields", "shape", "axes", "channels"),
    [
        ({}, (2, 3, 4, 5), (2, 3, 4, 5), False),
        ({"kinds": "domain domain domain time"}, (2, 3, 4, 5), (2, 3, 4, 5), False),
        ({"kinds": "vector domain domain domain"}, (3, 4, 5, 2), (3, 4, 5, 2), True),
        ({"kinds": "RGB-color space space space list"}, (2, 3, 4, 5, 3), (2, 3, 4, 5, 3), True),
        ({"kinds": "list domain domain domain"}, (3, 4, 5, 2), (3, 4, 5, 2), True),
        ({"space dimension": 3, "space directions": "none (1,0,0) (0,1,0) (0,0,1)"}, (3, 4, 5, 2), (3, 4, 5, 2), True),
        ({}, (4, 5), (1, 4, 5), False),
    ],
)
def test_nrrd_axes(fields, shape, axes, channels):
    array = ramp("float32", shape)
    check(read_volume(nrrd_file(array, fields), "v.nrrd"), array.reshape(axes), channels=channels)


@pytest.mark.parametrize(
    ("fields", "words", "error"),
    [
        ({"sizes": "5 4"}, "expected sizes of 2 to 5 axes", InputError),
        ({"sizes": "5 4 x"}, "damaged NRRD header", InputError),
        ({"sizes": "5 4 4"}, "truncated: expected 160 bytes of samples, got 120", InputError),
        ({"sizes": "5 4 0"}, "at least one sample", InputError),
        ({"sizes": "99999 99999 99999"}, "samples, the limit", LimitExceeded),
        ({"dimension": None}, "got dimension None", InputError),
        ({"type": "block"}, "type: expected one of", InputError),
        ({"endian": None}, "endian: expected little or big, got ''", InputError),
        ({"encoding": "zrl"}, "encoding: expected raw, gzip", InputError),
        ({"encoding": "gzip"}, "damaged gzip data", InputError),
        ({"encoding": "bzip2"}, "damaged bzip2 data", InputError),
        ({"encoding": "hex"}, "v.nrrd: damaged", InputError),
        ({"encoding": "ascii"}, "truncated: expected 60 numbers", InputError),
        ({"data file": "../v.bin"}, "expected the plain name of a file", InputError),
        ({"data file": "LIST"}, "expected one data file", InputError),
        ({"data file": "v%03d.raw 1 20 1"}, "expected one data file", InputError),
        ({"data file": "none.bin"}, "needs the file none.bin, which cannot be read", InputError),
        ({"kinds": "list list domain"}, "expected 3 spatial axes", InputError),
        ({"kinds": "domain"}, "expected a kind", InputError),
        ({"line skip": 10**18}, "line skip: expected 0 to 1000", InputError),
        ({"byte skip": "999"}, "byte skip: expected at most", InputError),
    ],
)
def test_damaged_nrrd(fields, words, error):
    fails(nrrd_file(ramp(), fields), "v.nrrd", words, error)


def test_nrrd_skips():
    array = ramp("int16")
    check(read_volume(nrrd_file(array, {"byte skip": -1}, data=b"junk" + array.tobytes()), "v.nrrd"), array)
    check(read_volume(nrrd_file(array, {"byte skip": 4, "line skip": 1}, data=b"line\njunk" + array.tobytes()), "v.nrrd"), array)


# TIFF


def tiff(array, **options) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def test_stacks_and_pictures():
    array = ramp("uint16", (3, 8, 9))
    for options in (
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "zlib"},
        {"metadata": None},
        {"imagej": True},
        {"ome": True},
    ):
        data = tiff(array, photometric="minisblack", **options)
        assert is_stack(data), options
        check(read_volume(data, "v.tif"), array)
    for array in (ramp("uint8", (8, 9)), ramp("uint8", (8, 9, 3)), ramp("uint8", (2, 8, 9, 3))):
        assert not is_stack(tiff(array, photometric="rgb" if array.shape[-1] == 3 else "minisblack"))
    for data in (b"", b"II*\0", b"II*\0\x08\0\0\0", b"\x89PNG", tiff(ramp(), photometric="minisblack")[:50]):
        assert not is_stack(data)


def test_pages_of_different_shapes():
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(ramp("uint8", (8, 9)), metadata=None)
        writer.write(ramp("uint8", (4, 5)), metadata=None)
    assert not is_stack(out.getvalue())
    fails(out.getvalue(), "v.tif", "expected pages of one shape and type, got 2 pages of 4x5 8x9")


def test_imagej_spacing_and_times():
    array = ramp("uint16", (2, 3, 8, 9))
    data = tiff(array, imagej=True, resolution=(4.0, 2.0), metadata={"axes": "TZYX", "spacing": 1.5, "unit": "um", "finterval": 0.2})
    signal = read_volume(data, "v.tif")
    check(signal, array)
    assert signal.space.spacing == pytest.approx((0.2, 1.5, 0.5, 0.25)) and signal.space.units == "um"
    colored = tiff(ramp("uint16", (3, 2, 8, 9)), imagej=True, metadata={"axes": "ZCYX"})
    check(read_volume(colored, "v.tif"), np.moveaxis(ramp("uint16", (3, 2, 8, 9)), 1, -1), channels=True)


def test_damaged_tiff():
    data = tiff(ramp("uint16", (3, 8, 9)), photometric="minisblack", metadata=None)
    for cut in (8, 60, 250, len(data) // 2, len(data) - 60):  # what comes last says nothing of the samples
        fails(data[:cut], "v.tif", "v.tif: ")
    loop = bytearray(tiff(ramp("uint8", (1, 8, 9)), photometric="minisblack", metadata=None))
    (first,) = struct.unpack_from("<I", loop, 4)
    (count,) = struct.unpack_from("<H", loop, first)
    struct.pack_into("<I", loop, first + 2 + 12 * count, first)
    assert not is_stack(bytes(loop))
    huge = bytearray(tiff(ramp("uint8", (2, 8, 9)), photometric="minisblack", metadata=None))
    at = huge.find(struct.pack("<HHII", 256, 4, 1, 9))
    at = at if at >= 0 else huge.find(struct.pack("<HHI", 256, 3, 1))
    struct.pack_into("<HHII", huge, at, 256, 4, 1, 1 << 30)
    with pytest.raises(InrError, match="v.tif: "):
        read_volume(bytes(huge), "v.tif")
    fails(
        tiff(ramp("uint8", (9, 9, 9)), photometric="minisblack"), "v.tif", "729 samples", LimitExceeded, limits=Limits(output_samples=728)
    )


@pytest.mark.parametrize(("number", "title"), [(5, "LZW"), (50000, "ZSTD")])
def test_tiff_that_needs_another_package(number, title, monkeypatch):
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    data = tiff(ramp("uint8", (2, 8, 9)), photometric="minisblack", metadata=None)
    pack = struct.Struct("<HHII").pack
    packed = data.replace(pack(259, 3, 1, 1), pack(259, 3, 1, number))
    with pytest.raises(InrError, match="v.tif: ") as caught:  # some releases of tifffile and Python know it themselves
        read_volume(packed, "v.tif")
    if isinstance(caught.value, BackendMissing):
        assert str(caught.value) == f"v.tif: a TIFF compressed with {title} needs: pip install imagecodecs"


# Inrimage


def inrimage(array, **fields) -> bytes:
    depth, height, width = array.shape[:3]
    every = {"XDIM": width, "YDIM": height, "ZDIM": depth, "VDIM": array.shape[3] if array.ndim == 4 else 1}
    kind = {"u": "unsigned fixed", "i": "signed fixed", "f": "float"}[array.dtype.kind]
    every |= {"TYPE": kind, "PIXSIZE": f"{array.dtype.itemsize * 8} bits", "CPU": "sun" if array.dtype.str[0] == ">" else "decm"} | fields
    head = "#INRIMAGE-4#{\n" + "".join(f"{key}={value}\n" for key, value in every.items() if value is not None)
    return (head + "\n" * (-(len(head) + 4) % 256) + "##}\n").encode() + array.tobytes()


@pytest.mark.parametrize("dtype", ["<u1", "<i2", ">i2", ">u2", "<f4", ">f4", ">f8"])
def test_inrimage(dtype):
    array = ramp(np.dtype(dtype).newbyteorder("=").name).astype(dtype)
    signal = read_volume(inrimage(array, VX=0.5, VY=0.25, VZ=2), "v.inr")
    check(signal, array)
    assert signal.space.spacing == (2, 0.25, 0.5)
    assert len(written(array.astype(array.dtype.newbyteorder("=")), ".inrimage")) == 256 + array.nbytes


def test_inrimage_scale_and_channels():
    array = ramp("int16")
    check(read_volume(inrimage(array, SCALE="2**-3"), "v.inr"), array / 8)
    check(read_volume(inrimage(ramp("uint8", (3, 4, 5, 2))), "v.inr"), ramp("uint8", (3, 4, 5, 2)), channels=True)


@pytest.mark.parametrize(
    ("data", "words", "error"),
    [
        (inrimage(ramp())[:-1], "truncated: expected 120 bytes of samples, got 119", InputError),
        (inrimage(ramp())[:100], "expected a header #INRIMAGE-4#{", InputError),
        (inrimage(ramp(), XDIM=0), "at least one sample", InputError),
        (inrimage(ramp(), XDIM="many"), "XDIM: expected a whole number, got 'many'", InputError),
        (inrimage(ramp(), XDIM=10**9), "samples, the limit", LimitExceeded),
        (inrimage(ramp(), VDIM=10**6), "channels: expected at most", InputError),
        (inrimage(ramp(), TYPE="packed"), "got packed of 16 bits", InputError),
        (inrimage(ramp(), PIXSIZE=None), "got signed fixed of None", InputError),
        (inrimage(ramp(), CPU="vax"), "CPU: expected one of decm", InputError),
        (inrimage(ramp(), SCALE="huge"), "SCALE: expected a power", InputError),
        (inrimage(ramp(), SCALE="0**-2"), "v.inr: ", InputError),
    ],
)
def test_damaged_inrimage(data, words, error):
    fails(data, "v.inr", words, error)


# DICOM


def dicom(array, *, place=(0.0, 0.0, 0.0), number=1, **changes) -> bytes:
    """A file of one slice (rows, columns), or of several frames."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
    meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
    dataset = pydicom.dataset.Dataset()
    dataset.file_meta = meta
    every = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.9",
        "InstanceNumber": number,
        "Rows": array.shape[-2],
        "Columns": array.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": array.dtype.itemsize * 8,
        "BitsStored": array.dtype.itemsize * 8,
        "HighBit": array.dtype.itemsize * 8 - 1,
        "PixelRepresentation": int(array.dtype.kind == "i"),
        "PixelSpacing": [0.5, 0.25],
        "SliceThickness": 3,
        "ImagePositionPatient": list(place),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        **({"NumberOfFrames": array.shape[0]} if array.ndim == 3 else {}),
        **changes,
    }
    for key, value in every.items():
        if value is not None:
            setattr(dataset, key, value)
    if "PixelData" not in changes:
        dataset.PixelData = array.tobytes()
        dataset["PixelData"].VR = "OW"
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def series(folder, slices) -> list[str]:
    paths = []
    for k, data in enumerate(slices):
        paths.append(str(folder / f"{k:03}.dcm"))
        Path(paths[-1]).write_bytes(data)
    return paths


def test_dicom_series(tmp_path):
    array = ramp("int16", (4, 6, 5))
    order = [2, 0, 3, 1]
    paths = series(tmp_path, [dicom(array[k], place=(10, 20, 2 * k - 7), number=9 - k) for k in order])
    (tmp_path / "README").write_text("no slice")
    (tmp_path / "DICOMDIR").write_bytes(dicom(array[0]))
    assert dicom_paths(str(tmp_path)) == paths
    signal = read_dicom_series(paths[::-1])
    check(signal, array)
    assert signal.source == str(tmp_path) and signal.notes == ()
    assert signal.digest == read_dicom_series(paths).digest
    assert signal.space.spacing == (2, 0.5, 0.25) and signal.space.units == "mm"
    matrix = np.reshape(signal.space.affine, (4, 4))
    np.testing.assert_allclose(matrix @ [3, 2, 4, 1], [-(10 + 1), -(20 + 1), -1, 1])  # z 3, y 2, x 4


def test_dicom_by_number(tmp_path):
    array = ramp("uint16", (3, 6, 5))
    paths = series(tmp_path, [dicom(array[k], number=k + 1, ImagePositionPatient=None) for k in (1, 2, 0)])
    signal = read_dicom_series(paths)
    check(signal, array)
    assert signal.notes == ("slices in the order of their numbers: they have no positions",)
    assert signal.space == Space((3.0, 0.5, 0.25), None, "mm")


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"), [(1, -1024, "uint16"), (1, -1030, "int16"), (3, -1024, "int32"), (0.5, 0, "float32"), (1, 0, "uint16")]
)
def test_dicom_rescale(slope, intercept, dtype, tmp_path):
    array = np.linspace(1024, 30000, 24).astype(np.uint16).reshape(1, 4, 6)
    if dtype == "int32":
        array[0, 0, 0] = 0
    signal = read_volume(dicom(array[0], RescaleSlope=slope, RescaleIntercept=intercept), "v.dcm")
    assert signal.dtype == dtype
    check(signal, array * float(slope) + intercept)


def test_dicom_of_no_slope_or_no_size():
    array = np.arange(24, dtype=np.uint16).reshape(4, 6)
    with pytest.raises(InputError, match="v.dcm: RescaleSlope: expected a number other than 0"):
        read_volume(dicom(array, RescaleSlope=0, RescaleIntercept=5), "v.dcm")
    space = read_volume(dicom(array, PixelSpacing=[0, 0]), "v.dcm").space
    assert space is None or space.affine is None  # none that cannot be inverted


def test_dicom_frames():
    array = ramp("uint16", (3, 4, 6))
    signal = read_volume(dicom(array), "v.dcm")
    check(signal, array)
    assert signal.space.spacing == (3, 0.5, 0.25)
    check(read_volume(dicom(array[0]), "anything"), array[:1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SeriesInstanceUID": "1.2.10"}, "001.dcm: expected SeriesInstanceUID 1.2.9 as in .*000.dcm, got 1.2.10"),
        ({"array": ramp("int16", (5, 5))}, "001.dcm: expected Rows 4 as in .*000.dcm, got 5"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, "001.dcm: expected the orientation of .*000.dcm"),
        ({"place": (0, 0, 0)}, "001.dcm: expected slices at different places, got that of .*000.dcm"),
        ({"array": ramp("int16", (2, 4, 5))}, "001.dcm: expected one frame in each of 3 files, got 2 in this one"),
        ({"PixelData": None}, r"001.dcm: expected a DICOM image, got a file without samples \(modality unknown\)"),
    ],
)
def test_dicom_that_does_not_fit(changes, words, tmp_path):
    array = ramp("int16", (4, 5))
    odd = dict(changes)
    slices = [dicom(array, place=(0, 0, k), number=k) for k in (0, 1, 2)]
    slices[1] = dicom(odd.pop("array", array), **{"place": (0, 0, 1), "number": 1} | odd)
    with pytest.raises(InputError, match=words):
        read_dicom_series(series(tmp_path, slices))


def test_damaged_dicom(tmp_path):
    data = dicom(ramp("int16", (40, 50)))
    for cut in (len(data) - 1, len(data) // 2, 400, 140, 132):
        fails(data[:cut], "v.dcm", "v.dcm: ")
    fails(b"no such thing", "v.dcm", "expected a DICOM file, got one beginning with b'no such '")
    fails(dicom(ramp("int16", (4, 5)), Rows=60000, Columns=60000), "v.dcm", "3600000000 samples", LimitExceeded)
    fails(dicom(ramp("int16", (4, 5)), Rows=0), "v.dcm", "at least one sample")
    with pytest.raises(InputError, match="expected a folder of DICOM files, got none in it"):
        dicom_paths(str(tmp_path))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        dicom_paths(str(tmp_path / "none"))
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_dicom_series([str(tmp_path / "none.dcm")])
    with pytest.raises(InputError, match="expected DICOM files, got none"):
        read_dicom_series([])


def test_uneven_slices(tmp_path):
    paths = series(tmp_path, [dicom(ramp("int16", (4, 5)), place=(0, 0, z)) for z in (0, 1, 3, 4)])
    assert read_dicom_series(paths).notes == ("slices are 1 to 2 mm apart; read as evenly spaced",)


# Damage of any kind


SEEDS = {
    ".npy": npy(ramp()),
    ".nii": nifti(ramp()),
    ".nii.gz": gzip.compress(nifti(ramp()), mtime=0),
    ".nrrd": written(ramp(), ".nrrd", Space(STEPS, AFFINE, "mm")),
    ".tif": tiff(ramp("uint8"), photometric="minisblack"),
    ".inr": inrimage(ramp()),
    ".dcm": dicom(ramp("int16", (4, 5))),
}


@settings(max_examples=120)
@given(st.data())
def test_damage_is_one_error(data):
    suffix = data.draw(st.sampled_from(sorted(SEEDS)))
    content = bytearray(SEEDS[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content
    is_stack(bytes(content))
    try:
        signal = read_volume(bytes(content), "v" + suffix, limits=Limits(output_samples=10000))
    except (InputError, LimitExceeded) as error:
        assert str(error).startswith("v" + suffix + ": ") and "\n" not in str(error)
    else:
        assert np.isfinite(signal.values).all()


@pytest.mark.parametrize(("package", "suffix"), [("nibabel", ".nii"), ("nrrd", ".nrrd"), ("tifffile", ".tif"), ("pydicom", ".dcm")])
def test_missing_packages(package, suffix, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    fails(SEEDS[suffix], "v" + suffix, rf"needs {package}, which is not installed: pip install inrcodec\[volume\]", BackendMissing)


def test_packages_are_loaded_when_needed():
    code = "import sys, inrcodec.signals.volume, inrcodec.signals.volume_write; print(sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not [package for package in ("nibabel", "nrrd", "tifffile", "pydicom", "torch") if f"'{package}'" in loaded]


# Real files


def real(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    return path


@pytest.mark.parametrize(
    "name",
    ["a1b_air_temperature_240x37x49_float32", "hdz2000_128x128x128_uint8", "ostia_sst_nan_54x18x432_float32", "stent_256x128x128_int16"],
)
def test_real_raw(name):
    path = real(f"volume/{name}.json")
    described = json.loads(path.read_bytes())
    signal = read_volume(path.read_bytes(), str(path))
    assert [a.n for a in signal.axes] == described["shape"] and signal.dtype == described["dtype"]
    assert (signal.channels[0].low, signal.channels[0].high) == (described["min"], described["max"])
    assert (0 if signal.weights is None else int((signal.weights[..., 0] == 0).sum())) == described["nan_count"]
    raw = path.with_suffix(".raw")
    assert np.array_equal(read_volume(raw.read_bytes(), str(raw)).values, signal.values)


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [
        ("engine.nii.gz", (128, 256, 256), "uint8"),
        ("fuel.nii.gz", (32, 33, 64), "uint8"),
        ("mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", (189, 233, 197), "uint8"),
        ("pcasl_4d.nii.gz", (10, 20, 68, 52), "float32"),
    ],
)
def test_real_nifti(name, shape, dtype):
    path = real(f"volume/{name}")
    signal = read_volume(path.read_bytes(), str(path))
    assert tuple(a.n for a in signal.axes) == shape and signal.dtype == dtype
    image = nibabel.load(path)
    np.testing.assert_allclose(np.reshape(signal.space.affine, (4, 4))[:, [2, 1, 0, 3]], image.affine, atol=1e-6)
    if np.prod(shape) < 1 << 20:
        check(signal, np.asarray(image.dataobj).T)
        data = write_volume(as_samples(samples_of(signal)[..., 0], signal.space), ".nii.gz")
        np.testing.assert_allclose(read_volume(data, "v.nii.gz").space.affine, signal.space.affine, atol=1e-6)


def test_real_dicom():
    folder = real("volume/dicom_mr_vs_seg_001")
    paths = dicom_paths(str(folder))
    signal = read_dicom_series(paths[::3])
    assert [a.n for a in signal.axes] == [7, 512, 512] and signal.dtype == "uint16"
    assert signal.space.spacing == pytest.approx((4.5, 0.41015625, 0.41015625), abs=1e-6)
    ct = real("volume/dicom_ct/CT_small.dcm")
    signal = read_volume(ct.read_bytes(), str(ct))
    assert [a.n for a in signal.axes] == [1, 128, 128] and signal.dtype == "int16"
    assert (signal.channels[0].low, signal.channels[0].high) == (-896, 1167)


@pytest.mark.parametrize(
    ("name", "dtype", "bits", "missing"),
    [
        ("volume_bigendian_32x16x16_gt_i2.npy", "int16", 11, 0),
        ("volume_fortran_32x16x16_float64.npy", "float64", 16, 0),
        ("volume_nan_inf_32x16x16_float32.npy", "float32", 16, 3),
        ("volume_constant_16x16x16_uint8.npy", "uint8", 1, 0),
        ("volume_flat_1x64x64_float32.npy", "float32", 16, 0),
    ],
)
def test_real_odd(name, dtype, bits, missing):
    path = real(f"odd/{name}")
    signal = read_volume(path.read_bytes(), str(path))
    assert (signal.dtype, signal.bits) == (dtype, bits)
    assert (0 if signal.weights is None else int((signal.weights[..., 0] == 0).sum())) == missing
    array = np.load(path)
    check(signal, np.where(np.isfinite(array), array, np.nan) if missing else array)


def test_real_damaged():
    for name in ("volume_size_mismatch.raw", "volume_size_mismatch.json"):
        path = real(f"odd/{name}")
        fails(path.read_bytes(), str(path), r"volume_size_mismatch.raw: size: expected 16384 bytes \(32x16x16 int16\), got 16284")
    fails(real("odd/volume_truncated.nii.gz").read_bytes(), "t.nii.gz", "t.nii.gz: truncated gzip data: it ends at byte 2060")


def test_real_inrimage():
    signal = read_volume(real("odd/foreign_inrimage_skull.inr").read_bytes(), "skull.inr")
    assert [a.n for a in signal.axes] == [64, 64, 64] and signal.dtype == "float32"
    assert signal.space.spacing == (3.65079, 3.94305, 3.94305)
    check(read_volume(written(samples_of(signal)[..., 0], ".inrimage", signal.space), "v"), samples_of(signal)[..., 0])
