"""inrcodec batch"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from inrcodec.batch.options import EncodeOptions
from inrcodec.cli.common import AS_JSON, NO_PROGRESS, QUIET, ProgressLine, human_bytes
from inrcodec.cli.encode_options import EncodingCommand, encoding_options
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import InrError, Interrupted, UsageError


@click.command(
    cls=EncodingCommand,
    epilog="Example:  inrcodec batch photos/ -o out/ --size 50k;  find scans -name '*.nii' | inrcodec batch - -o out/ --jobs 4",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("inputs", nargs=-1, required=True, metavar="DIR|LIST|FILE...")
@click.option("-o", "--output", required=True, metavar="OUT", help="Folder for the files and manifest.jsonl; made if it is not there.")
@click.option("--pattern", metavar="GLOB", help="Of a folder only files whose path ends so: '*.png', 'left/*.tif'.")
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Tasks at a time. Default: as many as there are cores or workers for."
)
@click.option("--executor", type=click.Choice(["local", "ray", "dask"]), default="local", show_default=True, help="Who does the tasks.")
@click.option("--address", help="Of a Ray cluster or a Dask scheduler that runs. Default: processes of this machine.")
@click.option("--gpus", type=click.FloatRange(min=0), metavar="X", help="With Ray: GPUs of a task, 0.25 for a quarter of one.")
@click.option(
    "--retries", type=click.IntRange(min=0), default=2, show_default=True, help="Tries more, where a worker died or its machine failed."
)
@click.option(
    "--resume/--force",
    " /-f",
    "resume",
    default=True,
    help="Do what is missing: no line in OUT/manifest.jsonl, or another source, options or file than it says (default). Or do all again.",
)
@click.option("--dry-run", is_flag=True, help="Say what there is to do, and do nothing.")
@encoding_options
@AS_JSON
@NO_PROGRESS
@QUIET
@VERBOSE
@click.pass_obj
def command(
    said: Verbosity,
    inputs: tuple[str, ...],
    output: str,
    pattern: str | None,
    jobs: int | None,
    executor: str,
    address: str | None,
    gpus: float | None,
    retries: int,
    resume: bool,
    dry_run: bool,
    options: EncodeOptions,
    as_json: bool,
    no_progress: bool,
    quiet: bool,
) -> None:
    """Encode many signals into the folder OUT, which mirrors their paths.

    DIR: every file in it that can be read. LIST: a .txt or .lst file, or - for stdin, with one path a line. Every other FILE is a signal.
    A file has the bytes that encode gives it with the same options and --threads, 1 here unless said otherwise. Workers read the sources
    by their paths. Failures are listed at the end; the exit code is that of the first.
    """
    if not output:
        raise UsageError("output: expected a folder, got an empty name")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{output}: expected a folder, got a file")
    options = replace(options, threads=options.threads or 1)

    from inrcodec.batch.manifest import NAME, Manifest, Row, read_rows
    from inrcodec.batch.run import carry_out, make_pool, missing
    from inrcodec.batch.tasks import find_sources, plan
    from inrcodec.batch.work import do

    sources = find_sources(inputs, stdin=sys.stdin, pattern=pattern, leave_out=output)
    tasks = plan(sources, options, output)
    if dry_run:
        left = {task.output for task in (missing(tasks, read_rows(folder / NAME), folder) if resume else tasks)}
        for task in tasks:
            state = "missing" if task.output in left else "done"
            told = {"source": task.source, "output": task.output, "state": state}
            click.echo(json.dumps(told) if as_json else f"{state}  {task.source} -> {folder / task.output}")
        return

    folder.mkdir(parents=True, exist_ok=True)
    line = ProgressLine(enabled=not (no_progress or quiet), verbose=said.level > 0)
    rows: dict[str, Row] = {}
    begun: Sequence[object] = ()
    try:
        with Manifest(folder / NAME) as manifest:
            begun = work = missing(tasks, manifest.rows, folder) if resume else list(tasks)
            again = {task.output for task in work}
            rows = {task.output: manifest.rows[task.output] for task in tasks if task.output not in again}
            for row in rows.values() if as_json else ():
                click.echo(json.dumps(row))
            if work:
                pool = make_pool(executor, jobs=jobs, threads=options.threads or 1, gpus=gpus, address=address, work=do)
                try:
                    for row in carry_out(work, manifest, pool, retries=retries, progress=line):
                        rows[row["output"]] = row
                        if as_json:
                            click.echo(json.dumps(row))
                finally:
                    pool.close()
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {len(rows)} of {len(tasks)} done; the same command does the others") from error
    finally:
        line.close()
    _conclude([rows[task.output] for task in tasks], output, done=len(begun), quiet=quiet)


class _Failed(InrError):
    """Some tasks failed; the exit code is one of theirs."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _conclude(rows: Sequence[dict[str, object]], output: str, *, done: int, quiet: bool) -> None:
    """What went wrong, a line each, and how many there are; exits with the code of the first failure."""
    failed = [row for row in rows if row["exit_code"]]
    for row in failed:
        click.echo(f"failed ({row['exit_code']}): {row['message']}", err=True)
    size = human_bytes(sum(row["bytes"] for row in rows if isinstance(row["bytes"], int)))
    summary = f"{output}: {len(rows)} signals, {done} encoded now, {len(failed)} failed; {size}"
    if failed:
        raise _Failed(summary, int(str(failed[0]["exit_code"])))
    if not quiet:
        click.echo(summary, err=True)
