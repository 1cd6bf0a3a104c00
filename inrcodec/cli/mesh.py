"""inrcodec mesh"""

import time
from collections.abc import Callable
from pathlib import Path

import click

from inrcodec.cli.common import (
    BACKEND,
    DEVICE,
    NO_OVERWRITE,
    NO_PROGRESS,
    ProgressLine,
    check_output,
    derived_output,
    read_inr,
    write_output,
)
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import UsageError
from inrcodec.progress import Progress


@click.command(
    epilog="Example:  inrcodec mesh part.inr -o part.ply --resolution 512",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("-o", "--output", help="File to write (.ply, .glb, .stl, .obj, .off), - for stdout. Default: INPUT with the suffix .ply.")
@click.option(
    "--resolution",
    type=click.IntRange(2, 1 << 14),
    default=256,
    show_default=True,
    help="Points along a side of the box; only those near the surface are evaluated.",
)
@click.option("--format", "suffix", help="ply, glb, stl, obj or off. Default: the suffix of the output.")
@click.option("-f", "--force", is_flag=True, help="Without -o: replace an existing file.")
@NO_OVERWRITE
@NO_PROGRESS
@BACKEND
@DEVICE
@VERBOSE
@click.pass_obj
def command(
    said: Verbosity,
    input: str,
    output: str | None,
    resolution: int,
    suffix: str | None,
    force: bool,
    no_overwrite: bool,
    no_progress: bool,
    backend: str,
    device: str,
) -> None:
    """Extract the surface of INPUT (an .inr of a shape; - for stdin) as a mesh in the coordinates of its source."""
    from inrcodec.memory import keep_freed_memory
    from inrcodec.mesh import MESH_SUFFIXES
    from inrcodec.opening import open_inr
    from inrcodec.surface import check_shape

    target = derived_output(input, suffix or "ply") if output is None else output
    overwrite = force if output is None else not no_overwrite
    check_output(target, overwrite=overwrite, source=input)
    form = f".{suffix.lstrip('.')}".lower() if suffix else Path(target).suffix.lower()
    if form not in MESH_SUFFIXES:
        raise UsageError(f"{target}: expected a mesh's suffix, one of {' '.join(MESH_SUFFIXES)}, got {form or 'none'}")
    inr = open_inr(read_inr(input), backend=backend, device=device)
    check_shape(inr.head)
    keep_freed_memory()
    line = ProgressLine(enabled=not no_progress, verbose=said.level > 0)
    try:
        surface = inr.mesh(resolution=resolution, progress=mesh_progress(line))
    finally:
        line.close()
    write_output(target, surface.to_bytes(form), overwrite=overwrite)
    if said.level:
        share = surface.evaluated / resolution**3
        click.echo(
            f"{target}: {len(surface.vertices)} vertices, {len(surface.faces)} faces; "
            f"{surface.evaluated} points evaluated, {share:.2%} of {resolution}^3",
            err=True,
        )


def mesh_progress(line: ProgressLine) -> Callable[[int, int], None]:
    """Points done of those known to be needed, as a line with the time left."""
    begin = time.monotonic()

    def told(done: int, needed: int) -> None:
        eta = (time.monotonic() - begin) * (needed - done) / done if done else None
        line(Progress("mesh", done, needed, None, None, eta))

    return told
