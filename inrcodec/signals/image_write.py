"""Decoded images to files, at their bit depth where the format has it, else rounded to the nearest one it has."""

import io
import shutil
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from inrcodec.errors import UsageError
from inrcodec.signals.base import Metadata, Samples, Slabs, as_slabs
from inrcodec.signals.codes import rescale_codes
from inrcodec.signals.image import TIFF_DESCRIPTIVE, need_pillow
from inrcodec.signals.pnm import write_pnm

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp", ".ppm", ".pgm", ".npy")
STREAMED = (".tif", ".tiff", ".npy")
_WITHOUT_ALPHA = (".jpg", ".jpeg", ".bmp", ".ppm", ".pgm")
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    "AVIF": {"quality": 95},
    "GIF": {},
    "BMP": {},
}
_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".avif": "AVIF", ".gif": "GIF", ".bmp": "BMP"}
_LARGE = 16_000_000  # pixels from which zlib's default level takes too long
_BLOCK = 1 << 22  # bytes filtered and compressed at a time
_TIFF_MOST = (1 << 32) - (1 << 26)  # bytes of samples; more need 64-bit offsets


def write_image(samples: Samples, suffix: str) -> bytes:
    """The file with these samples in the format of `suffix` (lower case, one of SUFFIXES).

    JPEG and AVIF at quality 95 without chroma subsampling, WebP lossless, GIF with 256 colours. Raises UsageError for an unknown
    suffix and for what the format cannot hold.
    """
    h, w, c = samples.codes.shape
    if suffix not in SUFFIXES:
        raise UsageError(f"cannot write an image as {suffix!r}; expected one of {' '.join(SUFFIXES)}")
    if c in (2, 4) and suffix in _WITHOUT_ALPHA:
        keep = " ".join(s for s in SUFFIXES if s not in _WITHOUT_ALPHA)
        raise UsageError(f"cannot write an image with alpha as {suffix}; expected one of {keep}")
    match suffix:
        case ".npy" | ".tif" | ".tiff":
            out = io.BytesIO()
            stream_image(as_slabs(samples), suffix, out)
            return out.getvalue()
        case ".ppm" | ".pgm":
            if c == 3 and suffix == ".pgm":
                raise UsageError("cannot write a colour image as .pgm, which is grey; expected .ppm or another suffix")
            return write_pnm(samples.codes, samples.bits)
        case ".png":
            bits = _depth(samples.bits, c)
            codes = rescale_codes(samples.codes, samples.bits, bits)
            level = _level(h, w)
            return _png_16(codes, samples.metadata, level) if bits == 16 else _png(codes, bits, samples.metadata, level)
        case _:
            return _with_pillow(rescale_codes(samples.codes, samples.bits, 8), _FORMATS[suffix], samples.metadata)


def stream_image(slabs: Slabs, suffix: str, out: IO[bytes]) -> None:
    """Write codes (h, w, c) into `out` in the format of `suffix` (one of STREAMED) as they come: the bytes of `write_image`."""
    if suffix == ".npy":
        dtype = slabs.dtype.newbyteorder("<")
        described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": slabs.shape}
        np.lib.format.write_array_header_1_0(out, described)
        for part in slabs.parts:
            out.write(np.ascontiguousarray(part, dtype).data)
        return
    if out.seekable():
        _tiff(slabs, out)
        return
    with tempfile.TemporaryFile() as whole:  # where strips lie is known when all are packed, and stated before them
        _tiff(slabs, whole)
        whole.seek(0)
        shutil.copyfileobj(whole, out, _BLOCK)


def _depth(bits: int, channels: int) -> int:
    """Of the codes in a file."""
    return 1 if bits == 1 and channels == 1 else 8 if bits <= 8 else 16


def _level(h: int, w: int) -> int:
    return 6 if h * w <= _LARGE else 1


