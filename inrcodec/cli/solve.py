"""inrcodec solve: a differential equation -> .inr."""

import click

from inrcodec.cli.common import NO_OVERWRITE, check_output, write_output
from inrcodec.cli.verbosity import VERBOSE


@click.command("solve")
@click.argument("equation", required=False)
@click.option("-o", "--output", metavar="FILE", help="The .inr file to write; - is stdout.")
@click.option("--list", "listed", is_flag=True, help="Print the equations and end.")
@click.option("--neurons", type=int, default=1200, show_default=True, help="Neurons of the layer.")
@click.option("--points", type=int, default=40, show_default=True, help="Collocation points per axis.")
@click.option("--samples", type=int, default=256, show_default=True, help="Nominal samples per axis of the file.")
@click.option("--time-limit", type=float, help="Seconds.")
@click.option("--seed", type=int, default=0, show_default=True)
@NO_OVERWRITE
@VERBOSE
def command(
    equation: str | None,
    output: str | None,
    listed: bool,
    neurons: int,
    points: int,
    samples: int,
    time_limit: float | None,
    seed: int,
    no_overwrite: bool,
) -> None:
    """Solve EQUATION with a network of multi-scale sines and write the solution as a field.

    One layer of sines of drawn frequencies; its output by least squares of the residual, in double precision.
    """
    from inrcodec.solve.equations import EQUATIONS
    from inrcodec.solve.file import file_error, solution_file
    from inrcodec.solve.solver import Options, solve_by_name

    if listed:
        for name, known in EQUATIONS.items():
            click.echo(f"{name}: {known.text}")
        return
    if equation is None or output is None:
        raise click.UsageError("expected EQUATION and -o FILE, or --list")
    check_output(output, overwrite=not no_overwrite)
    options = Options(points=points, seed=seed, time_limit=time_limit)
    solution = solve_by_name(equation, neurons=neurons, options=options)
    data = solution_file(EQUATIONS[equation], solution, options, samples=samples)
    write_output(output, data, overwrite=not no_overwrite)
    error = file_error(EQUATIONS[equation], data)
    click.echo(
        f"{equation}: {len(data)} bytes, relative L2 error {error:.2e}, residual {solution.residual_rms:.2e} rms,"
        f" {solution.residual_max:.2e} at most, {solution.seconds:.0f} s",
        err=True,
    )
