"""inrcodec encode"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inrcodec.cli.common import (
    ARCH,
    AS_JSON,
    DEVICE,
    EFFORT,
    NO_OVERWRITE,
    NO_PROGRESS,
    QUIET,
    SETTINGS,
    ProgressLine,
    check_output,
    derived_output,
    finite,
    human_bytes,
    parse_settings,
    parse_size,
    read_source,
    write_output,
)
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import Interrupted, TargetMissed, UsageError

if TYPE_CHECKING:
    from inrcodec.codec import Report


@click.command(
    epilog="Example:  inrcodec encode photo.png -o photo.inr -q 80;  inrcodec encode scan.tif -o scan.inr --size 50k",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("-o", "--output", help="File to write, - for stdout. Default: INPUT with the suffix .inr, if that does not exist.")
@click.option(
    "--kind", type=click.Choice(["image", "volume", "audio", "video", "shape"]), help="What INPUT is, where its content leaves a choice."
)
@click.option("--frames", type=click.IntRange(min=1), help="Of a video the first N frames.", metavar="N")
@click.option("--rate", type=float, help="Frames a second of pictures: a folder, or a pattern such as frames/%04d.png. Default: 25.")
@click.option("-q", "--quality", type=float, help="0..100: how much an error counts against a byte. 75 unless another target is given.")
@click.option("--psnr", type=float, help="Target: at least this PSNR in dB.")
@click.option("--bpp", type=float, help="Target: at most this many bits per sample.")
@click.option("--size", help="Target: at most this many bytes (51200, 50k, 1.5M).")
@click.option(
    "--max-error",
    metavar="E|P%",
    help="Every sample of the nominal grid is within E of the source, in units of the samples (codes of images), or P % of their range.",
)
@click.option("--lossless", is_flag=True, help="Samples decoded at the nominal grid are those of the source; integers only.")
@click.option(
    "--metric",
    type=click.Choice(["psnr", "ssim"]),
    default="psnr",
    show_default=True,
    help="What bytes are spent on: error, or structure.",
)
@EFFORT
@click.option("--preset", help="default, or paper (the configuration of the SASNet paper).")
@ARCH
@SETTINGS
@click.option(
    "--protocol",
    type=click.Choice(["default", "finer"]),
    help="Of a shape, what is fitted: mesh distances, or the sampling, targets and loss of the FINER protocol.",
)
@click.option(
    "--sign", type=click.Choice(["winding", "error"]), help="Of an open mesh: inside by its winding number (default), or an error."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Same seed, input, options, version: same bytes."
)
@click.option("--time-limit", type=float, metavar="SECONDS", help="End the fit after this time, with a complete schedule.")
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Save the running fit here now and then, and on Ctrl-C.")
@click.option("--resume", is_flag=True, help="Go on from --checkpoint if it exists.")
@click.option("--on-interrupt", type=click.Choice(["discard", "save"]), default="discard", show_default=True, help="What Ctrl-C leaves.")
@click.option("--start", type=float, metavar="SECONDS", help="Of sound or video: begin here.")
@click.option("--stop", type=float, metavar="SECONDS", help="Of sound or video: end here.")
@click.option("--strip", is_flag=True, help="Leave out EXIF and XMP (the colour profile stays).")
@click.option("--deterministic", is_flag=True, help="Leave out the provenance chunk.")
@click.option("-f", "--force", is_flag=True, help="Without -o: replace an existing file.")
@NO_OVERWRITE
@DEVICE
@AS_JSON
@NO_PROGRESS
@QUIET
@VERBOSE
@click.pass_obj
def command(
    said: Verbosity,
    input: str,
    output: str | None,
    kind: str | None,
    frames: int | None,
    rate: float | None,
    quality: float | None,
    psnr: float | None,
    bpp: float | None,
    size: str | None,
    max_error: str | None,
    lossless: bool,
    metric: str,
    effort: int,
    preset: str | None,
    arch: str | None,
    settings: tuple[str, ...],
    protocol: str | None,
    sign: str | None,
    seed: int,
    time_limit: float | None,
    checkpoint: str | None,
    resume: bool,
    on_interrupt: str,
    start: float | None,
    stop: float | None,
    strip: bool,
    deterministic: bool,
    force: bool,
    no_overwrite: bool,
    device: str,
    as_json: bool,
    no_progress: bool,
    quiet: bool,
) -> None:
    """Fit INPUT (image, volume, shape, sound, video; a folder of slices or frames; - for stdin) with a network; write an .inr file."""
    target = derived_output(input, ".inr") if output is None else output
    overwrite = force if output is None else not no_overwrite
    check_output(target, overwrite=overwrite, source=input)
    if checkpoint is not None:
        check_output(checkpoint, overwrite=True, source=input)
        if Path(checkpoint).resolve() == Path(target).resolve():
            raise UsageError(f"--checkpoint: expected another file than the output, got {checkpoint}")
    if as_json and target == "-":
        raise UsageError("--json: stdout already carries the file (-o -)")

    from inrcodec.codec import encode

    line = ProgressLine(enabled=not (no_progress or quiet), verbose=said.level > 0)
    try:
        encoded = encode(
            read_source(input),
            kind=kind,
            frames=frames,
            rate=rate,
            quality=quality,
            psnr=psnr,
            bpp=bpp,
            size=parse_size(size),
            max_error=max_error,
            lossless=lossless,
            metric=metric,
            effort=effort,
            preset=preset,
            arch=arch,
            settings=parse_settings(settings),
            device=device,
            protocol=protocol,
            sign=sign,
            seed=seed,
            time_limit=time_limit,
            checkpoint=checkpoint,
            resume=resume,
            start=start,
            stop=stop,
            strip=strip,
            on_interrupt=on_interrupt,
            deterministic=deterministic,
            progress=line,
        )
    finally:
        line.close()
    write_output(target, encoded.data, overwrite=overwrite)
    report = encoded.report
    if as_json:
        click.echo(json.dumps({"schema": "inrcodec.encode/1", "output": target, **finite(asdict(report))}, indent=2))
    if not quiet:
        for told in (*(f"note: {note}" for note in report.notes), _summary(target, report)):
            click.echo(told, err=True)
    if report.interrupted:
        raise Interrupted(f"interrupted; {target} holds the best fit so far")
    if not report.target_met:
        raise TargetMissed(f"target {report.target}: got {report.psnr:.2f} dB, {report.bytes} bytes; {target} is written all the same")


def _summary(target: str, report: "Report") -> str:
    shape = report.surface_rms is not None
    measured = [f"{'distance ' if shape else ''}PSNR {report.psnr:.2f} dB"]
    if report.ssim is not None:
        measured.append(f"SSIM {report.ssim:.4f}")
    if report.snr is not None:
        measured.append(f"SNR {report.snr:.2f} dB")
    if report.iou is not None:
        measured.append(f"IoU {report.iou:.4f}")
    if shape:
        measured.append(f"surface RMS {report.surface_rms:.2e} of the box")
    if report.normal_consistency is not None:
        measured.append(f"normal consistency {report.normal_consistency:.4f}")
    if report.bound == 0:
        measured.append("lossless")
    elif report.max_error is not None:
        measured.append(f"largest error {report.max_error:.4g}")
    rate = "" if shape else f", {report.bpp:.3f} bpp"
    return (
        f"{target}: {human_bytes(report.bytes)}{rate}, {', '.join(measured)}; "
        f"{report.arch}, {report.parameters} parameters, {report.steps} steps in {report.encode_seconds:.0f} s"
    )
