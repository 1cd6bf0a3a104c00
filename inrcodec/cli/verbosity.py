"""-v, before the verb or after it."""

from dataclasses import dataclass

import click


@dataclass
class Verbosity:
    """The number of -v given so far: main() reads it after the verb has failed, when no context is left to ask."""

    level: int = 0


def _add(ctx: click.Context, _: click.Parameter, count: int) -> None:
    ctx.ensure_object(Verbosity).level += count


VERBOSE = click.option(
    "-v", "--verbose", count=True, is_eager=True, expose_value=False, callback=_add, help="Say more; -vv shows the traceback of an error."
)
