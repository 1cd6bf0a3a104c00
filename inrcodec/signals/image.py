"""Images: files and arrays to signals.

Pillow decodes. Kept here is what it alone would lose: the low bytes of 16-bit colour, the bit depth, colour keys, and the
difference between a whole picture and a partial one.
"""

import hashlib
import io
import struct
import sys
import warnings
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import BackendMissing, InputError, InrError, LimitExceeded
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.base import Axis, Channel, Metadata, Signal
from inrcodec.signals.codes import rescale_codes, values_of_codes
from inrcodec.signals.orientation import turn_upright, upright_exif, upright_xmp
from inrcodec.signals.pnm import read_header, read_pnm
from inrcodec.signals.transparency import hide, mean_color, visible_counts
from inrcodec.signals.volume_tiff import numbers_of

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from PIL.TiffImagePlugin import TiffImageFile

__all__ = ["CHANNELS", "FORMATS", "TIFF_DESCRIPTIVE", "accepts", "image_from_array", "need_pillow", "read_image", "rescale_codes"]

FORMATS = "PNG, JPEG, WebP, TIFF, AVIF, GIF, BMP or PNM"
_Y, _A = Channel("Y", "color"), Channel("A", "alpha")
_RGB = (Channel("R", "color"), Channel("G", "color"), Channel("B", "color"))
CHANNELS = {1: (_Y,), 2: (_Y, _A), 3: _RGB, 4: (*_RGB, _A)}  # by number of channels

_SIGNATURES = (
    ("PNG", b"\x89PNG\r\n\x1a\n"),
    ("JPEG", b"\xff\xd8\xff"),
    ("TIFF", b"II*\0"),
    ("TIFF", b"MM\0*"),
    ("TIFF", b"II+\0"),
    ("TIFF", b"MM\0+"),
    ("GIF", b"GIF87a"),
    ("GIF", b"GIF89a"),
    ("BMP", b"BM"),
    *(("PPM", b"P" + digit + space) for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"f") for space in (b"\n", b" ", b"\t", b"\r")),
)
_AS_VOLUME = "kind volume reads grey ones as numbers"
_TIFF_BITS, _TIFF_PHOTOMETRIC, _TIFF_SAMPLES, _TIFF_PLANAR = 258, 262, 277, 284
# What a TIFF directory says about the picture rather than about its storage.
TIFF_DESCRIPTIVE = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 34665, 34853)
_HIGH_TO_LOW = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}


@dataclass(frozen=True)
class _Pixels:
    """Codes (h, w, c) as stored, their bits, and notes on conversions."""

    codes: NDArray[Any]
    bits: int
    notes: tuple[str, ...] = ()


