"""Reading images: every kind of pixel in every format, and damaged files."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inrcodec.errors import InputError, InrError, LimitExceeded
from inrcodec.limits import Limits
from inrcodec.signals import read_signal
from inrcodec.signals.image import _avif_depth
from tests.pictures import SRGB, H, W, codes_of, from_codes, picture, png, saved

EXACT = [("PNG", c) for c in (1, 2, 3, 4)] + [("TIFF", c) for c in (1, 2, 3, 4)] + [("BMP", 1), ("BMP", 3), ("PPM", 1), ("PPM", 3)]


@pytest.mark.parametrize(("form", "c"), [*EXACT, ("WEBP", 3), ("WEBP", 4), ("GIF", 1)])
def test_8_bit_pixels_come_back_exactly(form, c):
    codes = picture(c)
    signal = read_signal(saved(from_codes(codes), form, **({"lossless": True} if form == "WEBP" else {})))
    assert np.array_equal(codes_of(signal), codes)
    assert (signal.kind, signal.bits, signal.weights, signal.notes) == ("image", 8, None, ())
    assert [(a.name, a.n, a.lo, a.hi) for a in signal.axes] == [("y", H, -1.0, 1.0), ("x", W, -1.0, 1.0)]
    assert [ch.name for ch in signal.channels] == {1: ["Y"], 2: ["Y", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}[c]
    assert [ch.role for ch in signal.channels] == ["color"] * (c - 1 + c % 2) + ["alpha"] * (1 - c % 2)
    assert signal.values.dtype == np.float32 and signal.values.flags.c_contiguous


@pytest.mark.parametrize(("form", "c"), [("JPEG", 1), ("JPEG", 3), ("AVIF", 3), ("AVIF", 4), ("GIF", 3)])
def test_lossy_formats_come_back_close(form, c):
    signal = read_signal(saved(from_codes(picture(c)), form))
    assert signal.values.shape == (H, W, c)
    assert np.abs(signal.values - picture(c) / 255).mean() < 0.06


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_1_bit(form):
    signal = read_signal(saved(Image.fromarray(picture(1, 1)[:, :, 0].astype(bool)), form))
    assert signal.bits == 1
    assert np.array_equal(codes_of(signal), picture(1, 1))


@pytest.mark.parametrize("depth", [2, 4])
def test_narrow_grey_png_is_widened_and_its_key_too(depth):
    levels = 2**depth - 1
    row = np.array([0, 1, 2, 3])
    packed = bytes([0b00011011]) if depth == 2 else bytes([0x01, 0x23])
    data = png(4, 1, depth, 0, [packed], (b"tRNS", struct.pack(">H", 2)))
    signal = read_signal(data)
    assert np.array_equal(codes_of(signal)[0, [0, 1, 3], 0], row[[0, 1, 3]] * 255 // levels)
    assert np.array_equal(signal.values[0, :, 1], [1, 1, 0, 1])


@pytest.mark.parametrize(("form", "byteorder"), [("PNG", ">"), ("TIFF", "<"), ("TIFF", ">")])
def test_16_bit_grey(form, byteorder):
    codes = picture(1, 16)
    mode = "I;16B" if byteorder == ">" else "I;16"
    image = Image.frombytes(mode, (W, H), codes.astype(f"{byteorder}u2").tobytes())
    signal = read_signal(saved(image, form))
    assert signal.bits == 16
    assert np.array_equal(codes_of(signal), codes)


@pytest.mark.parametrize(("c", "kind"), [(2, 4), (3, 2), (4, 6)])
def test_16_bit_png_keeps_all_bits(c, kind):
    codes = picture(c, 16)
    signal = read_signal(png(W, H, 16, kind, [row.astype(">u2").tobytes() for row in codes]))
    assert signal.bits == 16
    assert np.array_equal(codes_of(signal), codes)


@pytest.mark.parametrize(("c", "kind"), [(2, 4), (3, 2), (4, 6)])
def test_16_bit_interlaced_png(c, kind):
    codes = picture(c, 16)
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    rows = [row.astype(">u2").tobytes() for y, dy, x, dx in passes for row in codes[y::dy, x::dx]]
    assert np.array_equal(codes_of(read_signal(png(W, H, 16, kind, rows, interlace=1))), codes)


def test_colour_key_is_compared_in_16_bits():
    codes = np.array([[[1, 2, 3], [1, 2, 4], [1, 2, 3]]], np.uint16)
    signal = read_signal(png(3, 1, 16, 2, [codes[0].astype(">u2").tobytes()], (b"tRNS", struct.pack(">3H", 1, 2, 3))))
    assert np.array_equal(signal.values[0, :, 3], [0, 1, 0])
    assert np.array_equal(signal.weights[0, :, 0], [0, 1, 0])


def test_colour_key_of_rgb_grey_and_bitmap():
    rgb = np.array([[[9, 8, 7], [9, 8, 6]]], np.uint8)
    assert np.array_equal(read_signal(saved(from_codes(rgb), "PNG", transparency=(9, 8, 7))).values[0, :, 3], [0, 1])
    grey = np.array([[[5], [6]]], np.uint8)
    assert np.array_equal(read_signal(saved(from_codes(grey), "PNG", transparency=6)).values[0, :, 1], [1, 0])
    signal = read_signal(png(8, 1, 1, 0, [b"\x0f"], (b"tRNS", b"\0\1")))
    assert signal.bits == 1 and np.array_equal(codes_of(signal)[0, :, 1], [1, 1, 1, 1, 0, 0, 0, 0])


@pytest.mark.parametrize(
    "options", [{}, {"byteorder": ">"}, {"tile": (16, 16)}, {"compression": "zlib"}, {"compression": "zlib", "byteorder": ">"}]
)
@pytest.mark.parametrize("c", [3, 4])
def test_16_bit_colour_tiff_of_another_writer(c, options):
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, picture(c, 16), photometric="rgb", extrasamples=["unassalpha"] * (c - 3), **options)
    signal = read_signal(out.getvalue())
    assert signal.bits == 16
    assert np.array_equal(codes_of(signal), picture(c, 16))


def test_tiles_of_16_bit_colour_beyond_the_border():
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    codes = np.random.default_rng(1).integers(0, 65536, (21, 37, 3)).astype(np.uint16)
    tifffile.imwrite(out, codes, photometric="rgb", tile=(16, 16))
    assert np.array_equal(codes_of(read_signal(out.getvalue())), codes)


def test_16_bit_tiff_that_cannot_be_read_whole_is_refused():
    tifffile = pytest.importorskip("tifffile")
    for codes, options in [
        (picture(3, 16).transpose(2, 0, 1), {"planarconfig": "separate"}),
        (picture(4, 16), {"extrasamples": ["assocalpha"]}),
    ]:
        for compression in (None, "zlib"):
            out = io.BytesIO()
            tifffile.imwrite(out, np.ascontiguousarray(codes), photometric="rgb", compression=compression, **options)
            with pytest.raises(InputError, match="16-bit TIFF"):
                read_signal(out.getvalue(), limits=Limits())
    out = io.BytesIO()
    tifffile.imwrite(out, picture(1, 16)[:, :, 0].astype(np.int32))
    with pytest.raises(InputError, match="not supported"):
        read_signal(out.getvalue())


def test_white_is_zero_and_12_bits():
    tifffile = pytest.importorskip("tifffile")
    codes = picture(1, 16)[:, :, 0]
    out = io.BytesIO()
    tifffile.imwrite(out, codes, photometric="miniswhite")
    assert np.array_equal(codes_of(read_signal(out.getvalue()))[:, :, 0], 65535 - codes.astype(int))
    image = Image.frombytes("L", (3, 1), bytes(3))
    data = bytearray(saved(image, "TIFF"))  # one strip at the end: 0x123 0x456 0x789 as 12-bit samples
    at = data.find(struct.pack("<HHI", 258, 3, 1))
    data[at + 8 : at + 10] = struct.pack("<H", 12)
    signal = read_signal(bytes(data[:-3]) + bytes.fromhex("1234567890"))
    assert signal.bits == 12
    assert codes_of(signal).ravel().tolist() == [0x123, 0x456, 0x789]


def test_floating_point_tiff():
    values = (picture(1, 16)[:, :, 0] / 65535).astype(np.float32)
    signal = read_signal(saved(Image.fromarray(values), "TIFF"))
    assert signal.bits == 16 and "16 bits" in signal.notes[0]
    assert np.array_equal(codes_of(signal), picture(1, 16))
    values[2, 3] = np.nan
    with pytest.raises(InputError, match=r"expected finite values in \[0, 1\], got nan at \[2, 3\]"):
        read_signal(saved(Image.fromarray(values), "TIFF"))


@pytest.mark.parametrize("colours", [[(9, 9, 9), (50, 50, 50), (200, 200, 200), (0, 0, 0)], [(1, 2, 3), (4, 5, 6), (7, 8, 9), (0, 0, 0)]])
def test_palette(colours):
    index = Image.frombytes("P", (W, H), (np.arange(H * W) % 4).astype(np.uint8).tobytes())
    index.putpalette([v for colour in colours for v in colour])
    table = np.array(colours)[:, : 1 if colours[0][0] == colours[0][1] else 3]
    for form in ("PNG", "GIF", "BMP", "TIFF"):
        assert np.array_equal(codes_of(read_signal(saved(index, form)))[0, :4], table), form
    alpha = codes_of(read_signal(saved(index, "PNG", transparency=bytes([255, 128, 255, 255]))))
    assert np.array_equal(alpha[0, :4], np.column_stack([table, [255, 128, 255, 255]]))
    hidden = read_signal(saved(index, "GIF", transparency=1))
    assert np.array_equal(hidden.values[0, :4, -1], [1, 0, 1, 1])


def test_a_grey_palette_with_an_rgb_profile_stays_rgb():
    index = Image.new("P", (2, 2))
    index.putpalette([7, 7, 7])
    signal = read_signal(saved(index, "PNG", icc_profile=SRGB))
    assert signal.values.shape == (2, 2, 3) and signal.metadata.icc == SRGB


def cmyk_profile():
    """The smallest thing that calls itself a CMYK profile; nothing can be converted with it."""
    return struct.pack(">I", 128) + bytes(8) + b"prtrCMYKLab " + bytes(12) + b"acsp" + bytes(88)


def test_cmyk_is_converted_and_says_so():
    codes = np.zeros((2, 2, 4), np.uint8)
    codes[0, 0] = 255, 0, 0, 0
    image = Image.frombytes("CMYK", (2, 2), codes.tobytes())
    signal = read_signal(saved(image, "TIFF"))
    assert codes_of(signal)[:, :, 0].tolist() == [[0, 255], [255, 255]]
    assert signal.notes == ("CMYK converted to RGB without a profile",)
    signal = read_signal(saved(image, "TIFF", icc_profile=cmyk_profile()))
    assert "damaged" in signal.notes[0] and signal.metadata.icc is None and len(signal.notes) == 1
    assert read_signal(saved(image, "JPEG", quality=95)).values.shape == (2, 2, 3)


def test_other_kinds_of_tiff():
    image = Image.frombytes("YCbCr", (2, 1), bytes([255, 128, 128, 0, 128, 128]))
    assert codes_of(read_signal(saved(image, "TIFF"))).tolist() == [[[255] * 3, [0] * 3]]
    with pytest.raises(InputError, match="TIFF samples of kind 'LAB' are not supported; expected grey or RGB"):
        read_signal(saved(Image.new("LAB", (2, 2)), "TIFF"))
    tifffile = pytest.importorskip("tifffile")
    out = io.BytesIO()
    tifffile.imwrite(out, np.zeros((2, 2, 4), np.uint16), photometric="separated")
    assert "16-bit CMYK read as 8 bits" in read_signal(out.getvalue()).notes


def test_a_profile_of_another_colour_space_is_left_out():
    signal = read_signal(saved(from_codes(picture(1)), "PNG", icc_profile=SRGB))
    assert signal.metadata.icc is None and "'RGB'" in signal.notes[0]


def test_more_pictures_than_one():
    frames = [from_codes(picture(1)), from_codes(255 - picture(1))]
    for form in ("GIF", "TIFF", "PNG"):
        signal = read_signal(saved(frames[0], form, save_all=True, append_images=frames[1:]), kind="image")
        assert np.array_equal(codes_of(signal), picture(1))
        assert signal.notes == ("the first of 2 pictures; the others are left out",)


def test_avif_depth_is_declared_in_its_av1c_box():
    data = saved(from_codes(picture(3)), "AVIF")
    flags = data.find(b"av1C") + 6
    assert [_avif_depth(data[:flags] + bytes([value]) + data[flags + 1 :]) for value in (0x0C, 0x4C, 0x6C)] == [8, 10, 12]
    assert _avif_depth(data[: flags - 1]) == 8


def test_colours_under_transparency_do_not_matter():
    codes = picture(4)
    codes[2:4, 3:6, 3] = 0
    codes[2:4, 3:6, :3] = 255
    signal = read_signal(saved(from_codes(codes), "PNG"))
    hidden = codes[:, :, 3] == 0
    assert np.array_equal(signal.weights, np.concatenate([np.repeat(~hidden[:, :, None], 3, 2), np.ones((H, W, 1))], axis=2))
    assert np.allclose(signal.values[hidden, :3], codes[~hidden, :3].mean(axis=0) / 255, atol=1e-6)
    assert np.array_equal(signal.values[:, :, 3], (codes[:, :, 3] / 255).astype(np.float32))
    everything = read_signal(saved(from_codes(codes * 0), "PNG"))
    assert not everything.values.any() and not everything.weights[:, :, :3].any()


def test_constant_alpha_stays():
    codes = picture(4)
    codes[:, :, 3] = 255
    signal = read_signal(saved(from_codes(codes), "PNG"))
    assert signal.values.shape[2] == 4 and signal.weights is None


@pytest.mark.parametrize(
    ("data", "bits", "codes"),
    [
        (b"P5 2 1 255\n\x07\xff", 8, [7, 255]),
        (b"P5\n# a comment\n2 1\n# another 9\n1023\n\x00\x01\x03\xff", 10, [1, 1023]),
        (b"P5 2 1 100\n\x00\x32", 8, [0, 128]),
        (b"P5 1 1 1000\n\x01\xf4", 16, [32768]),
        (b"P6 1 1 65535\n\x12\x34\x56\x78\x9a\xbc", 16, [0x1234, 0x5678, 0x9ABC]),
        (b"P2 2 1 4095 # top\n17 # one\n4095\n", 12, [17, 4095]),
        (b"P3 1 1 255\n1 2 3\n", 8, [1, 2, 3]),
        (b"P1 2 1\n1 0\n", 1, [0, 1]),
        (b"P4 2 1\n\x80", 1, [0, 1]),
    ],
)
def test_pnm(data, bits, codes):
    signal = read_signal(data)
    assert (signal.bits, codes_of(signal).ravel().tolist()) == (bits, codes)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"P5 2 1 255\n\x07", "truncated PNM: expected 2 samples, got 1"),
        (b"P3 1 1 255\n1 2", "truncated PNM: expected 3 samples, got 2"),
        (b"P3 1 1 255\n1 2 300", "outside 0 to 255"),
        (b"P3 1 1 255\n1 2 x", "damaged or unsupported"),
        (b"P5 1 1 70000\n\x07\x07", "1 to 65535"),
        (b"P5 x 1 255\n\x07", "damaged PNM header"),
        (b"P6 0 1 255\n", "no pixels"),
    ],
)
def test_damaged_pnm(data, words):
    with pytest.raises(InputError, match=words):
        read_signal(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM"])
def test_a_cut_file_is_never_a_partial_picture(form):
    data = saved(from_codes(picture(3)), form)
    whole = read_signal(data)
    refused = 0
    for length in range(1, len(data)):
        try:
            signal = read_signal(data[:length])
        except InputError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            assert np.array_equal(signal.values, whole.values)
    assert refused > 0.9 * (len(data) - 4)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM"])
@settings(max_examples=40)
@given(changes=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_raises_nothing_but_our_errors(form, changes):
    data = bytearray(saved(from_codes(picture(3)), form))
    for place, value in changes:
        data[place % len(data)] = value
    try:
        signal = read_signal(bytes(data), limits=Limits(pixels=10_000))
    except InrError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(signal.values).all() and signal.values.min() >= 0 and signal.values.max() <= 1


def test_damaged_pixels_of_a_png():
    data = bytearray(saved(from_codes(picture(3)), "PNG", compress_level=0))
    data[-40] ^= 1
    with pytest.raises(InputError, match="wrong CRC of the IDAT chunk at byte 33"):
        read_signal(bytes(data))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "GIF", "BMP", "PPM"])
def test_pixel_limit(form):
    data = saved(from_codes(picture(3)), form)
    assert read_signal(data, limits=Limits(pixels=H * W)).values.shape[:2] == (H, W)
    with pytest.raises(LimitExceeded, match=rf"{W}x{H} is {W * H} pixels, the limit is {W * H - 1} \(Limits.pixels\)"):
        read_signal(data, limits=Limits(pixels=H * W - 1))


def test_the_limit_of_pillow_does_not_count(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    assert read_signal(saved(from_codes(picture(3)), "PNG")).values.shape == (H, W, 3)
    with pytest.raises(LimitExceeded):
        read_signal(saved(from_codes(picture(3)), "TIFF"))
