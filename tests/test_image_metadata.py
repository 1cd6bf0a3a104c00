"""Orientation, EXIF, XMP and ICC profiles of images that are read."""

import re

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Transpose
from PIL.PngImagePlugin import PngInfo

from inrcodec.signals import read_signal
from inrcodec.signals.orientation import upright_exif
from tests.pictures import SRGB, XMP, from_codes, picture, saved

UNDO = {  # what turns an upright picture into one stored with this orientation
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("carrier", ["exif", "xmp"])
def test_orientation_is_baked_in(form, orientation, carrier):
    codes = np.kron(picture(3)[:8:2, :6], np.ones((8, 8, 1), np.uint8))  # (32, 48): JPEG and AVIF keep blocks
    stored = from_codes(codes)
    if orientation > 1:
        stored = stored.transpose(UNDO[orientation])
    exif = Image.Exif()
    exif[0x010F] = "maker"
    options = {"exif": exif} if form != "PNG" or carrier == "exif" else {}
    if carrier == "exif":
        exif[0x0112] = orientation
    else:
        packet = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r tiff:Orientation="{orientation}"/></x:xmpmeta>'
        if form == "PNG":
            options["pnginfo"] = PngInfo()
            options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet)
        elif form == "TIFF":
            exif[700] = packet.encode()
        else:
            options["xmp"] = packet.encode()
    quality = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}.get(form, {"quality": 100, "subsampling": "4:4:4"})
    signal = read_signal(saved(stored, form, **options, **quality))
    assert signal.values.shape == codes.shape
    assert np.abs(signal.values - codes / 255).max() < (0.04 if form in ("JPEG", "AVIF") else 1e-6)
    found = Image.Exif()
    found.load(signal.metadata.exif or b"")
    assert found.get(0x0112, 1) == 1
    if carrier == "xmp":
        assert not re.search(rb'tiff:Orientation="[2-8]"', signal.metadata.xmp)


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "TIFF"])
def test_exif_wins_over_xmp(form):
    exif = Image.Exif()
    exif[0x0112] = 1
    packet = b'<r tiff:Orientation="6"/>'
    options = {} if form == "TIFF" else {"xmp": packet}
    if form == "TIFF":
        exif[700] = packet
    signal = read_signal(saved(from_codes(picture(3)), form, exif=exif, **options))
    assert signal.values.shape == picture(3).shape and signal.metadata.xmp == b'<r tiff:Orientation="1"/>'


def test_only_the_orientation_changes_in_exif():
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0x829A] = 0.5
    before = exif.tobytes()[6:]
    after = read_signal(saved(from_codes(picture(3)), "PNG", exif=exif)).metadata.exif
    assert [a for a, b in zip(before, after, strict=True) if a != b] == [6]


def test_metadata_and_strip():
    exif = Image.Exif()
    exif[0x010F] = "maker"
    for form in ("JPEG", "WEBP", "AVIF"):
        data = saved(from_codes(picture(3)), form, exif=exif, icc_profile=SRGB, xmp=XMP)
        kept = read_signal(data).metadata
        assert (kept.icc, kept.exif, kept.xmp) == (SRGB, exif.tobytes()[6:], XMP), form
        stripped = read_signal(data, strip=True).metadata
        assert (stripped.icc, stripped.exif, stripped.xmp) == (SRGB, None, None), form


def test_exif_of_a_tiff_says_nothing_of_its_storage():
    exif = Image.Exif()
    exif[0x010F] = "maker"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    found = Image.Exif()
    found.load(read_signal(saved(from_codes(picture(3)), "TIFF", exif=exif.tobytes())).metadata.exif)
    assert found[0x010F] == "maker" and found.get_ifd(0x8769)[0x829A] == 0.5
    assert 256 not in found and 273 not in found
    assert read_signal(saved(from_codes(picture(3)), "TIFF")).metadata.exif is None


def test_damaged_exif_has_no_orientation():
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()[6:]
    assert upright_exif(whole)[0] == 6
    for damaged in (b"", b"nonsense", whole[:12], whole.replace(b"\0\6", b"\0\x0c"), b"II*\0" + b"\xff" * 20):
        assert upright_exif(damaged) == (None, damaged)
