"""What several verbs share: reading and writing with "-" as stdin and stdout, sizes, a progress line."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from inrcodec.errors import InputError, UsageError
from inrcodec.files import atomic_file
from inrcodec.progress import Progress
from inrcodec.remote import is_address

NO_OVERWRITE = click.option("--no-overwrite", is_flag=True, help="Fail if the output exists, instead of replacing it.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON to stdout.")
NO_PROGRESS = click.option("--no-progress", is_flag=True, help="No progress on stderr.")
QUIET = click.option("--quiet", is_flag=True, help="Nothing on stderr but errors.")
BACKEND = click.option("--backend", "--engine", "backend", default="auto", show_default=True, help="Engine: auto, torch, onnx or numpy.")
EFFORT = click.option("-e", "--effort", type=int, default=5, show_default=True, help="1 (fast) .. 9 (best): how long to fit.")
ARCH = click.option(
    "--arch", help="Network: sasnet.2 (default of images), sasnet.1 (of the rest), msa.1, siren.1, or one for comparison: finer.1 ..."
)
SETTINGS = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Set one number of the network or schedule; repeatable."
)
DEVICE = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu or cuda[:index]; with ONNX Runtime also tensorrt[:index]."
)


def share_cores(threads: int | None = None) -> None:
    """Work that runs side by side in so many threads (of each core one) has its share of the cores each, unless the environment says how
    many: more threads than cores wait for each other. To be called before NumPy and PyTorch are loaded, which read it then.
    """
    cores = os.cpu_count() or 1
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores // (threads or cores))))


def read_source(name: str) -> Any:
    """A path, or the bytes of stdin for "-"."""
    if not name:
        raise UsageError("input: expected a file name, got an empty one")
    return sys.stdin.buffer.read() if name == "-" else Path(name)


def read_inr(name: str) -> bytes | str | Path:
    """A path, an address, or the bytes of stdin for "-"."""
    if is_address(name):
        return name
    source: bytes | Path = read_source(name)
    if isinstance(source, Path) and source.is_dir():
        raise InputError(f"{name}: is a folder, expected an .inr file")
    return source


def derived_output(name: str, suffix: str) -> str:
    """The name of what is made of the file `name` where no output is given: with another suffix, beside it."""
    if name == "-":
        raise UsageError("-o: expected an output name when the input is stdin")
    if not Path(name).name:
        raise UsageError(f"-o: expected an output name when the input is {name!r}")
    return str(Path(name).with_suffix("." + suffix.lstrip(".")))


def check_output(name: str, *, overwrite: bool, source: str = "-") -> None:
    """Raise before any long work if `name` cannot be written, or is the file to read."""
    if not name:
        raise UsageError("output: expected a file name, got an empty one")
    if name == "-":
        if sys.stdout.isatty():
            raise UsageError("-o -: refusing to write binary data to a terminal; redirect stdout")
        return
    path = Path(name)
    folder = path.parent
    try:
        path.resolve().exists()
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        raise UsageError(f"output: expected a file name, got {name[:64]!r}: {getattr(error, 'strerror', None) or error}") from error
    if not folder.is_dir():
        raise UsageError(f"{name}: the folder {folder} does not exist")
    if path.is_dir() or name.endswith("/"):
        raise UsageError(f"{name}: is a folder, expected a file name")
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{name}: the folder {folder} is not writable")
    if not overwrite and path.exists():
        raise UsageError(f"{name}: exists, and is not to be overwritten")
    if source != "-" and path.exists() and Path(source).exists() and path.samefile(source):
        raise UsageError(f"{name}: expected an output other than the input")


def write_output(name: str, data: bytes, *, overwrite: bool) -> None:
    with open_output(name, overwrite=overwrite) as file:
        file.write(data)


def leave_quietly() -> NoReturn:
    """The reader of our output went away: nothing to say, and nobody to say it to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise click.exceptions.Exit(0)


@contextmanager
def open_output(name: str, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A binary file to write that appears when it is complete, or stdout for "-"."""
    if name == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            leave_quietly()
        return
    with atomic_file(name, overwrite=overwrite) as file:
        yield file


def parse_size(text: str | None, *, option: str = "--size") -> int | None:
    """Bytes from "51200", "50k", "1.5M" (powers of 1000)."""
    if text is None:
        return None
    factors = {"k": 1_000, "m": 1_000_000, "g": 1_000_000_000}
    number, factor = text.strip().lower(), 1
    if number and number[-1] in factors:
        number, factor = number[:-1], factors[number[-1]]
    try:
        value = float(number) * factor
        return int(value)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: expected a number of bytes such as 51200, 50k or 1.5M, got {text!r}") from error


def parse_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """The values of --set by name."""
    result = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"--set: expected KEY=VALUE, got {pair!r}")
        result[key] = value
    return result


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: a perfect PSNR is null."""
    return {key: None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value for key, value in values.items()}


class ProgressLine:
    """Progress on stderr: one line that is rewritten on a terminal, a line every ten seconds elsewhere if asked for."""

    def __init__(self, *, enabled: bool, verbose: bool) -> None:
        self._tty = enabled and sys.stderr.isatty()
        self._log = enabled and verbose and not self._tty
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if self._tty:
            click.echo("\r\x1b[K" + describe(progress), err=True, nl=False)
        elif self._log and time.monotonic() - self._last >= 10:
            self._last = time.monotonic()
            click.echo(describe(progress), err=True)

    def close(self) -> None:
        if self._tty:
            click.echo("\r\x1b[K", err=True, nl=False)


def describe(progress: Progress) -> str:
    parts = [f"{progress.stage:6} {progress.step}/{progress.steps}"]
    if progress.psnr is not None:
        parts.append(f"{progress.psnr:.2f} dB")
    if progress.bytes is not None:
        parts.append(human_bytes(progress.bytes))
    if progress.eta is not None:
        parts.append(f"ETA {progress.eta:.0f} s")
    return "  ".join(parts)


def human_bytes(count: int) -> str:
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.2f} MB"