def format_of(head: bytes) -> str | None:
    """Pillow's name of the format that a file with these first bytes has; None for others than FORMATS."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and (b"avif" in head[8:64] or b"avis" in head[8:64]):
        return "AVIF"
    return next((name for name, signature in _SIGNATURES if head.startswith(signature)), None)


def accepts(head: bytes, suffix: str) -> bool:
    """Whether `read_image` knows a file with these first bytes (64 are enough); the suffix does not matter."""
    return format_of(head) is not None


def need_pillow() -> None:
    """Raise BackendMissing where Pillow is not installed."""
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise BackendMissing("images need Pillow, which is not installed; install it with: pip install pillow") from error


def read_image(data: bytes, name: str, *, limits: Limits = DEFAULT_LIMITS, strip: bool = False) -> Signal:
    """An image file as a signal, upright, with its metadata (with `strip` the ICC profile alone).

    Raises InputError for what is damaged or not supported, LimitExceeded for more than `limits.pixels`.
    """
    form = format_of(data[:64])
    if form is None:
        raise InputError(f"{name}: expected an image ({FORMATS}), got a file beginning with {data[:8]!r}")
    if form == "TIFF" and (numbers := numbers_of(data)) is not None:  # Pillow reads signed bytes as unsigned ones
        raise InputError(f"{name}: TIFF: {numbers} are not supported; expected unsigned samples of at most 16 bits; {_AS_VOLUME}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pixels, metadata = _decode(data, form, name, limits)
        except InrError:
            raise
        except Exception as error:  # decoders raise nearly anything on damaged files
            if type(error).__name__ == "DecompressionBombError":  # TIFF alone still asks Pillow's global, far above the default limit
                raise LimitExceeded(f"{name}: {_one_line(error)}") from error
            raise InputError(f"{name}: damaged or unsupported {form} file: {_one_line(error)}") from error
    if strip:
        metadata = Metadata(icc=metadata.icc)
    return _signal(pixels, metadata, name, hashlib.sha256(data).hexdigest())


def image_from_array(array: NDArray[Any], name: str = "array", *, limits: Limits = DEFAULT_LIMITS) -> Signal:
    """An array (h, w) or (h, w, c), c 1..4, of uint8, uint16, bool or floats in [0, 1] as a signal; raises InputError, LimitExceeded."""
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] > 4):
        raise InputError(f"{name}: expected shape (h, w) or (h, w, c) with c 1 to 4, got {array.shape}")
    h, w = array.shape[:2]
    _check_size(w, h, name, limits)
    digest = hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
    if array.dtype == np.bool_:
        codes: NDArray[Any] = array.astype(np.uint8)
        bits = 1
    elif array.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        codes, bits = array, 8 * array.dtype.itemsize
    elif np.issubdtype(array.dtype, np.floating):
        codes, bits = _float_codes(array, name)
    else:
        raise InputError(f"{name}: expected uint8, uint16, bool or floating point, got {array.dtype}")
    return _signal(_Pixels(codes.reshape(h, w, -1), bits), Metadata(), name, digest)


def _signal(pixels: _Pixels, metadata: Metadata, name: str, digest: str) -> Signal:
    h, w, c = pixels.codes.shape
    values = values_of_codes(pixels.codes, pixels.bits)
    hidden = c in (2, 4) and not pixels.codes[:, :, -1].all()
    return Signal(
        kind="image",
        axes=(Axis("y", h), Axis("x", w)),
        channels=CHANNELS[c],
        weights=hide(values, mean_color(visible_counts(pixels.codes, pixels.bits))) if hidden else None,
        values=values,
        samples=pixels.codes,
        bits=pixels.bits,
        source=name,
        digest=digest,
        metadata=metadata,
        notes=pixels.notes,
    )


def _float_codes(values: NDArray[Any], name: str, hint: str = "") -> tuple[NDArray[Any], int]:
    inside = (values >= 0) & (values <= 1)  # False for NaN
    if not inside.all():
        place = tuple(int(i) for i in np.unravel_index(int(np.argmin(inside)), values.shape))
        raise InputError(f"{name}: expected finite values in [0, 1], got {values[place]} at {list(place)}{hint}")
    scaled = values.astype(np.float64) * 255
    codes = np.floor(scaled + 0.5)
    if np.abs(scaled - codes).max() < 1e-4:  # a float32 k / 255 is within 2e-5
        return codes.astype(np.uint8), 8
    return np.floor(scaled * 257 + 0.5).astype(np.uint16), 16


def _decode(data: bytes, form: str, name: str, limits: Limits) -> tuple[_Pixels, Metadata]:
    if form == "PPM" and data[1:2] in b"2356":
        _, width, height, _, _ = read_header(data, name)
        _check_size(width, height, name, limits)
        return _Pixels(*read_pnm(data, name)), Metadata()
    image = open_header(io.BytesIO(data), form)
    _check_size(*image.size, name, limits)
    if form == "PNG":
        _check_png(data, name)
    if form == "TIFF":
        _check_tiff(image, name)
    first = first_of(getattr(image, "n_frames", 1))
    image.load()
    metadata, orientation = metadata_of(image)
    pixels = _pixels(image, data, name, metadata.icc)
    notes = pixels.notes + first
    if form == "AVIF" and _avif_depth(data) > 8:
        notes += (f"{_avif_depth(data)}-bit AVIF read as 8 bits",)
    codes = turn_upright(pixels.codes, orientation)
    metadata, told = with_fitting_icc(metadata, codes.shape[2])
    return _Pixels(codes, pixels.bits, notes + (told if image.mode != "CMYK" else ())), metadata


def first_of(pictures: int) -> tuple[str, ...]:
    """The note that of a file with so many pictures one is read."""
    return (f"the first of {pictures} pictures; the others are left out",) if pictures > 1 else ()


def with_fitting_icc(metadata: Metadata, channels: int) -> tuple[Metadata, tuple[str, ...]]:
    """The metadata without an ICC profile that is not for so many channels, and a note on it."""
    space = (metadata.icc or b"")[16:20]
    if metadata.icc is None or space == (b"GRAY" if channels < 3 else b"RGB "):
        return metadata, ()
    left = f"ICC profile of another colour space left out: {space.decode('latin-1').strip()!r}"
    return Metadata(exif=metadata.exif, xmp=metadata.xmp), (left,)


def open_header(file: IO[bytes], form: str) -> "ImageFile":
    """Read the header. The plugin is called directly: Image.open compares the size with a global of Pillow instead of `limits`."""
    need_pillow()
    from PIL import Image

    Image.init()
    return Image.OPEN[form][0](file, "")


def _check_size(width: int, height: int, name: str, limits: Limits) -> None:
    if width < 1 or height < 1:
        raise InputError(f"{name}: an image of {width}x{height} has no pixels")
    if width * height > limits.pixels:
        raise LimitExceeded(f"{name}: {width}x{height} is {width * height} pixels, the limit is {limits.pixels} (Limits.pixels)")


def _check_png(data: bytes, name: str) -> None:
    """Lengths and the CRCs of critical chunks up to IEND; Pillow skips those of the pixels."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if kind[:1].isupper() and zlib.crc32(memoryview(data)[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise InputError(f"{name}: damaged PNG file: wrong CRC of the {kind.decode('latin-1')} chunk at byte {at}")
        if kind == b"IEND":
            return
        at = end
    raise InputError(f"{name}: truncated PNG file: it ends at byte {len(data)} before its IEND chunk")


