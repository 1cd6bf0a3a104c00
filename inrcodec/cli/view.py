"""inrcodec view"""

import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from inrcodec.cli.common import BACKEND, DEVICE, share_cores
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import BackendMissing, InputError, InrError, UsageError
from inrcodec.files import file_digest

HOST = "127.0.0.1"


@click.command(epilog="Example:  inrcodec view photo.inr --source photo.png", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("input", metavar="FILE|DIR")
@click.option("--source", help="What FILE was encoded from. Default: a file of the same name beside it, if it is the one.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Of the address; 0: one that is free.")
@click.option("--browser/--no-browser", default=True, show_default=True, help="Open the page.")
@BACKEND
@DEVICE
@VERBOSE
def command(input: str, source: str | None, port: int, browser: bool, backend: str, device: str) -> None:
    """Show FILE, or every .inr file in DIR, in the browser, until Ctrl-C: zoom, slices, a shape to turn, sound, differences, masks.

    The pages come from this machine, to this machine, and to whoever has the token of the address only. Nothing is written.
    """
    share_cores()
    shown = files_of(Path(input), None if source is None else Path(source))
    try:
        from inrcodec.serve.app import create_app
        from inrcodec.serve.library import id_of_file
        from inrcodec.serve.server import listening, make_server
        from inrcodec.serve.service import Shown
        from inrcodec.serve.settings import Settings
    except ImportError as error:
        raise BackendMissing(f"view: needs {error.name}; pip install 'inrcodec[serve]'") from error

    token, page = secrets.token_urlsafe(24), "" if Path(input).is_dir() else f"view/{id_of_file(shown[0][0])}"
    with TemporaryDirectory(prefix="inrcodec-", ignore_cleanup_errors=True) as folder:
        settings = Settings(folder=Path(folder), host=HOST, port=port, token=token, read_only=True, backend=backend, device=device)
        server = make_server(create_app(settings, [Shown(path, of) for path, of in shown]), settings)
        # Bound before it is announced, so that no page is asked for too early.
        with listening(settings) as (bound, address):
            announce(f"{address}{page}?token={token}", browser=browser)
            server.run(sockets=[bound])


def announce(address: str, *, browser: bool) -> None:
    click.echo(address)
    click.echo("Ctrl-C ends it", err=True)
    sys.stdout.flush()
    if browser:
        import webbrowser

        webbrowser.open(address)


def files_of(path: Path, source: Path | None) -> Sequence[tuple[Path, Path | None]]:
    """The .inr files to show, each with what it was encoded from, where that is known.

    Raises InputError where there is none, and what `open_inr` raises for a file; in a folder such files are told and left out.
    """
    from inrcodec.opening import open_inr

    if source is not None and path.is_dir():
        raise UsageError(f"--source: expected it with one file, got the folder {path}")
    for name in (path, *([] if source is None else [source])):
        if not name.exists():
            raise InputError(f"{name}: no such file")
    if source is not None and source.is_dir():
        raise InputError(f"--source {source}: is a folder, expected a file")
    if not path.is_dir():
        return [(path, source or source_beside(path, open_inr(path).info["provenance"]))]
    found = []
    for each in sorted(path.glob("*.inr")):
        try:
            found.append((each, source_beside(each, open_inr(each).info["provenance"])))
        except InrError as error:
            click.echo(f"{each.name}: left out: {error}", err=True)
    if not found:
        raise InputError(f"{path}: expected .inr files in it, got none")
    return found


def source_beside(path: Path, provenance: Mapping[str, object]) -> Path | None:
    """The file beside `path` with its stem (photo.png of photo.inr or photo.png.inr) whose SHA-256 is the one that the .inr states.

    A name alone says too little: a decoded picture has it as well.
    """
    stated = provenance.get("source_sha256")
    beside = [path.with_suffix(""), *sorted(each for each in path.parent.glob("*") if each.stem == path.stem and each != path)]
    return next((each for each in beside if each.is_file() and file_digest(each) == stated), None)
