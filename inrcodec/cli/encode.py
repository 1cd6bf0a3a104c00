"""inrcodec encode"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inrcodec.batch.options import EXECUTORS, EncodeOptions, encode_with
from inrcodec.cli.common import (
    AS_JSON,
    NO_OVERWRITE,
    NO_PROGRESS,
    QUIET,
    ProgressLine,
    check_output,
    derived_output,
    finite,
    human_bytes,
    read_source,
    write_output,
)
from inrcodec.cli.encode_options import EncodingCommand, encoding_options
from inrcodec.cli.encode_tiles import encode_in_tiles
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import Interrupted, TargetMissed, UsageError

if TYPE_CHECKING:
    from inrcodec.codec import Report


@click.command(
    cls=EncodingCommand,
    epilog="Example:  inrcodec encode photo.png -o photo.inr -q 80;  inrcodec encode scan.tif -o scan.inr --size 50k",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("-o", "--output", help="File to write, - for stdout. Default: INPUT with the suffix .inr, if that does not exist.")
@encoding_options
@click.option("--checkpoint", type=click.Path(dir_okay=False), help="Save the running fit here now and then, and on Ctrl-C.")
@click.option("--resume", is_flag=True, help="Go on from --checkpoint if it exists.")
@click.option("--on-interrupt", type=click.Choice(["discard", "save"]), default="discard", show_default=True, help="What Ctrl-C leaves.")
@click.option(
    "--tile",
    type=click.IntRange(min=16),
    metavar="SIDE",
    help="Of a large image, volume or video: tiles of about SIDE samples with a network each. The same command goes on after a kill.",
)
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Tiles at a time. Default: one a core, or a worker.")
@click.option("--executor", type=click.Choice(EXECUTORS), default="local", show_default=True, help="Who encodes the tiles.")
@click.option("--address", help="Of a Ray cluster or a Dask scheduler that runs. Default: processes of this machine.")
@click.option("-f", "--force", is_flag=True, help="Without -o: replace an existing file.")
@NO_OVERWRITE
@AS_JSON
@NO_PROGRESS
@QUIET
@VERBOSE
@click.pass_obj
def command(
    said: Verbosity,
    input: str,
    output: str | None,
    options: EncodeOptions,
    checkpoint: str | None,
    resume: bool,
    on_interrupt: str,
    tile: int | None,
    jobs: int | None,
    executor: str,
    address: str | None,
    force: bool,
    no_overwrite: bool,
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

    line = ProgressLine(enabled=not (no_progress or quiet), verbose=said.level > 0)
    if tile is None and (jobs is not None or executor != "local" or address is not None):
        raise UsageError("--jobs, --executor, --address: expected --tile beside them; for many signals there is inrcodec batch")
    if tile is not None:
        if checkpoint is not None or resume or target == "-":
            raise UsageError("--tile: goes on by itself, into a file; expected no --checkpoint, no --resume, and no - as output")
        encode_in_tiles(
            input,
            target,
            options,
            side=tile,
            jobs=jobs,
            executor=executor,
            address=address,
            overwrite=overwrite,
            as_json=as_json,
            quiet=quiet,
            line=line,
        )
        return
    try:
        encoded = encode_with(read_source(input), options, checkpoint=checkpoint, resume=resume, on_interrupt=on_interrupt, progress=line)
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