def _check_tiff(image: "ImageFile", name: str) -> None:
    """Every pixel lies in a plain strip or tile of each plane: Pillow leaves black what lies in none. libtiff checks packed ones."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    w, h, planes = tags[256], tags[257], tags.get(_TIFF_SAMPLES, 1) if tags.get(_TIFF_PLANAR, 1) == 2 else 1
    tiles: list[Any] = list(image.tile)
    if any(codec != "raw" for codec, *_ in tiles):
        return
    covered = sum((min(x1, w) - x0) * (min(y1, h) - y0) for _, (x0, y0, x1, y1), *_ in tiles)
    if covered < w * h * planes:
        raise InputError(f"{name}: truncated TIFF: expected strips of {w * h * planes} samples, got {max(0, covered)}")


def _pixels(image: "ImageFile", data: bytes, name: str, icc: bytes | None) -> _Pixels:
    depth = _depth(image, data)
    match image.mode:
        case "RGB" | "RGBA" if depth > 8:
            if image.format == "PNG" and data[25] == 4:
                return _Pixels(_grey_alpha_16(data), 16)
            return _color_key(_Pixels(_both_bytes(image, data, name), 16), image, depth)
        case "1" | "L" | "RGB":
            codes: NDArray[Any] = np.atleast_3d(np.asarray(image)).astype(np.uint8, copy=False)
            return _color_key(_Pixels(codes, 1 if image.mode == "1" else 8), image, depth)
        case "LA" | "RGBA":
            return _Pixels(np.asarray(image), 8)
        case "La" | "YCbCr":
            return _Pixels(np.asarray(image.convert("LA" if image.mode == "La" else "RGB")), 8)
        case "P" | "PA":
            return _palette(image, keep_color=icc is not None)
        case "CMYK":
            return _cmyk(image, icc, deep=depth > 8)
        case "I;16" | "I;16B":
            bits = 12 if depth == 12 else 16
            codes = np.asarray(image).astype(np.uint16, copy=False)[:, :, None]
            codes = (1 << bits) - 1 - codes if _white_is_zero(image) else codes
            return _color_key(_Pixels(codes, bits), image, depth)
        case "F":
            hint = f"; {_AS_VOLUME}" if image.format == "TIFF" else ""
            codes = rescale_codes(*_float_codes(np.asarray(image), f"{name}: floating-point samples", hint), 16)[:, :, None]
            return _Pixels(65535 - codes if _white_is_zero(image) else codes, 16, ("floating-point samples read as 16 bits",))
        case mode:
            raise InputError(f"{name}: {image.format} samples of kind {mode!r} are not supported; expected grey or RGB of at most 16 bits")


def _color_key(pixels: _Pixels, image: "ImageFile", depth: int) -> _Pixels:
    """A transparent colour (PNG tRNS, GIF) as an alpha channel."""
    key = image.info.get("transparency")
    if key is None:
        return pixels
    top = (1 << pixels.bits) - 1
    if image.mode == "1":
        key = min(key, 1)
    elif depth < 8:  # samples were widened to 8 bits, the key was not
        key = key * 255 // ((1 << depth) - 1)
    alpha = np.where((pixels.codes == np.atleast_1d(key)).all(axis=2, keepdims=True), 0, top).astype(pixels.codes.dtype)
    return _Pixels(np.concatenate([pixels.codes, alpha], axis=2), pixels.bits, pixels.notes)


def _palette(image: "ImageFile", *, keep_color: bool) -> _Pixels:
    """Palette indices as RGB or RGBA; as grey where every pixel is, unless an ICC profile speaks of RGB."""
    alpha = image.mode == "PA" or "transparency" in image.info
    codes = np.asarray(image.convert("RGBA" if alpha else "RGB"))
    if not keep_color and (codes[:, :, :1] == codes[:, :, 1:3]).all():
        codes = codes[:, :, [0, 3] if alpha else [0]]
    return _Pixels(codes, 8)


def _cmyk(image: "ImageFile", icc: bytes | None, *, deep: bool) -> _Pixels:
    from PIL import Image, ImageCms

    note = "CMYK converted to RGB without a profile"
    converted: Image.Image | None = None
    if icc is not None and icc[16:20] == b"CMYK":
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            note = "CMYK converted to sRGB with the profile of the file"
        except (ImageCms.PyCMSError, OSError):
            note = "CMYK converted to RGB without its profile, which is damaged"
    notes = (note, "16-bit CMYK read as 8 bits") if deep else (note,)
    return _Pixels(np.asarray(converted or image.convert("RGB")), 8, notes)


def _grey_alpha_16(data: bytes) -> NDArray[Any]:
    """16-bit grey and alpha are four bytes a pixel, filtered like 8-bit RGBA: read the file as that and join the bytes."""
    header = b"IHDR" + data[16:24] + b"\x08\x06" + data[26:29]
    image = open_header(io.BytesIO(data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]), "PNG")
    return np.asarray(image).view(">u2").astype(np.uint16)


def _both_bytes(image: "ImageFile", data: bytes, name: str) -> NDArray[Any]:
    """16-bit colour. Pillow keeps the high bytes; told the opposite byte order, it keeps the low ones."""
    form = str(image.format)
    if form == "TIFF" and image.tag_v2.get(_TIFF_PLANAR, 1) != 1:  # type: ignore[attr-defined]
        raise InputError(f"{name}: 16-bit TIFF in separate colour planes is not supported; expected interleaved samples")
    low = open_header(io.BytesIO(data), form)
    args = low.tile[0].args
    rawmode = args[0] if isinstance(args, tuple) else args
    if rawmode is None or rawmode[:-1] not in ("RGB;16", "RGBA;16", "RGBX;16"):
        raise InputError(
            f"{name}: 16-bit {form} samples stored as {rawmode} are not supported; expected RGB with or without straight alpha"
        )
    swapped = rawmode[:-1] + _HIGH_TO_LOW[rawmode[-1]]
    low.tile = [tile._replace(args=(swapped, *tile.args[1:]) if isinstance(tile.args, tuple) else swapped) for tile in low.tile]
    codes = np.asarray(image).astype(np.uint16)
    codes <<= 8
    codes |= np.asarray(low)
    return codes


def _depth(image: "ImageFile", data: bytes) -> int:
    """Bits per sample that the header declares; 8 where the format has no choice."""
    if image.format == "PNG":
        return data[24]
    return max(image.tag_v2.get(_TIFF_BITS, (1,))) if image.format == "TIFF" else 8  # type: ignore[attr-defined]


def _white_is_zero(image: "ImageFile") -> bool:
    return image.format == "TIFF" and image.tag_v2.get(_TIFF_PHOTOMETRIC) == 0  # type: ignore[attr-defined]


def _avif_depth(data: bytes) -> int:
    at = data.find(b"av1C")
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def metadata_of(image: "ImageFile") -> tuple[Metadata, int]:
    """Metadata that say orientation 1, and the orientation the samples still have."""
    info = image.info
    exif = info.get("exif")
    if exif is None and "Raw profile type exif" in info:
        exif = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
    if image.format == "TIFF":
        exif = _tiff_exif(image)  # type: ignore[arg-type]
    xmp = info.get("xmp")
    turned, exif = upright_exif(exif.removeprefix(b"Exif\0\0")) if exif else (None, None)
    turned_xmp, xmp = upright_xmp(bytes(xmp)) if xmp else (None, None)
    # Pillow turns TIFF itself.
    orientation = 1 if image.format == "TIFF" else turned or turned_xmp or 1
    return Metadata(icc=info.get("icc_profile") or None, exif=exif, xmp=xmp), orientation


def _tiff_exif(image: "TiffImageFile") -> bytes | None:
    from PIL import Image

    tags = image.getexif()
    kept = Image.Exif()
    for tag in TIFF_DESCRIPTIVE:
        if tag in tags:
            kept[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
    return kept.tobytes() if len(kept) else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
