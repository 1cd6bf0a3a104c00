"""inrcodec decode"""

import click

from inrcodec.cli.common import BACKEND, DEVICE, NO_OVERWRITE, check_output, derived_output, open_output, read_inr, write_output
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import UsageError
from inrcodec.files import suffix_of
from inrcodec.limits import DEFAULT_LIMITS, Limits

DEFAULT_SUFFIX = {"image": "png", "volume": "npy", "audio": "wav", "video": "mp4", "shape": "npy"}
NUMBERS = ("volume", "field", "shape")  # kinds whose samples are numbers, not codes


@click.command(
    epilog="Example:  inrcodec decode photo.inr -o big.png --scale 16 --region 100,80,164,144",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option(
    "-o",
    "--output",
    help="File to write, - for stdout. Default: INPUT with the suffix .png (volumes and shapes .npy, sound .wav), if that does not exist.",
)
@click.option("--scale", type=float, help="Samples per nominal sample and axis: 16, 0.5 ... Below 1 each is the mean of its cell.")
@click.option(
    "--size",
    metavar="WIDTHxHEIGHT",
    help="Samples of the whole output instead of --scale; of other signals than images one number per axis, slowest first: 64x128x128.",
)
@click.option(
    "--region",
    metavar="X0,Y0,X1,Y1",
    help="Only this part, in pixels of the source; X1, Y1 are outside. Or one start:stop per axis, slowest first: 10:20,0:64,0:64.",
)
@click.option("--time", "seconds", type=float, metavar="SECONDS", help="Of a video the picture at this time alone, as an image.")
@click.option("--rate", type=float, metavar="HZ", help="Of sound: samples a second, of video: frames a second, instead of --scale.")
@click.option("--start", type=float, metavar="SECONDS", help="Of sound or video: begin here, instead of --region.")
@click.option("--stop", type=float, metavar="SECONDS", help="Of sound or video: end here, instead of --region.")
@click.option("--bits", type=int, help="Bit depth of the output, 1..16. Default: that of the source.")
@click.option("--format", "suffix", help="png, jpg, webp, tiff ... Default: the suffix of the output.")
@click.option("--no-residual", is_flag=True, help="The function alone, without what a file of encode --max-error or --lossless adds to it.")
@click.option("--strip", is_flag=True, help="Leave out EXIF and XMP (the colour profile stays).")
@click.option(
    "--max-samples",
    type=click.IntRange(min=1),
    help="Refuse outputs of more samples than this.",
    default=DEFAULT_LIMITS.output_samples,
    show_default=True,
)
@click.option("-f", "--force", is_flag=True, help="Without -o: replace an existing file.")
@NO_OVERWRITE
@BACKEND
@DEVICE
@VERBOSE
def command(
    input: str,
    output: str | None,
    scale: float | None,
    size: str | None,
    region: str | None,
    seconds: float | None,
    rate: float | None,
    start: float | None,
    stop: float | None,
    bits: int | None,
    suffix: str | None,
    no_residual: bool,
    strip: bool,
    max_samples: int,
    force: bool,
    no_overwrite: bool,
    backend: str,
    device: str,
) -> None:
    """Sample INPUT (an .inr file; - for stdin) and write it in the format of the output's suffix; a video also as out/%04d.png."""
    if rate is not None and (scale is not None or size is not None):
        raise UsageError("--rate: expected it alone, got --scale or --size as well")
    if region is not None and (start is not None or stop is not None):
        raise UsageError("--region: expected it alone, got --start or --stop as well")

    from inrcodec.frames import picture_at, pictures_of
    from inrcodec.memory import keep_freed_memory
    from inrcodec.opening import open_inr
    from inrcodec.signals import writer_for
    from inrcodec.signals.frames import is_pattern
    from inrcodec.timing import samples_at_rate, time_region

    if output is not None:
        check_output(output, overwrite=not no_overwrite, source=input)
    inr = open_inr(read_inr(input), backend=backend, device=device, limits=Limits(output_samples=max_samples), residual=not no_residual)
    if bits is not None and inr.head["kind"] in NUMBERS:
        raise UsageError(f"--bits: expected it for images, sound and video; {input} holds numbers of type {inr.dtype}")
    target = derived_output(input, suffix or DEFAULT_SUFFIX.get(inr.head["kind"], "npy")) if output is None else output
    form = _suffix(target, suffix)
    overwrite = force if output is None else not no_overwrite
    check_output(target, overwrite=overwrite, source=input)
    pictures = inr.head["kind"] == "video" and target != "-" and is_pattern(target)
    writer_for("image" if pictures or seconds is not None else inr.head["kind"], form)
    keep_freed_memory()
    d = len(inr.grid_shape)
    part = time_region(inr.axes, inr.space, start, stop) if region is None else _region(region, d)
    sizes = _size(size, d) if rate is None else samples_at_rate(inr.axes, inr.space, rate)
    if seconds is not None:
        if part is not None or sizes is not None:
            raise UsageError("--time: expected --scale alone beside it")
        picture = picture_at(inr, seconds, scale=1.0 if scale is None else scale, bits=bits, strip=strip)
        write_output(target, writer_for("image", form)(picture, form), overwrite=overwrite)
        return
    if pictures:
        for name, content in pictures_of(inr, target, scale=scale, size=sizes, region=part, bits=bits, strip=strip):
            write_output(name, content, overwrite=overwrite)
        return
    with open_output(target, overwrite=overwrite) as file:
        sides = inr.write(file, form, name=target, scale=scale, size=sizes, region=part, rate=rate, bits=bits, strip=strip)
    for name, content in sides.items() if target != "-" else ():
        write_output(name, content, overwrite=overwrite)


def _suffix(target: str, suffix: str | None) -> str:
    found = suffix_of(target, suffix)
    if not found or (target == "-" and not suffix):
        raise UsageError(f"{target}: no suffix to take the format from; give --format png, for example")
    return found


def _size(text: str | None, d: int) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) != d or not all(part.isascii() and part.isdigit() for part in parts):
        example = "WIDTHxHEIGHT, for example 1024x768" if d == 2 else f"{d} numbers of samples, for example {'x'.join(['64'] * d)}"
        raise UsageError(f"--size: expected {example}, got {text!r}")
    sizes = tuple(int(part) for part in parts)
    return sizes[::-1] if d == 2 else sizes


def _region(text: str | None, d: int) -> tuple[tuple[float, float], ...] | None:
    if text is None:
        return None
    try:
        if ":" in text:
            pairs = [part.split(":") for part in text.split(",")]
            region = tuple((float(start), float(stop)) for start, stop in pairs)
        else:
            x0, y0, x1, y1 = (float(part) for part in text.split(","))
            region = (y0, y1), (x0, x1)
    except ValueError as error:
        raise UsageError(f"--region: expected X0,Y0,X1,Y1, for example 100,80,164,144, or start:stop per axis, got {text!r}") from error
    if len(region) != d:
        raise UsageError(f"--region: expected {d} axes, got {text!r}")
    return region
