"""`pseudoword train` and `pseudoword resume`."""

import inspect
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import changes_from, command_from
from pseudoword.events import Event
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions

_RUN = inspect.Parameter(
    "run",
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    annotation=Annotated[str, typer.Argument(help="The run's folder, or its name below the runs folder.")],
)


def _reader() -> Callable[[Path], dict[str, Any]]:
    from pseudoword.training.config import read_config

    return read_config


@command_from(TrainOptions, ("embeddings_dir", "runs_dir"), _reader)
def train(options: TrainOptions, settings: Settings) -> None:
    """Teach the model a new word from a folder of pictures.

    Ctrl-C stops after the current step and keeps everything; `pseudoword resume` goes on from there.
    """
    from pseudoword.services.train import train_word

    _show(train_word(options, settings))


@changes_from(TrainOptions, frozenset({"name", "pictures"}), ("runs_dir",), _RUN)
def resume(run: str, changes: dict[str, Any], settings: Settings) -> None:
    """Continue a stopped, killed or finished run exactly where its last state is.

    All settings are those of the run. Some may be changed: --steps, --stop, --keep, previews, how often something is
    done, --device (then the last bits differ). Others are compared with the run's, and refused where they differ.
    """
    from pseudoword.services.train import resume_run

    _show(resume_run(run, settings, **changes))


def _show(events: Iterable[Event]) -> None:
    from pseudoword.cli._interrupt import show_until_stopped

    shown, stopped = show_until_stopped(events)
    if stopped and not shown.ended:
        if shown.run is None:
            typer.echo("stopped before the first step of this session; nothing was changed")
        else:
            typer.echo(shown.what_is_kept())
            typer.echo(
                f"stopped after step {shown.step}; continue with: pseudoword resume {shlex.quote(str(shown.run))}"
            )
        raise typer.Exit(INTERRUPTED)