def _with_pillow(codes: NDArray[np.uint8], form: str, metadata: Metadata) -> bytes:
    need_pillow()
    c = codes.shape[2]
    if form == "GIF" and c in (2, 4):  # a GIF pixel is transparent or not
        codes = codes.copy()
        codes[:, :, -1] = np.where(codes[:, :, -1] < 128, 0, 255)
    held = {"icc_profile": metadata.icc, "exif": metadata.exif, "xmp": metadata.xmp}
    if (form, c) in (("WEBP", 1), ("WEBP", 2), ("AVIF", 2)):  # written as colour, which a profile of grey does not fit
        del held["icc_profile"]
    if form == "AVIF" and metadata.exif and _parsed(metadata.exif) is None:  # Pillow asks it for the orientation
        del held["exif"]
    if form == "JPEG" and metadata.exif:
        held["exif"] = b"Exif\0\0" + metadata.exif
    options: dict[str, Any] = {key: value for key, value in held.items() if value} if form in ("JPEG", "WEBP", "AVIF") else {}
    if form == "AVIF":
        options["subsampling"] = "4:0:0" if c == 1 else "4:4:4"
    return _save(_image(codes), form, {**_OPTIONS[form], **options})


def _png(codes: NDArray[np.uint8], bits: int, metadata: Metadata, level: int) -> bytes:
    need_pillow()
    from PIL.PngImagePlugin import PngInfo

    options: dict[str, Any] = {"compress_level": level}
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.xmp:
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return _save(_image(codes.astype(np.bool_) if bits == 1 else codes), "PNG", options)


def _image(codes: NDArray[Any]) -> "Image.Image":
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(codes[:, :, 0] if codes.shape[2] == 1 else codes))


def _save(image: "Image.Image", form: str, options: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    if form == "GIF" and image.mode == "LA":
        image = image.convert("RGBA")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged EXIF
            image.save(out, form, **options)
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise UsageError(f"cannot write {image.width}x{image.height} pixels as {form}: {' '.join(str(error).split())}") from error
    return out.getvalue()


def _png_16(codes: NDArray[np.uint16], metadata: Metadata, level: int) -> bytes:
    """Pillow writes 16 bits of grey only."""
    h, w, c = codes.shape
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, 16, {1: 0, 2: 4, 3: 2, 4: 6}[c], 0, 0, 0))]
    if metadata.icc:
        parts.append(_chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.exif:
        parts.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        parts.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp))
    packer = zlib.compressobj(level)
    for block in _filtered(codes):
        if packed := packer.compress(block):
            parts.append(_chunk(b"IDAT", packed))
    parts.append(_chunk(b"IDAT", packer.flush()))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))


def _filtered(codes: NDArray[np.uint16]) -> Iterator[bytes]:
    """PNG's filtered rows, a block at a time: for each row the filter with the least sum of absolute residuals."""
    h, w, c = codes.shape
    step = max(1, _BLOCK // (2 * w * c))
    above = np.zeros((1, 2 * w * c), np.uint8)
    for start in range(0, h, step):
        x = np.ascontiguousarray(codes[start : start + step], ">u2").view(np.uint8).reshape(-1, 2 * w * c)  # (rows, bytes)
        up = np.concatenate([above, x[:-1]])
        above = x[-1:]
        left, corner = (np.pad(rows, ((0, 0), (2 * c, 0)))[:, : -2 * c] for rows in (x, up))
        mean = ((left.astype(np.uint16) + up) >> 1).astype(np.uint8)
        best = x  # filter 0
        cost = _residual(best)
        choice = np.zeros(len(x), np.uint8)
        for number, guess in enumerate((left, up, mean, _paeth(left, up, corner)), 1):
            rows = x - guess
            found = _residual(rows)
            better = found < cost
            best = np.where(better[:, None], rows, best)
            cost = np.where(better, found, cost)
            choice[better] = number
        yield np.concatenate([choice[:, None], best], axis=1).tobytes()


def _residual(rows: NDArray[np.uint8]) -> NDArray[np.int64]:
    cost: NDArray[np.int64] = np.abs(rows.view(np.int8).astype(np.int16)).sum(axis=1, dtype=np.int64)
    return cost


def _paeth(left: NDArray[np.uint8], up: NDArray[np.uint8], corner: NDArray[np.uint8]) -> NDArray[np.uint8]:
    a, b, c = (rows.astype(np.int16) for rows in (left, up, corner))
    to_a, to_b, to_c = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), left, np.where(to_b <= to_c, up, corner))


