"""inrcodec verify"""

import json

import click

from inrcodec.cli.common import AS_JSON, BACKEND, DEVICE, finite, read_inr, read_source
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import UsageError


@click.command(epilog="Example:  inrcodec verify photo.inr --source photo.png", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("input")
@click.option("--source", help="The signal the file was made from: its PSNR is measured and compared with the file's own.")
@click.option("--decode", is_flag=True, help="Decode it as well: every sample must be a finite number. Implied by --source.")
@click.option("--start", type=float, metavar="SECONDS", help="Of the source, sound or video: where what was encoded begins.")
@click.option("--stop", type=float, metavar="SECONDS", help="Of the source, sound or video: where it ends.")
@AS_JSON
@BACKEND
@DEVICE
@VERBOSE
def command(
    input: str, source: str | None, decode: bool, start: float | None, stop: float | None, as_json: bool, backend: str, device: str
) -> None:
    """Check INPUT (an .inr file; - for stdin): its chunks and their checksums, that HEAD has its one form, that every tensor unpacks, and
    that reading it is within the limits; with --decode also a decode, and with --source the stated quality."""
    if source is None and (start is not None or stop is not None):
        raise UsageError("--start, --stop: expected --source, whose section they give")

    from inrcodec.codec import verify
    from inrcodec.opening import open_inr

    inr = open_inr(read_inr(input), backend=backend, device=device)
    checks = verify(inr, source=None if source is None else read_source(source), decode=decode, start=start, stop=stop)
    if as_json:
        click.echo(json.dumps({"schema": "inrcodec.verify/1", **finite(checks)}, indent=2))
        return
    for key, value in checks.items():
        click.echo(f"{key:18} {value}")
    click.echo("ok")
