"""Errors as one clear line and an exit code: 2 for input that the user must change, 1 for what went wrong here."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from pseudoword.errors import BadInput, PseudowordError

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn this package's errors into a line on stderr; anything else is our bug and keeps its trace."""
    try:
        yield
    except PseudowordError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(BAD_INPUT if isinstance(error, BadInput) else FAILED) from error
    except KeyboardInterrupt as stop:
        typer.echo("stopped", err=True)
        raise typer.Exit(INTERRUPTED) from stop
