"""What a client may say of an encode: the query of POST /v1/jobs, and the rules it keeps to before anything is read."""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from inrcodec.batch.options import EncodeOptions
from inrcodec.bounded import stated_bound
from inrcodec.errors import UsageError
from inrcodec.fit.request import Request, check_request

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class JobQuery(BaseModel):
    """The options of `inrcodec encode` but for those that are the server's own (device, threads, what goes on in its files), and for --set,
    by which a network may be of any size. --rate is of folders of pictures, and a job has one file.
    """

    name: str = Field(default="", max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$", description="What the source is called, to be shown.")
    kind: Literal["image", "volume", "audio", "video", "shape"] | None = Field(
        default=None, description="What the source is, where its content leaves a choice."
    )
    quality: float | None = Field(default=None, ge=0, le=100, description="How much an error counts against a byte; 75 without a target.")
    psnr: float | None = Field(default=None, ge=5, le=80, description="Target: at least this PSNR in dB.")
    bpp: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Target: at most this many bits per sample.")
    size: int | None = Field(default=None, ge=64, le=2**53, description="Target: at most this many bytes.")
    max_error: str | None = Field(default=None, max_length=64, description="Every sample is within so much of the source, or so many %.")
    lossless: bool = Field(default=False, description="Decoded samples are those of the source; integers only.")
    metric: Literal["psnr", "ssim"] = "psnr"
    effort: int = Field(default=5, ge=1, le=9, description="1 (fast) .. 9 (best): how long to fit.")
    preset: Literal["default", "paper"] | None = None
    arch: str | None = Field(default=None, max_length=64, description="Network.")
    seed: int = Field(default=0, ge=0, lt=2**63)
    strip: bool = Field(default=False, description="Leave out EXIF and XMP.")
    frames: int | None = Field(default=None, ge=1, le=2**31, description="Of a video the first frames.")
    start: Seconds | None = Field(default=None, description="Of sound or video: begin here.")
    stop: Seconds | None = Field(default=None, description="Of sound or video: end here.")
    protocol: Literal["default", "finer"] | None = Field(default=None, description="Of a shape, what is fitted.")
    sign: Literal["winding", "error"] | None = Field(
        default=None, description="Of an open mesh: inside by its winding number, or an error."
    )
    deterministic: bool = Field(default=False, description="Leave out the provenance chunk.")
    time_limit: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="Seconds; the server's own bound is kept too.")


def options_of(query: JobQuery) -> EncodeOptions:
    """Raises UsageError where they cannot be met together."""
    options = EncodeOptions(**query.model_dump(exclude={"name"}))
    check(options)
    return options


def check(options: EncodeOptions) -> None:
    """Raise UsageError for what `encode` refuses of any source, or of any of the kind that is stated."""
    if sum(value is not None for value in (options.quality, options.psnr, options.bpp, options.size)) > 1:
        raise UsageError("target: expected at most one of quality, psnr, bpp, size")
    if options.lossless and options.max_error is not None:
        raise UsageError("lossless: expected it alone, got max_error as well")
    if options.max_error is not None:
        stated_bound(options.max_error)
    bounded = options.lossless or options.max_error is not None
    if bounded and any(target is not None for target in (options.psnr, options.bpp, options.size)):
        raise UsageError("target: expected quality beside max_error or lossless, got psnr, bpp or size")
    start, stop = options.start or 0.0, math.inf if options.stop is None else options.stop
    if not start < stop:
        raise UsageError(f"start, stop: expected seconds 0 <= start < stop, got start {options.start} and stop {options.stop}")
    _check_kind(options, bounded=bounded)
    check_request(
        Request(
            shape=(2, 2),
            channels=1,
            kind=options.kind or "image",
            quality=options.quality,
            psnr=options.psnr,
            size=options.size,
            metric=options.metric,
            effort=options.effort,
            preset=options.preset or "default",
            arch=options.arch or "sasnet.1",
            settings={},
        )
    )


def _check_kind(options: EncodeOptions, *, bounded: bool) -> None:
    kind = options.kind
    if kind is None:
        return
    timed = options.start is not None or options.stop is not None
    if kind not in ("audio", "video") and timed:
        raise UsageError(f"start, stop: expected sound or video, got {kind}")
    if kind != "video" and options.frames is not None:
        raise UsageError(f"frames: expected a video, got {kind}")
    if kind != "shape" and (options.protocol is not None or options.sign is not None):
        raise UsageError(f"protocol, sign: expected a shape, got {kind}")
    if kind == "shape" and bounded:
        raise UsageError("max_error, lossless: expected samples on a grid, got a shape")
    if kind == "shape" and (options.psnr is not None or options.bpp is not None):
        raise UsageError("target: a shape has none of PSNR or bits per sample; expected quality or size")
