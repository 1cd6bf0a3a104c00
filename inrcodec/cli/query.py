"""inrcodec query"""

from pathlib import Path

import click

from inrcodec.cli.common import BACKEND, DEVICE, NO_OVERWRITE, check_output, open_output, read_inr, read_source
from inrcodec.cli.verbosity import VERBOSE
from inrcodec.errors import InputError, UsageError


@click.command(
    epilog="Examples:  inrcodec query photo.inr --at 0.5,0.25;  inrcodec query scan.inr --points pts.csv --world --gradient -o values.csv",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("--at", "places", multiple=True, metavar="Y,X", help="A point, one number per axis, slowest axis first; repeatable.")
@click.option(
    "--points",
    "source",
    metavar="FILE",
    help="Points, one a line of CSV, or an .npy of shape (n, d); - for stdin. A first line of names (x,y) says another order.",
)
@click.option("--gradient", is_flag=True, help="Also the exact derivatives, per unit of the coordinates given: columns dR/dy, dR/dx ...")
@click.option(
    "--pixel", is_flag=True, help="Points count nominal samples; 0 is the middle of the first. Default: [-1, 1] from border to border."
)
@click.option("--world", is_flag=True, help="Points are in the coordinates of the source (x,y,z), where the file has an affine.")
@click.option(
    "--outside",
    type=click.Choice(["refuse", "nan", "extend"]),
    default="refuse",
    show_default=True,
    help="Of points outside the domain: an error, NaN, or the function where it goes on without meaning.",
)
@click.option("-o", "--output", default="-", show_default="stdout", help="File to write, .csv or .npy.")
@click.option("--format", "suffix", type=click.Choice(["csv", "npy"]), help="Default: the suffix of the output, csv for stdout.")
@NO_OVERWRITE
@BACKEND
@DEVICE
@VERBOSE
def command(
    input: str,
    places: tuple[str, ...],
    source: str | None,
    gradient: bool,
    pixel: bool,
    world: bool,
    outside: str,
    output: str,
    suffix: str | None,
    no_overwrite: bool,
    backend: str,
    device: str,
) -> None:
    """Values of INPUT (an .inr file; - for stdin) at points: one line per point, one column per channel.

    They are the function's: not rounded, not clipped, without the residual of --max-error and --lossless. Of pictures, sound and video they
    are in [0, 1], of other signals in the numbers of the source.
    """
    if bool(places) == (source is not None):
        raise UsageError("query: expected either --at or --points")
    if pixel and world:
        raise UsageError("query: expected --pixel or --world, got both")
    if source == "-" and input == "-":
        raise UsageError("query: expected INPUT or --points to be a file, got stdin for both")
    form = suffix or ("csv" if output == "-" else Path(output).suffix.lower().lstrip("."))
    if form not in ("csv", "npy"):
        raise UsageError(f"{output}: expected the suffix .csv or .npy, or --format")
    if output != "-" or form == "npy":
        check_output(output, overwrite=not no_overwrite, source=input)

    import numpy as np

    from inrcodec.files import read_bytes
    from inrcodec.memory import keep_freed_memory
    from inrcodec.opening import open_inr
    from inrcodec.places import outside as lie_outside
    from inrcodec.places import place_names, place_of
    from inrcodec.points import beside, read_points, value_columns, write_values

    inr = open_inr(read_inr(input), backend=backend, device=device)
    units = "pixel" if pixel else "world" if world else "domain"
    place, axes = place_of(inr, units), place_names(inr, units)
    if source is None:
        try:
            if not all(text.strip() for text in places):
                raise UsageError(f"--at: expected {len(axes)} numbers ({','.join(axes)}), got an empty one")
            points = read_points("\n".join(places).encode(), "--at", axes)
        except InputError as error:
            raise UsageError(str(error)) from error
    else:
        points = read_points(read_bytes(read_source(source)), "stdin" if source == "-" else source, axes)
    beyond = lie_outside(place.points(points), inr.bounds)
    if outside == "refuse" and beyond.any():
        first = int(np.flatnonzero(beyond)[0])
        given, domain = ",".join(f"{x:g}" for x in points[first]), _domain(units, inr.grid_shape, inr.bounds)
        raise UsageError(f"point {first + 1} ({given}): outside the domain, {domain}; --outside nan or extend")
    keep_freed_memory()
    values = beside(inr.at(points, units=units), inr.gradient(points, units=units) if gradient else None)
    if outside == "nan":
        values[beyond] = np.nan
    columns = value_columns([channel.name for channel in inr.channels], axes, gradient=gradient)
    with open_output(output, overwrite=not no_overwrite) as file:
        write_values(columns, values, f".{form}", file)


def _domain(units: str, sizes: tuple[int, ...], bounds: list[tuple[float, float]]) -> str:
    if units == "world":
        return "the box of the samples"
    ranges = [(-0.5, n - 0.5) for n in sizes] if units == "pixel" else bounds
    return " x ".join(f"[{lo:g}, {hi:g}]" for lo, hi in ranges)
