"""inrcodec verify"""

import json

import click

from inrcodec.cli.common import AS_JSON, BACKEND, DEVICE, read_inr, read_source
from inrcodec.cli.verbosity import VERBOSE


@click.command(epilog="Example:  inrcodec verify photo.inr --source photo.png", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("input")
@click.option("--source", help="The signal the file was made from: its PSNR is measured and compared with the file's own.")
@AS_JSON
@BACKEND
@DEVICE
@VERBOSE
def command(input: str, source: str | None, as_json: bool, backend: str, device: str) -> None:
    """Check INPUT (an .inr file; - for stdin): container, parameters, a decode, and with --source the stated quality."""
    from inrcodec.codec import verify
    from inrcodec.decoder import open_inr

    checks = verify(open_inr(read_inr(input), backend=backend, device=device), source=None if source is None else read_source(source))
    if as_json:
        click.echo(json.dumps({"schema": "inrcodec.verify/1", **checks}, indent=2))
        return
    for key, value in checks.items():
        click.echo(f"{key:18} {value}")
    click.echo("ok")
