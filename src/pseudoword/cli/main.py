"""The `pseudoword` command."""

from typing import Annotated

import typer

from pseudoword._version import __version__
from pseudoword.cli._a1111 import A1111Command
from pseudoword.cli.compare import compare
from pseudoword.cli.convert import convert
from pseudoword.cli.dataset import dataset
from pseudoword.cli.demo import demo
from pseudoword.cli.generate import generate
from pseudoword.cli.info import info
from pseudoword.cli.inspect import inspect
from pseudoword.cli.library import library
from pseudoword.cli.merge import merge
from pseudoword.cli.share import find, publish, pull
from pseudoword.cli.suggest import suggest_init
from pseudoword.cli.tokens import tokens
from pseudoword.cli.train import resume, train

app = typer.Typer(
    name="pseudoword",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    train,
    resume,
    dataset,
    suggest_init,
    generate,
    compare,
    convert,
    tokens,
    info,
    inspect,
    merge,
    library,
    find,
    pull,
    publish,
    demo,
):
    app.command(cls=A1111Command)(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pseudoword {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Teach a text-to-image model a new word from a few pictures; use it by writing its name."""


def run() -> None:
    """Entry point of the installed script."""
    app()
