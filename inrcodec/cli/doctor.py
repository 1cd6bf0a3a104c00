"""inrcodec doctor"""

import json

import click

from inrcodec.cli.common import AS_JSON
from inrcodec.cli.verbosity import VERBOSE


@click.command(epilog="Example:  inrcodec doctor", context_settings={"help_option_names": ["-h", "--help"]})
@AS_JSON
@VERBOSE
def command(as_json: bool) -> None:
    """Say what this installation can do: versions, engines, devices, limits."""
    from inrcodec.doctor import report

    found = report()
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for section, rows in found.items():
        if not isinstance(rows, dict):
            click.echo(f"{section:16} {rows}")
            continue
        click.echo(section)
        for key, value in rows.items():
            click.echo(f"  {key:16} {value}")
