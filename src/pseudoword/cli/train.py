"""`pseudoword train` and `pseudoword resume`."""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from pseudoword.cli._errors import INTERRUPTED, clear_errors
from pseudoword.cli._options import command_from, folder_options
from pseudoword.events import Event
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions


@command_from(TrainOptions, ("embeddings_dir", "runs_dir"))
def train(options: TrainOptions, settings: Settings) -> None:
    """Teach the model a new word from a folder of pictures.

    Ctrl-C stops after the current step and keeps everything; `pseudoword resume` goes on from there.
    """
    from pseudoword.services.train import train_word

    _show(train_word(options, settings))


def resume(
    run: Annotated[str, typer.Argument(help="The run's folder, or its name below the runs folder.")],
    steps: Annotated[
        int | None, typer.Option(help="A new number of steps in all, to train a finished run further.")
    ] = None,
    memory: Annotated[
        str | None, typer.Option(help="normal | medium | low, for this session. Default: as the run was started.")
    ] = None,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the training runs.")] = None,
) -> None:
    """Continue a stopped, killed or finished run exactly where its last state is."""
    settings = folder_options(runs_dir=runs_dir)
    with clear_errors():
        from pseudoword.services.train import resume_run

        _show(resume_run(run, settings, steps, memory))


def _show(events: Iterable[Event]) -> None:
    from pseudoword.cli._interrupt import show_until_stopped

    shown, stopped = show_until_stopped(events)
    if stopped and not shown.ended:
        if shown.run is None:
            typer.echo("stopped before the first step of this session; nothing was changed")
        else:
            typer.echo(
                f"stopped after step {shown.step}; continue with: pseudoword resume {shlex.quote(str(shown.run))}"
            )
        raise typer.Exit(INTERRUPTED)
