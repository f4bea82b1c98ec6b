"""`pseudoword generate`."""

from dataclasses import dataclass, field
from pathlib import Path

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.folder import BUNDLED
from pseudoword.settings import DEVICES, PRECISIONS, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCommand(GenerateOptions):
    """A request, and what it runs on."""

    model: str = field(default=BUNDLED, metadata={"help": "bundled, a folder in diffusers' layout, or a hub id."})
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(default="auto", metadata={"help": " | ".join(PRECISIONS)})
    output: Path | None = field(
        default=None, metadata={"help": "File of the picture. Default: numbered, in the outputs folder."}
    )


@command_from(GenerateCommand, ("embeddings_dir", "outputs_dir"))
def generate(options: GenerateCommand, settings: Settings) -> None:
    """Draw pictures from a prompt; words of the embeddings folder are used by writing their names."""
    from pseudoword.cli._interrupt import show_until_stopped
    from pseudoword.services.generate import Studio

    studio = Studio.open(settings, model=options.model, device=options.device, precision=options.precision)
    _, stopped = show_until_stopped(studio.draw_and_save(options, options.output))
    if stopped:
        typer.echo("stopped; the pictures that were told are saved")
        raise typer.Exit(INTERRUPTED)
