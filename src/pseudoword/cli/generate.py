"""`pseudoword generate`."""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.errors import BadOption
from pseudoword.generation.naming import SaveOptions
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.options import (
    check_model_options,
    memory_option,
    model_option,
    prediction_option,
    vae_option,
)
from pseudoword.settings import DEVICES, PRECISIONS, Settings


@dataclass(frozen=True, kw_only=True)
class GenerateCommand(SaveOptions, GenerateOptions):
    """A request, what it runs on, and where its pictures go."""

    prompt: str = field(default="", metadata={"help": "What to draw; learned words by their names.", "argument": True})
    from_picture: Path | None = field(
        default=None,
        metadata={
            "help": "Draw this picture again; options given beside it count instead of its own.",
            "flag": "--from",
        },
    )
    style: list[str] | None = field(
        default=None, metadata={"help": "A style of styles.csv to merge into the prompts; may be given again."}
    )
    model: str = model_option()
    vae: str = vae_option()
    prediction: str = prediction_option()
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(default="auto", metadata={"help": " | ".join(PRECISIONS)})
    memory: str = memory_option()

    def __post_init__(self) -> None:
        SaveOptions.__post_init__(self)
        GenerateOptions.__post_init__(self)
        check_model_options(self.prediction, self.memory)


@command_from(GenerateCommand, ("embeddings_dir", "outputs_dir"))
def generate(options: GenerateCommand, settings: Settings, given: set[str]) -> None:
    """Draw pictures from a prompt; words of the embeddings folder are used by writing their names."""
    from pseudoword.cli._interrupt import show_until_stopped

    if options.from_picture is None and "prompt" not in given:
        raise BadOption("no prompt", expected="what to draw, or --from PICTURE")
    _, stopped = show_until_stopped(_events(options, settings, given))
    if stopped:
        typer.echo("stopped; the pictures that were told are saved")
        raise typer.Exit(INTERRUPTED)


def _events(options: GenerateCommand, settings: Settings, given: set[str]) -> Iterator[Any]:
    from pseudoword.services.generate import Studio
    from pseudoword.services.repeat import differences, read_request
    from pseudoword.services.styles import with_styles

    request: GenerateOptions = options
    model, prediction, recorded = options.model, options.prediction, None
    if options.from_picture is not None:
        names = {own.name for own in fields(GenerateOptions)} & given
        recorded = read_request(options.from_picture, {name: getattr(options, name) for name in names})
        request = recorded.request
        model = model if "model" in given else recorded.model
        prediction = prediction if "prediction" in given else recorded.prediction
    prompt, negative = with_styles(settings, request.prompt, request.negative_prompt, options.style or ())
    request = replace(request, prompt=prompt, negative_prompt=negative)
    studio = Studio.open(
        settings,
        model=model,
        device=options.device,
        precision=options.precision,
        vae=options.vae,
        prediction=prediction,
        memory=options.memory,
    )
    if recorded is not None:
        yield from differences(studio, recorded)
    yield from studio.draw_and_save(request, options)
