"""inrcodec encode --tile"""

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from inrcodec.batch.options import EncodeOptions
from inrcodec.cli.common import ProgressLine, finite, human_bytes, read_source
from inrcodec.errors import Interrupted, TargetMissed

if TYPE_CHECKING:
    from inrcodec.batch.tiles import TiledReport


def encode_in_tiles(
    source: str,
    target: str,
    options: EncodeOptions,
    *,
    side: int,
    jobs: int | None,
    executor: str,
    address: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    line: ProgressLine,
) -> None:
    """Encode with tiles, and tell what came of it. Each has one thread unless told otherwise, so that bytes do not depend on the cores."""
    from inrcodec.batch.run import make_pool
    from inrcodec.batch.tiles import do_tile, encode_tiles

    threads = options.threads or 1
    try:
        report = encode_tiles(
            read_source(source),
            target,
            replace(options, threads=threads),
            side=side,
            pool=lambda: make_pool(executor, jobs=jobs, threads=threads, gpus=None, address=address, work=do_tile),
            overwrite=overwrite,
            progress=line,
        )
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {target}.tiles holds what is done, the same command does the rest") from error
    finally:
        line.close()
    if as_json:
        click.echo(json.dumps({"schema": "inrcodec.encode/1", "output": target, **finite(asdict(report))}, indent=2))
    if not quiet:
        for told in (*(f"note: {note}" for note in report.notes), _summary(target, report)):
            click.echo(told, err=True)
    if not report.target_met:
        raise TargetMissed(f"target {report.target}: got {report.psnr:.2f} dB, {report.bytes} bytes; {target} is written all the same")


def _summary(target: str, report: "TiledReport") -> str:
    measured = [f"PSNR {report.psnr:.2f} dB"]
    if report.ssim is not None:
        measured.append(f"SSIM {report.ssim:.4f}")
    if report.max_error is not None:
        measured.append(f"largest error {report.max_error:.4g}")
    return (
        f"{target}: {human_bytes(report.bytes)}, {report.bpp:.3f} bpp, {', '.join(measured)}; "
        f"{report.arch}, {report.tiles} tiles, {report.parameters} parameters in {report.encode_seconds:.0f} s"
    )
