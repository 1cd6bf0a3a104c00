"""Writing images: what is written is read back, by this package and by others."""

import io
import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from inrcodec.errors import BackendMissing, UsageError
from inrcodec.signals import read_signal, writer_for
from inrcodec.signals.base import Metadata, Samples
from inrcodec.signals.codes import rescale_codes
from inrcodec.signals.image import CHANNELS
from inrcodec.signals.image_write import SUFFIXES, write_image
from tests.pictures import SRGB, XMP, H, W, codes_of, picture

NO_METADATA = Metadata()


def samples(codes, bits, metadata=NO_METADATA):
    return Samples(kind="image", channels=CHANNELS[codes.shape[2]], codes=codes, bits=bits, metadata=metadata)


@given(st.integers(1, 16), st.integers(1, 16), st.data())
def test_rescale_codes_is_exact(bits, bits_out, data):
    top, top_out = 2**bits - 1, 2**bits_out - 1
    codes = np.array(data.draw(st.lists(st.integers(0, top), min_size=1, max_size=20)), np.uint16)
    found = rescale_codes(codes, bits, bits_out)
    assert found.tolist() == [(2 * code * top_out + top) // (2 * top) for code in codes.tolist()]
    assert found.dtype == (np.uint8 if bits_out <= 8 else np.uint16)
    if bits_out >= bits:
        assert np.array_equal(rescale_codes(found, bits_out, bits), codes)


def test_rescale_codes_known_values():
    assert rescale_codes(np.array([0, 1, 255]), 8, 16).tolist() == [0, 257, 65535]
    assert rescale_codes(np.array([0, 128, 129, 65535]), 16, 8).tolist() == [0, 0, 1, 255]
    assert rescale_codes(np.array([127, 128]), 8, 1).tolist() == [0, 1]


LOSSLESS = [
    *((suffix, c, bits) for suffix in (".png", ".tif", ".tiff") for c in (1, 3, 4) for bits in (8, 16)),
    *((".png", 2, bits) for bits in (8, 16)),
    (".tif", 2, 8),
    (".png", 1, 1),
    (".tif", 1, 1),
    *((suffix, 1, bits) for suffix in (".pgm", ".ppm") for bits in (1, 5, 8, 12, 16)),
    *((".ppm", 3, bits) for bits in (1, 5, 8, 12, 16)),
    *((".bmp", c, 8) for c in (1, 3)),
    *((".webp", c, 8) for c in (3, 4)),
    (".gif", 1, 8),
]


@pytest.mark.parametrize(("suffix", "c", "bits"), LOSSLESS)
def test_lossless_round_trip(suffix, c, bits):
    codes = picture(c, bits)
    signal = read_signal(writer_for("image", suffix)(samples(codes, bits), suffix))
    assert signal.bits == bits
    assert np.array_equal(codes_of(signal), codes)


DEEP = (".png", ".tif", ".tiff")
WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp", ".ppm", ".pgm")
TOLERANCE = {".jpg": 0.08, ".jpeg": 0.08, ".avif": 0.08, ".gif": 0.1}  # of 1, beside rounding to 8 bits


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".npy", ".ppm", ".pgm")])
@pytest.mark.parametrize("bits", [1, 4, 8, 12, 16])
@pytest.mark.parametrize("c", [1, 3])
def test_every_depth_in_every_format(suffix, bits, c):
    signal = read_signal(write_image(samples(picture(c, bits), bits), suffix))
    kept = bits == 1 and c == 1 and suffix in DEEP
    assert signal.bits == (1 if kept else 16 if bits > 8 and suffix in DEEP else 8)
    assert np.abs(signal.values[:, :, :c] - picture(c, bits) / (2**bits - 1)).max() <= TOLERANCE.get(suffix, 0) + 0.501 / 255


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("bits", [1, 8, 12, 16])
@pytest.mark.parametrize("c", [2, 4])
def test_alpha(suffix, bits, c):
    codes = picture(c, bits)
    if suffix in WITHOUT_ALPHA:
        with pytest.raises(UsageError, match=f"alpha as {suffix}; expected one of .png"):
            write_image(samples(codes, bits), suffix)
        return
    data = write_image(samples(codes, bits), suffix)
    if suffix == ".npy":
        found = np.load(io.BytesIO(data))
        assert np.array_equal(found, codes) and found.dtype == codes.dtype
    elif c == 2 and bits > 8 and suffix in (".tif", ".tiff"):  # Pillow cannot read it
        found = pytest.importorskip("tifffile").imread(io.BytesIO(data))
        assert np.array_equal(found, rescale_codes(codes, bits, 16))
    else:
        alpha = codes[:, :, -1] / (2**bits - 1)
        expected = alpha >= 0.5 if suffix == ".gif" else alpha
        assert np.abs(read_signal(data).values[:, :, -1] - expected).max() <= (0.02 if suffix == ".avif" else 0.501 / 255)


