"""Pictures of a decoded video: all of them, one by one, and one at any time."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from inrcodec.coordinates import sample_centres, scaled_size
from inrcodec.decoder import Inr, Region
from inrcodec.errors import UsageError
from inrcodec.signals.base import Samples
from inrcodec.signals.codes import codes_of
from inrcodec.signals.frames import check_pattern, write_sequence


def picture_at(inr: Inr, seconds: float, *, scale: float = 1.0, bits: int | None = None, strip: bool = False) -> Samples:
    """The picture `seconds` after the first frame of a video, between frames too, on its grid scaled by `scale` of at least 1.

    Raises UsageError for another kind of signal, a time outside the video, and a video whose rate is not known.
    """
    step = _step(inr)
    (frames, *nominal), ((start, stop), *bounds) = inr.grid_shape, inr.bounds
    if not 0 <= seconds <= frames * step:
        raise UsageError(f"time: expected 0 to {frames * step:g} s, got {seconds}")
    if scale < 1:
        raise UsageError(f"time: expected a scale of at least 1, got {scale}")
    t = min(stop, start + (seconds / step + 0.5) / frames * (stop - start))
    axes = [sample_centres(m, lo, hi) for m, (lo, hi) in zip(scaled_size(nominal, scale), bounds, strict=True)]
    depth = inr.bits if bits is None else bits
    codes = codes_of(inr.on([t], *axes)[0], depth)
    return Samples(kind="image", channels=inr.channels, codes=codes, bits=depth, metadata=inr.metadata(strip=strip))


def pictures_of(
    inr: Inr,
    pattern: str,
    *,
    scale: float | None = None,
    size: Sequence[int] | None = None,
    region: Region | None = None,
    bits: int | None = None,
    strip: bool = False,
) -> Iterator[tuple[str, bytes]]:
    """Name and file of every frame, numbered from 1; as many frames are held as make a slab."""
    check_pattern(pattern)
    slabs = inr.slabs(scale=scale, size=size, region=region, bits=bits)
    shared: dict[str, Any] = {"channels": inr.channels, "bits": inr.bits if bits is None else bits, "metadata": inr.metadata(strip=strip)}
    return write_sequence((Samples(kind="video", codes=part, **shared) for part in slabs.parts), pattern)


def _step(inr: Inr) -> float:
    if inr.head["kind"] != "video":
        raise UsageError(f"time: expected a video, got {inr.head['kind']}")
    step = inr.space.spacing[0] if inr.space is not None else 0.0
    if not (math.isfinite(step) and step > 0):
        raise UsageError("time: the file does not say how far its frames are apart")
    return step
