"""`pseudoword dataset`."""

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.settings import Settings
from pseudoword.training.data_options import DatasetOptions


@command_from(DatasetOptions, ("outputs_dir",))
def dataset(options: DatasetOptions, settings: Settings) -> None:
    """Show what a training would learn from: sizes, captions as they will be fed, doubles, a contact sheet."""
    from pseudoword.cli._interrupt import show_until_stopped
    from pseudoword.services.dataset import describe_dataset

    _, stopped = show_until_stopped(describe_dataset(options, settings))
    if stopped:
        raise typer.Exit(INTERRUPTED)