@pytest.mark.parametrize("c", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_tiff_is_read_by_others(c, bits):
    tifffile = pytest.importorskip("tifffile")
    codes = picture(c, bits)
    with tifffile.TiffFile(io.BytesIO(write_image(samples(codes, bits), ".tif"))) as file:
        page = file.pages[0]
        assert np.array_equal(page.asarray().reshape(codes.shape), codes if bits != 1 or c == 1 else codes * 255)
        assert page.photometric == (2 if c > 2 else 1)
        assert [int(v) for v in page.extrasamples] == [2] * (c in (2, 4))


def unfilter(data):
    """Rows of a 16-bit PNG, by the letter of its specification."""
    at, packed = 8, b""
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        payload = data[at + 8 : at + 8 + length]
        assert zlib.crc32(name + payload) == struct.unpack_from(">I", data, at + 8 + length)[0]
        if name == b"IHDR":
            width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", payload)
            assert (depth, rest) == (16, [0, 0, 0])
        packed += payload if name == b"IDAT" else b""
        at += 12 + length
    c = {0: 1, 4: 2, 2: 3, 6: 4}[kind]
    raw, stride, used = zlib.decompress(packed), 2 * c * width, set()
    above = bytearray(stride)
    rows = []
    for y in range(height):
        number, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        used.add(number)
        for i in range(stride):
            left, corner = (row[i - 2 * c], above[i - 2 * c]) if i >= 2 * c else (0, 0)
            up = above[i]
            p = left + up - corner
            paeth = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
            row[i] = (row[i] + (0, left, up, (left + up) // 2, paeth)[number]) % 256
        rows.append(bytes(row))
        above = row
    return np.frombuffer(b"".join(rows), ">u2").reshape(height, width, c), used


@pytest.mark.parametrize("c", [1, 2, 3, 4])
def test_16_bit_png_by_its_specification(c, monkeypatch):
    monkeypatch.setattr("inrcodec.signals.image_write._BLOCK", 300)  # several blocks
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 65536, (H, W, c)).astype(np.uint16)
    ramp = np.cumsum(rng.integers(0, 600, (H, W, c)), axis=1).astype(np.uint16)
    codes = np.concatenate([noise, ramp, np.repeat(ramp[-1:], 4, axis=0), picture(c, 16), picture(c, 16) // 2])
    found, used = unfilter(write_image(samples(codes, 16), ".png"))
    assert np.array_equal(found, codes)
    assert len(used) >= 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".avif", ".tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_metadata_round_trip(suffix, bits):
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    metadata = Metadata(icc=SRGB, exif=exif.tobytes()[6:], xmp=XMP)
    found = read_signal(write_image(samples(picture(3, bits), bits, metadata), suffix)).metadata
    assert (found.icc, found.xmp) == (SRGB, XMP)
    tags = Image.Exif()
    tags.load(found.exif)
    assert tags[0x010F] == "maker" and tags.get_ifd(0x8769)[0x829A] == 0.5
    if suffix != ".tif":
        assert found.exif == metadata.exif


def test_exif_cannot_break_a_tiff():
    exif = Image.Exif()
    exif[256], exif[262], exif[0x0112] = 3, 0, 6  # a width, a photometric interpretation, an orientation
    data = write_image(samples(picture(3), 8, Metadata(exif=exif.tobytes()[6:])), ".tif")
    assert np.array_equal(codes_of(read_signal(data)), picture(3))


@pytest.mark.parametrize("suffix", [".gif", ".bmp", ".ppm", ".npy"])
def test_metadata_are_left_out_where_the_format_has_no_place(suffix):
    metadata = Metadata(icc=SRGB, exif=b"MM\0*\0\0\0\x08\0\0\0\0\0\0", xmp=XMP)
    assert write_image(samples(picture(3), 8, metadata), suffix) == write_image(samples(picture(3), 8), suffix)


def test_jpeg_keeps_full_chroma():
    with Image.open(io.BytesIO(write_image(samples(picture(3), 8), ".jpg"))) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_cmyk_profile_is_used(monkeypatch):
    used = []

    def convert(image, source, target, outputMode):
        used.append((source, outputMode))
        return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "ImageCmsProfile", lambda file: file.read())
    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    profile = bytes(16) + b"CMYK" + bytes(108)
    out = io.BytesIO()
    Image.new("CMYK", (2, 2)).save(out, "TIFF", icc_profile=profile)
    signal = read_signal(out.getvalue())
    assert used == [(profile, "RGB")] and codes_of(signal)[0, 0].tolist() == [1, 2, 3]
    assert signal.notes == ("CMYK converted to sRGB with the profile of the file",) and signal.metadata.icc is None


def test_large_pictures_are_packed_at_the_fast_level(monkeypatch):
    codes = np.tile(picture(3), (9, 9, 1))
    small = [len(write_image(samples(codes, 8), suffix)) for suffix in (".png", ".tif")]
    monkeypatch.setattr("inrcodec.signals.image_write._LARGE", 1)
    for suffix, size in zip((".png", ".tif"), small, strict=True):
        data = write_image(samples(codes, 8), suffix)
        assert len(data) > size and np.array_equal(codes_of(read_signal(data)), codes)


def test_webp_keeps_colours_under_transparency():
    codes = picture(4)
    codes[:, :, 3] = 0
    with Image.open(io.BytesIO(write_image(samples(codes, 8), ".webp"))) as image:
        assert np.array_equal(np.asarray(image), codes)


@pytest.mark.parametrize(("suffix", "c"), [(".jpg", 1), *((suffix, c) for suffix in (".webp", ".avif", ".png", ".tif") for c in (1, 2))])
def test_a_grey_profile_is_never_written_for_colour(suffix, c):
    grey = SRGB[:16] + b"GRAY" + SRGB[20:]
    with Image.open(io.BytesIO(write_image(samples(picture(c), 8, Metadata(icc=grey)), suffix))) as image:
        kept = image.info.get("icc_profile")
    assert kept == (grey if suffix in (".png", ".tif", ".jpg") or (suffix, c) == (".avif", 1) else None)


def test_without_pillow(monkeypatch):
    png = write_image(samples(picture(3), 8), ".png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    for suffix in (".png", ".tif", ".jpg"):
        with pytest.raises(BackendMissing, match="pip install pillow"):
            write_image(samples(picture(3), 8), suffix)
    with pytest.raises(BackendMissing, match="pip install pillow"):
        read_signal(png)
    assert np.array_equal(codes_of(read_signal(write_image(samples(picture(3), 8), ".ppm"))), picture(3))


def test_what_cannot_be_written():
    with pytest.raises(UsageError, match=r"cannot write an image as '.txt'; expected one of .png"):
        write_image(samples(picture(3), 8), ".txt")
    with pytest.raises(UsageError, match=r"alpha as .jpg; expected one of .png .webp .tif .tiff .avif .gif .npy"):
        write_image(samples(picture(4), 8), ".jpg")
    with pytest.raises(UsageError, match=r"cannot write a colour image as .pgm"):
        write_image(samples(picture(3), 8), ".pgm")
    with pytest.raises(UsageError, match="cannot write 20000x1 pixels as WEBP"):
        write_image(samples(np.zeros((1, 20000, 3), np.uint8), 8), ".webp")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("exif", [b"junkjunk", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09\x01\x0f"])
def test_damaged_exif_does_not_keep_a_picture_from_being_written(suffix, exif):
    c = 1 if suffix == ".pgm" else 3
    data = write_image(samples(picture(c), 8, Metadata(exif=exif)), suffix)
    if suffix != ".npy":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of reading
            assert Image.open(io.BytesIO(data)).size == (W, H)
