"""inrcodec serve"""

import ipaddress
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from inrcodec.cli.common import BACKEND, DEVICE, QUIET, parse_size, share_cores
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import UsageError
from inrcodec.serve.settings import Bounds

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Bound:
    """An option, the field of settings.Bounds that it sets, what it is counted in, and what it says."""

    option: str
    field: str
    unit: str
    about: str


BOUNDS = (
    Bound("--max-file", "file_bytes", "SIZE", "An .inr that is sent."),
    Bound("--max-source", "source_bytes", "SIZE", "A signal to encode."),
    Bound("--max-body", "body_bytes", "SIZE", "Any other request."),
    Bound("--max-disk", "disk_bytes", "SIZE", "Of all files in FOLDER."),
    Bound("--max-output", "output_samples", "N", "Samples of one answer."),
    Bound("--max-side", "output_side", "N", "Samples along a side of a picture."),
    Bound("--max-points", "query_points", "N", "Points of one query."),
    Bound("--max-mesh", "mesh_resolution", "N", "Resolution of a mesh."),
    Bound("--max-work", "work", "N", "Multiply-accumulates of one answer."),
    Bound("--max-coding", "coding", "N", "Work to unpack an .inr that is sent, half a microsecond each,"),
    Bound("--coding-per-byte", "coding_per_byte", "N", "and more for each of its bytes,"),
    Bound("--coding-most", "coding_most", "N", "and no more than these."),
    Bound("--max-elements", "elements", "N", "Parameters of an .inr with its mask and residual."),
    Bound("--max-head", "head_bytes", "SIZE", "Line and headers of a request."),
    Bound("--head-timeout", "head_seconds", "SECONDS", "From the first byte of a request to the end of its headers."),
    Bound("--idle-timeout", "idle_seconds", "SECONDS", "Of a connection at rest, and between two parts of a body."),
    Bound("--min-rate", "rate", "N", "Bytes per second of a body, and of an answer that is taken."),
    Bound("--timeout", "request_seconds", "SECONDS", "Of one answer, from when its turn comes."),
    Bound("--close-timeout", "close_seconds", "N", "Seconds for what runs when the server ends."),
    Bound("--queue", "waiting", "N", "Requests that wait for a thread; more get 429."),
    Bound("--connections", "connections", "N", "Open connections; more get 503."),
    Bound("--keep-opened", "opened_bytes", "SIZE", "Memory for files that are in use."),
    Bound("--keep-answers", "answers_bytes", "SIZE", "Memory for answers that are kept."),
    Bound("--max-jobs", "jobs", "N", "Encodes that wait; more get 429."),
    Bound("--job-timeout", "job_seconds", "SECONDS", "Of one encode."),
    Bound("--keep-jobs", "jobs_kept", "N", "Encodes that are remembered when they are finished."),
)


def bound_options(command: Command) -> Command:
    for bound in reversed(BOUNDS):
        told = f"{bound.about}  [default: {getattr(Bounds, bound.field)}]"
        command = click.option(bound.option, bound.field, metavar=bound.unit, help=told)(command)
    return command


@click.command(
    epilog="Example:  inrcodec serve;  INRCODEC_TOKEN=... inrcodec serve /srv/inr --host 0.0.0.0 --allow-host inr.example.org",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("folder", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at. Another than loopback needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="0 for a free one.")
@click.option("--socket", "unix", metavar="PATH", help="Listen at a Unix socket of this user alone instead.")
@click.option(
    "--token", envvar="INRCODEC_TOKEN", show_envvar=True, help="What clients have to know; other users of the machine see options."
)
@click.option("--token-file", metavar="FILE", help="The same, from a file.")
@click.option("--insecure", is_flag=True, help="Listen beyond loopback without a token.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name by which clients ask; repeatable, * for any.")
@click.option(
    "--proxy", "proxies", multiple=True, metavar="ADDRESS", help="Believe X-Forwarded-For and -Proto of this address; repeatable."
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Decodes at a time. Default: as many as there are cores.")
@click.option(
    "--devices", default="auto", show_default=True, metavar="LIST", help="One encoding process on each: cpu,cpu or cuda:0,cuda:1."
)
@click.option("--read-only", is_flag=True, help="Take no files and no encodes.")
@click.option("--log-format", type=click.Choice(("text", "json")), default="text", show_default=True, help="Of the lines on stderr.")
@bound_options
@BACKEND
@DEVICE
@QUIET
@VERBOSE
def command(
    folder: str | None,
    host: str,
    port: int,
    unix: str | None,
    token: str | None,
    token_file: str | None,
    insecure: bool,
    hosts: tuple[str, ...],
    proxies: tuple[str, ...],
    threads: int | None,
    devices: str,
    read_only: bool,
    log_format: str,
    backend: str,
    device: str,
    quiet: bool,
    **bounds: str | None,
) -> None:
    """Keep .inr files in FOLDER, encode what is sent, and decode over HTTP: pictures, tiles, points, meshes, sound. See docs/serve.md.

    Without FOLDER: the user's own data folder, such as ~/.local/share/inrcodec on Linux. SIZE and N may be 64M, 2G, 4e11.
    """
    if folder is not None and (not folder or (Path(folder).exists() and not Path(folder).is_dir())):
        raise UsageError(f"FOLDER: expected a folder, got {folder!r}")
    told = {bound.field: parse_bound(bound, text) for bound in BOUNDS if (text := bounds[bound.field]) is not None}
    secret = read_token(token, token_file)
    if secret is None and unix is None and not insecure and not is_loopback(host):
        raise UsageError(f"--host {host}: expected a token (INRCODEC_TOKEN, --token-file or --token) beyond loopback, or --insecure")
    place = Path(folder) if folder is not None else data_folder()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)

    share_cores(threads)
    from inrcodec.serve.logs import begin_logs
    from inrcodec.serve.server import serve
    from inrcodec.serve.settings import Settings

    settings = Settings(
        folder=place,
        host=host,
        port=port,
        token=secret,
        hosts=hosts,
        proxies=proxies,
        backend=backend,
        device=device,
        threads=threads or os.cpu_count() or 1,
        devices=tuple(part.strip() for part in devices.split(",") if part.strip()),
        read_only=read_only,
        bounds=Bounds(**told),
    )
    if not settings.devices:
        raise UsageError(f"--devices: expected names such as cpu or cuda:0, got {devices!r}")
    begin_logs(log_format, quiet=quiet)
    serve(settings, unix=None if unix is None else Path(unix), begun=lambda address: click.echo(f"serving {place} at {address}"))


def parse_bound(bound: Bound, text: str) -> Any:
    """A number above zero: of seconds with a fraction, else whole."""
    if bound.unit != "SECONDS":
        found: float = parse_size(text, option=bound.option) or 0
    else:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
    if not 0 < found < 2**62:
        raise UsageError(f"{bound.option}: expected a number above 0, got {text!r}")
    return found


def read_token(token: str | None, file: str | None) -> str | None:
    """The token, of the characters that can stand in a header, or None where there is none."""
    if file is not None:
        try:
            token = Path(file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise UsageError(f"--token-file {file}: {getattr(error, 'strerror', None) or 'expected ASCII'}") from error
    if token is None:
        return None
    if len(token) < 16 or not all(char.isascii() and (char.isalnum() or char in "._~+/=-") for char in token):
        raise UsageError("token: expected at least 16 letters, digits and ._~+/=-, such as `openssl rand -hex 16` gives")
    return token


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def data_folder() -> Path:
    """Where programs keep a user's data on this system."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "inrcodec"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "inrcodec"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "inrcodec"
