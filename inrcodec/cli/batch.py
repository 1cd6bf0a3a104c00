"""inrcodec batch"""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inrcodec.batch.options import EXECUTORS, EncodeOptions
from inrcodec.cli.common import AS_JSON, NO_PROGRESS, QUIET, ProgressLine, human_bytes
from inrcodec.cli.encode_options import EncodingCommand, encoding_options
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import InrError, Interrupted, UsageError

if TYPE_CHECKING:
    from inrcodec.batch.manifest import Row


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
@click.option(
    "--jobs-per-device",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="G",
    help="Tasks at a time in every process, side by side on its GPU; steps are made together where networks and shapes are the same, and "
    "files may then differ in rounding. Where it is more than one, --jobs is 1 unless given.",
)
@click.option("--executor", type=click.Choice(EXECUTORS), default="local", show_default=True, help="Who does the tasks.")
@click.option("--address", help="Of a Ray cluster or a Dask scheduler that runs. Default: processes of this machine.")
@click.option("--gpus", type=click.FloatRange(min=0), metavar="X", help="With Ray: GPUs of a task, 0.25 for a quarter of one.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    metavar="N",
    help="Tries more, where a worker died or its machine failed.",
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
    jobs_per_device: int,
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
    by their paths: a cluster has the folders of the sources. Failures are listed at the end; the exit code is that of the first.
    """
    if not output:
        raise UsageError("output: expected a folder, got an empty name")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{output}: expected a folder, got a file")
    options = replace(options, threads=options.threads or 1)

    from inrcodec.batch.manifest import NAME, Manifest, read_rows
    from inrcodec.batch.run import carry_out, make_pool, missing, sweep
    from inrcodec.batch.tasks import find_sources, plan
    from inrcodec.batch.work import do, side_by_side

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
    kept: dict[str, Row] = {}
    new: dict[str, Row] = {}
    try:
        with Manifest(folder / NAME) as manifest:
            sweep(tasks, folder)
            work = missing(tasks, manifest.rows, folder) if resume else list(tasks)
            begun = {task.output for task in work}
            kept = {task.output: manifest.rows[task.output] for task in tasks if task.output not in begun}
            _print(kept.values() if as_json else ())
            if work:
                threads = options.threads or 1
                pool = make_pool(
                    executor,
                    jobs=jobs,
                    threads=threads,
                    gpus=gpus,
                    address=address,
                    work=do,
                    at_once=jobs_per_device,
                    begin=side_by_side,
                )
                try:
                    for row in carry_out(work, manifest, pool, retries=retries, progress=line):
                        new[row["output"]] = row
                        _print([row] if as_json else ())
                finally:
                    pool.close()
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; {len(kept) + len(new)} of {len(tasks)} done; the same command does the others") from error
    finally:
        line.close()
    _conclude([(kept | new)[task.output] for task in tasks], output, kept=len(kept), quiet=quiet)


class _Failed(InrError):
    """Some tasks failed; the exit code is one of theirs."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def _print(rows: "Iterable[Row]") -> None:
    for row in rows:
        click.echo(json.dumps(row))


def _conclude(rows: "Sequence[Row]", output: str, *, kept: int, quiet: bool) -> None:
    """Say what went wrong, a line each, and how many there are. Raises an error with the code of the first failure."""
    failed = [row for row in rows if row["sha256"] is None]
    missed = [row for row in rows if row["sha256"] is not None and row["exit_code"]]
    for row in (*failed, *missed):
        click.echo(f"{'failed' if row['sha256'] is None else 'missed'} ({row['exit_code']}): {row['message']}", err=True)
    size = human_bytes(sum(row["bytes"] or 0 for row in rows))
    counts = [f"{len(rows) - kept - len(failed)} encoded", f"{kept} kept", f"{len(failed)} failed"]
    summary = f"{output}: {', '.join(counts + ([f'{len(missed)} missed their target'] if missed else []))}; {size}"
    if failed or missed:
        raise _Failed(summary, (failed or missed)[0]["exit_code"])
    if not quiet:
        click.echo(summary, err=True)
