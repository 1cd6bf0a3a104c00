"""The options of an encode that `encode` and `batch` share, declared once and handed to a verb as one value."""

from collections.abc import Callable
from dataclasses import fields
from functools import reduce
from typing import Any

import click

from inrcodec.batch.options import EncodeOptions
from inrcodec.cli.common import ARCH, DEVICE, EFFORT, SETTINGS, parse_settings, parse_size

_OPTIONS = (
    click.option(
        "--kind",
        type=click.Choice(["image", "volume", "audio", "video", "shape"]),
        help="What INPUT is, where its content leaves a choice.",
    ),
    click.option("--frames", type=click.IntRange(min=1), help="Of a video the first N frames.", metavar="N"),
    click.option("--rate", type=float, help="Frames a second of pictures: a folder, or a pattern such as frames/%04d.png. Default: 25."),
    click.option("-q", "--quality", type=float, help="0..100: how much an error counts against a byte. 75 unless another target is given."),
    click.option("--psnr", type=float, help="Target: at least this PSNR in dB."),
    click.option("--bpp", type=float, help="Target: at most this many bits per sample."),
    click.option("--size", help="Target: at most this many bytes (51200, 50k, 1.5M)."),
    click.option(
        "--max-error",
        metavar="E|P%",
        help="Every sample of the nominal grid is within E of the source, in units of the samples (codes of images), or P % of the range.",
    ),
    click.option("--lossless", is_flag=True, help="Samples decoded at the nominal grid are those of the source; integers only."),
    click.option(
        "--metric",
        type=click.Choice(["psnr", "ssim"]),
        default="psnr",
        show_default=True,
        help="What bytes are spent on: error, or structure.",
    ),
    EFFORT,
    click.option("--preset", help="default, or paper (the configuration of the SASNet paper)."),
    ARCH,
    SETTINGS,
    click.option(
        "--protocol",
        type=click.Choice(["default", "finer"]),
        help="Of a shape, what is fitted: mesh distances, or the sampling, targets and loss of the FINER protocol.",
    ),
    click.option(
        "--sign", type=click.Choice(["winding", "error"]), help="Of an open mesh: inside by its winding number (default), or an error."
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        default=0,
        show_default=True,
        help="Same seed, input, options, version, threads: same bytes.",
    ),
    click.option("--time-limit", type=float, metavar="SECONDS", help="End the fit after this time, with a complete schedule."),
    click.option("--start", type=float, metavar="SECONDS", help="Of sound or video: begin here."),
    click.option("--stop", type=float, metavar="SECONDS", help="Of sound or video: end here."),
    click.option("--strip", is_flag=True, help="Leave out EXIF and XMP (the colour profile stays)."),
    click.option("--deterministic", is_flag=True, help="Leave out the provenance chunk."),
    DEVICE,
    click.option(
        "--precision",
        type=click.Choice(["float32", "tf32x3", "tf32"]),
        default="float32",
        show_default=True,
        help="Of a fit's matrix products on a CUDA device; tf32 is fast and coarse, tf32x3 nearly float32. Files decode in float32.",
    ),
    click.option(
        "--hash-backend",
        type=click.Choice(["own", "tcnn"]),
        default="own",
        show_default=True,
        help="Of a shape's fit on a CUDA device, what evaluates hash grids: our kernels, or tiny-cuda-nn (tinycudann).",
    ),
    click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads of a fit on a CPU. Default: all cores; of batch, 1."),
)
_NAMES = tuple(field.name for field in fields(EncodeOptions))


class EncodingCommand(click.Command):
    """A verb whose function is given the shared options as `options`, an EncodeOptions."""

    def invoke(self, ctx: click.Context) -> Any:
        given = {name: ctx.params.pop(name) for name in _NAMES}
        given["size"] = parse_size(given["size"])
        given["settings"] = parse_settings(given["settings"])
        ctx.params["options"] = EncodeOptions(**given)
        return super().invoke(ctx)


def encoding_options(function: Callable[..., None]) -> Callable[..., None]:
    """Declare the shared options, in their order, for an EncodingCommand."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), function)
