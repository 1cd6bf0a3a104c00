"""The command line: a table of verbs, loaded when called, and the exit codes of errors.py."""

import importlib
import sys
import traceback

import click

from inrcodec.cli.verbosity import VERBOSE, Verbosity
from inrcodec.errors import InrError, Interrupted
from inrcodec.version import VERSION

VERBS = {
    "encode": "fit a signal and write it as an .inr file",
    "batch": "encode many signals, on this machine or on a cluster",
    "decode": "sample an .inr file at any resolution",
    "query": "values and exact derivatives of an .inr file at points",
    "mesh": "extract the surface of a shape",
    "info": "say what an .inr file holds",
    "verify": "check an .inr file, and against its source",
    "view": "show .inr files in the browser",
    "export-onnx": "write the function of an .inr file as an ONNX model",
    "convert": "write an .inr file anew, with other metadata",
    "solve": "solve a differential equation and write the solution as an .inr file",
    "serve": "keep, encode and decode .inr files over HTTP",
    "bench": "measure rate-distortion curves beside other codecs",
    "doctor": "say what this installation can do",
}


class Verbs(click.Group):
    """Verbs by name; a verb's module is imported only when it runs or shows its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command = importlib.import_module(f"inrcodec.cli.{name.replace('-', '_')}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.command(
    cls=Verbs,
    epilog="Examples:  inrcodec encode photo.png -o photo.inr;  inrcodec decode photo.inr -o big.png --scale 16",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(VERSION, "--version", message="inrcodec %(version)s")
@VERBOSE
def cli() -> None:
    """A codec whose bitstream is a function: signals as small neural networks, decoded at any resolution."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the documented code."""
    said = Verbosity()
    try:
        cli.main(args=arguments, prog_name="inrcodec", standalone_mode=False, obj=said)
        code = 0
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        code = _fail(error.format_message(), error.exit_code, said)
    except (KeyboardInterrupt, click.exceptions.Abort):
        code = _fail("interrupted; no file was written", Interrupted.exit_code, said)
    except InrError as error:
        code = _fail(str(error), error.exit_code, said)
    except MemoryError:
        code = _fail("out of memory; decode a --region, or a smaller --scale", 6, said)
    except OSError as error:
        code = _fail(f"{error.filename or 'output'}: {error.strerror or error}", 1, said)
    except Exception as error:
        code = _fail(f"internal: {type(error).__name__}: {error}", 1, said)
    sys.exit(code)


def _fail(message: str, code: int, said: Verbosity) -> int:
    if said.level > 1:
        traceback.print_exc()
    click.echo("error: " + " ".join(message.split()), err=True)
    return code
