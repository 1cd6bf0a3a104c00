"""inrcodec bench"""

import json
from typing import Any

import click

from inrcodec.cli.common import ARCH, AS_JSON, DEVICE, EFFORT, NO_OVERWRITE, NO_PROGRESS, QUIET, SETTINGS, ProgressLine, parse_settings
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import UsageError

_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(epilog="Example:  inrcodec bench rd kodak/ -o build/rd --bpp 0.5,1,2", context_settings=_HELP)
@VERBOSE
def command() -> None:
    """Measure the codec beside others."""


@command.command(
    "rd",
    epilog="Example:  inrcodec bench rd kodak/ -o build/rd --bpp 0.5,1,2;  inrcodec bench rd scans/ -o build/ct --ratio 100,300",
    context_settings=_HELP,
)
@click.argument("folder")
@click.option(
    "-o", "--output", required=True, metavar="OUT", help="Folder for rd.json, rd.csv, rd.png and items/*.png; made if it is not there."
)
@click.option("--kind", type=click.Choice(["image", "volume"]), help="What to measure, where FOLDER holds both.")
@click.option("--crop", metavar="WxH", help="Of images the centre only: 512x512.")
@click.option("--bpp", metavar="LIST", help="Of images our files: at most these bits per pixel. Default: 0.5,1,2,3.")
@click.option("--ratio", metavar="LIST", help="Of volumes our files: at least these times smaller than raw. Default: 100,300,1000.")
@click.option("--quality", metavar="LIST", help="Our files at these qualities, 0..100.")
@EFFORT
@ARCH
@SETTINGS
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of our fits.")
@click.option("--published", type=click.Choice(["kodak"]), help="Draw published mean curves of other codecs of this family beside ours.")
@click.option("--resume", is_flag=True, help="Keep the rows that are in OUT/rd.json, measured with the same options.")
@NO_OVERWRITE
@DEVICE
@AS_JSON
@NO_PROGRESS
@QUIET
@VERBOSE
@click.pass_obj
def rate_distortion(
    said: Verbosity,
    folder: str,
    output: str,
    kind: str | None,
    crop: str | None,
    bpp: str | None,
    ratio: str | None,
    quality: str | None,
    effort: int,
    arch: str | None,
    settings: tuple[str, ...],
    seed: int,
    published: str | None,
    resume: bool,
    no_overwrite: bool,
    device: str,
    as_json: bool,
    no_progress: bool,
    quiet: bool,
) -> None:
    """Rate-distortion curves over the images or volumes of FOLDER, of files decoded from their bytes.

    Images: beside JPEG, WebP, AVIF and JPEG XL. Volumes: beside SZ3 and ZFP. What is not installed is named.
    """
    rates = {name: _numbers(name, text) for name, text in (("--bpp", bpp), ("--ratio", ratio), ("--quality", quality))}
    size = _size(crop)
    chosen = parse_settings(settings)

    from inrcodec.bench import rate_distortion as measure

    line = ProgressLine(enabled=not (no_progress or quiet), verbose=said.level > 0)
    try:
        outcome = measure(
            folder,
            output,
            kind=kind,
            crop=size,
            bpp=rates["--bpp"],
            ratio=rates["--ratio"],
            quality=rates["--quality"],
            effort=effort,
            arch=arch,
            settings=chosen,
            seed=seed,
            device=device,
            published=published,
            resume=resume,
            overwrite=not no_overwrite,
            progress=line,
        )
    finally:
        line.close()
    if as_json:
        click.echo(json.dumps(outcome.content, indent=2))
    if not quiet:
        for told in (*(f"note: {note}" for note in outcome.notes), *_summary(outcome.content, output)):
            click.echo(told, err=True)


def _summary(content: dict[str, Any], output: str) -> list[str]:
    """A line per codec, negative percent and positive dB being better than it; then where everything is."""
    lines = []
    for peer, mean in content["bd"]["mean"].items():
        rate, level = mean["bd_rate_percent"], mean["bd_psnr_db"]
        parts = [
            f"{name} {found['value']:+.{digits}f} {unit} (mean of {found['items']} of {len(content['items'])})"
            if found["items"]
            else f"{name} none: {next(iter(found['left_out'].values()))}"
            for name, found, digits, unit in (("BD-rate", rate, 1, "%"), ("BD-PSNR", level, 2, "dB"))
        ]
        lines.append(f"against {peer}: {', '.join(parts)}")
    return [*lines, f"{output}: {len(content['rows'])} rows of {len(content['items'])} {content['kind']}s in rd.json"]


def _numbers(option: str, text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option}: expected numbers separated by commas, such as 1,2,3, got {text!r}") from error


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--crop: expected WxH, such as 512x512, got {text!r}")
    return int(width), int(height)
