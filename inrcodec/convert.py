"""An .inr file written anew from its own parts: the same function in canonical chunks, with more or less metadata. Nothing is fitted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inrcodec import spec
from inrcodec.chunks import Chunk
from inrcodec.container import compress, dump, load
from inrcodec.decoder import Inr
from inrcodec.errors import InputError, UsageError
from inrcodec.limits import DEFAULT_LIMITS, Limits
from inrcodec.signals.orientation import upright_exif, upright_xmp
from inrcodec.structure import check_structure

KNOWN = (spec.ICC, spec.EXIF, spec.XMP, spec.PROVENANCE, spec.METRICS)  # what stays true of the samples, whatever else is rewritten
EXIF_PREFIX = b"Exif\0\0"  # of EXIF as it stands in JPEG


def rewrapped(
    data: bytes,
    *,
    strip: bool = False,
    exif: bytes | None = None,
    icc: bytes | None = None,
    xmp: bytes | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> bytes:
    """The file with its chunks in canonical order and form, of the version that this package writes; the same samples.

    Of each type that is known the first chunk stays, of others those that are safe to copy. strip: no ancillary chunk stays but the colour
    profile, which is part of what colours mean. exif (from its TIFF header on, or with the prefix of JPEG), icc and xmp take the place of
    the file's; their orientation is set to upright.
    Raises what a damaged file raises, InputError for metadata that are not what they should be, UsageError for a profile of anything else
    than an image.
    """
    container = load(data, limits)
    check_structure(Inr(container, len(data), backend="numpy", device="cpu", limits=limits))
    head = _with_profile(container.head, icc)
    fresh = [*_profile(icc, head), *_exif(exif), *_xmp(xmp)]
    kept = [chunk for chunk in _kept(container.ancillary, strip=strip) if chunk.type not in {new.type for new in fresh}]
    result = dump(replace(container, head=head, ancillary=(*fresh, *kept)))
    load(result, limits)
    return result


def _kept(chunks: Sequence[Chunk], *, strip: bool) -> list[Chunk]:
    """The first of each known type, and unless stripped those of unknown types that are safe to copy."""
    result: list[Chunk] = []
    seen: set[bytes] = set()
    for chunk in chunks:
        known, safe = chunk.type in KNOWN, chunk.type[3:].islower()
        wanted = chunk.type == spec.ICC if strip else known or safe
        if wanted and not (known and chunk.type in seen):
            result.append(chunk)
        seen.add(chunk.type)
    return result


def _with_profile(head: dict[str, Any], icc: bytes | None) -> dict[str, Any]:
    if icc is None:
        return head
    if head["kind"] != "image":
        raise UsageError(f"icc: expected an image, got {head['kind']}")
    return {**head, "color": {**head.get("color", {}), "icc": True}}


def _profile(icc: bytes | None, head: Mapping[str, Any]) -> list[Chunk]:
    if icc is None:
        return []
    if icc[36:40] != b"acsp":
        raise InputError(f"icc: expected an ICC profile, got {len(icc)} bytes without its signature")
    colors = sum(channel["role"] == "color" for channel in head["out"]["channels"])
    wanted = b"GRAY" if colors == 1 else b"RGB "
    if icc[16:20] != wanted:
        raise InputError(f"icc: expected a profile of {wanted.decode().strip()} for {colors} channels of colour, got {icc[16:20]!r}")
    return [_limited(Chunk(spec.ICC, compress(icc)), len(icc))]


def _exif(exif: bytes | None) -> list[Chunk]:
    if exif is None:
        return []
    plain = exif.removeprefix(EXIF_PREFIX)
    if plain[:4] not in (b"II*\0", b"MM\0*"):
        raise InputError(f"exif: expected EXIF from its TIFF header on, got {plain[:4]!r}")
    return [_limited(Chunk(spec.EXIF, upright_exif(plain)[1]), len(plain))]


def _xmp(xmp: bytes | None) -> list[Chunk]:
    if xmp is None:
        return []
    try:
        text = xmp.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"xmp: expected UTF-8, got other bytes at {error.start}") from error
    if "<" not in text:
        raise InputError(f"xmp: expected an XMP packet, got {len(xmp)} bytes without an element")
    return [_limited(Chunk(spec.XMP, upright_xmp(xmp)[1]), len(xmp))]


def _limited(chunk: Chunk, size: int) -> Chunk:
    if size > DEFAULT_LIMITS.ancillary_bytes:
        raise InputError(f"{chunk.type.decode()}: expected at most {DEFAULT_LIMITS.ancillary_bytes} bytes, got {size}")
    return chunk
