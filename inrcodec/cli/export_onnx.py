"""inrcodec export-onnx"""

from pathlib import Path

import click

from inrcodec.cli.common import NO_OVERWRITE, check_output, read_inr, write_output
from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import UsageError


@click.command(
    epilog="Example:  inrcodec export-onnx photo.inr -o photo.onnx --grid --profile web",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("input")
@click.option("-o", "--output", required=True, help="Model to write, - for stdout.")
@click.option("--profile", default="cpu", show_default=True, help="For whom: cpu, gpu (dense tables), web (float32 alone, for WebGPU).")
@click.option("--opset", type=int, default=18, show_default=True, help="Version of the standard operators, 18..22.")
@click.option("--fp16", is_flag=True, help="Store in float16 what the file has no integers for; arithmetic stays float32.")
@click.option(
    "--points/--grid", "points", default=True, show_default=True, help="Take points (n, d), or one vector of coordinates per axis."
)
@click.option("--triton", metavar="DIR", help="Put the model into a Triton model repository as well, under the name of the output.")
@NO_OVERWRITE
@VERBOSE
@click.pass_obj
def command(
    said: Verbosity, input: str, output: str, profile: str, opset: int, fp16: bool, points: bool, triton: str | None, no_overwrite: bool
) -> None:
    """Write the function of INPUT (an .inr file; - for stdin) as an ONNX model, without residual; its metadata tells names and units."""
    check_output(output, overwrite=not no_overwrite, source=input)
    if triton is not None and output == "-":
        raise UsageError("--triton: expected an output with a name, got -")

    from inrcodec.export import export_onnx, write_triton

    model = export_onnx(read_inr(input), profile=profile, opset=opset, fp16=fp16, grid=not points)
    write_output(output, model, overwrite=not no_overwrite)
    if triton is not None:
        write_triton(triton, Path(output).stem, model, overwrite=not no_overwrite)
    if said.level:
        click.echo(f"{output}: {len(model)} bytes", err=True)