def _tiff(slabs: Slabs, out: IO[bytes]) -> None:
    """A baseline TIFF in deflated strips, with horizontal differences above one bit; BigTIFF where offsets need 64 bits."""
    need_pillow()
    h, w, c = slabs.shape
    bits, level = _depth(slabs.bits, c), _level(h, w)
    row = w * c * max(1, bits // 8)
    rows = min(h, max(1, (_BLOCK if bits > 1 else 8 * _BLOCK) // row))
    big = h * row > _TIFF_MOST
    count = -(-h // rows)
    start = out.tell()
    out.write(bytes(len(_directory(slabs, bits, rows, [0] * count, big))))
    sizes = []
    for strip in _rows_of(slabs.parts, rows):
        packed = zlib.compress(_strip(rescale_codes(strip, slabs.bits, bits), bits), level)
        out.write(packed)
        sizes.append(len(packed))
    out.seek(start)
    out.write(_directory(slabs, bits, rows, sizes, big))
    out.seek(0, io.SEEK_END)


def _rows_of(parts: Iterable[NDArray[Any]], rows: int) -> Iterator[NDArray[Any]]:
    """The same samples in parts of `rows`; the last may have fewer."""
    held: list[NDArray[Any]] = []
    for part in parts:
        at = 0
        while at < len(part):
            piece = part[at : at + rows - sum(map(len, held))]
            at += len(piece)
            held.append(piece)
            if sum(map(len, held)) == rows:
                yield np.concatenate(held)
                held = []
    if held:
        yield np.concatenate(held)


def _directory(slabs: Slabs, bits: int, rows: int, sizes: list[int], big: bool) -> bytes:
    """Header and directory of a TIFF with strips of `rows` rows and these sizes behind it; its length does not depend on the sizes."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    _, w, c = slabs.shape
    metadata = slabs.metadata
    directory = ImageFileDirectory_v2(b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0\0\0\0\0")
    if metadata.exif and (exif := _parsed(metadata.exif)) is not None:
        for tag in TIFF_DESCRIPTIVE:
            if tag in exif:
                directory[tag] = exif.get_ifd(tag) if tag in (34665, 34853) else exif[tag]
    facts = {
        256: w,
        257: slabs.shape[0],
        258: (bits,) * c,
        259: 8,  # deflate
        262: 1 if c < 3 else 2,  # black is zero, RGB
        273: tuple(int(offset) for offset in np.cumsum([0, *sizes[:-1]])),  # the directory adds its own end
        277: c,
        278: rows,
        279: tuple(sizes),
        284: 1,  # interleaved
        317: 1 if bits == 1 else 2,  # horizontal differences
    }
    if c in (2, 4):
        facts[338] = 2  # straight alpha
    if metadata.xmp:
        facts[700] = metadata.xmp
    if metadata.icc:
        facts[34675] = metadata.icc
    for tag, value in facts.items():
        directory[tag] = value
    directory.tagtype[273] = directory.tagtype[279] = 16 if big else 4  # LONG8, LONG
    out = io.BytesIO()
    directory.save(out)
    return out.getvalue()


def _parsed(exif: bytes | None) -> "Image.Exif | None":
    """EXIF taken apart, or None where it is damaged: a file may hold any bytes as its EXIF."""
    from PIL import Image

    parsed = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed.load(exif or b"")
            for tag in (*parsed, 34665, 34853):
                parsed.get_ifd(tag) if tag in (34665, 34853) else parsed[tag]
    except Exception:  # Pillow raises nearly anything on damaged EXIF
        return None
    return parsed


def _strip(codes: NDArray[Any], bits: int) -> bytes:
    if bits == 1:
        return np.packbits(codes[:, :, 0], axis=1).tobytes()
    out = codes.astype(codes.dtype.newbyteorder("<"))
    out[:, 1:] -= codes[:, :-1]
    return out.tobytes()
