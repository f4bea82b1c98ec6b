"""`pseudoword compare`."""

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.generation.comparison import CompareOptions
from pseudoword.settings import Settings


@command_from(CompareOptions, ("embeddings_dir", "outputs_dir", "runs_dir"))
def compare(options: CompareOptions, settings: Settings) -> None:
    """Draw a labelled grid over up to three axes: checkpoints, words, weights, models, seeds, settings.

    A stopped comparison goes on when the same command is given again.
    """
    from pseudoword.cli._interrupt import show_until_stopped
    from pseudoword.services.compare import compare as draw

    _, stopped = show_until_stopped(draw(options, settings))
    if stopped:
        typer.echo("stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED)
