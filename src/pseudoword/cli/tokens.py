"""`pseudoword tokens`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from pseudoword.cli._options import command_from
from pseudoword.cli.info import printable
from pseudoword.conditioning.guidance import PromptOptions
from pseudoword.generation.options import check_text, in_range
from pseudoword.models.folder import BUNDLED
from pseudoword.settings import Settings

if TYPE_CHECKING:
    from pseudoword.services.tokens import PartRow, StretchRow, TokenRow, TokensReport

_MOST_STEPS = 150


@dataclass(frozen=True, slots=True, kw_only=True)
class TokensCommand(PromptOptions):
    """What to read, and as whom."""

    prompt: str = field(metadata={"help": "The prompt."})
    negative: str = field(default="", metadata={"help": "The negative prompt.", "short": "-n"})
    style: list[str] | None = field(
        default=None, metadata={"help": "A style of styles.csv to merge in first; may be given again."}
    )
    steps: int = field(default=20, metadata={"help": "Model calls that prompt editing is spread over, 1 to 150."})
    model: str = field(default=BUNDLED, metadata={"help": "Whose tokenizer reads: see generate."})
    json: bool = field(default=False, metadata={"help": "Print everything as JSON."})

    def __post_init__(self) -> None:
        PromptOptions.__post_init__(self)
        in_range("steps", self.steps, 1, _MOST_STEPS)
        check_text("prompt", self.prompt)
        check_text("negative prompt", self.negative)


@command_from(TokensCommand, ("embeddings_dir",))
def tokens(options: TokensCommand, settings: Settings) -> None:
    """Show what a model reads in a prompt: chunks, tokens, weights, learned words and where they stand."""
    from pseudoword.services.styles import with_styles
    from pseudoword.services.tokens import read_tokens

    prompt, negative = with_styles(settings, options.prompt, options.negative, options.style or ())
    report = read_tokens(prompt, negative, settings, model=options.model, steps=options.steps, options=options)
    if options.json:
        typer.echo(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
    else:
        typer.echo(printable("\n".join(_lines(report))))


def _lines(report: "TokensReport") -> Iterator[str]:
    for number, part in enumerate(report.prompt, 1):
        several = len(report.prompt) > 1 or part.weight != 1
        yield from _part_lines(part, "prompt" + (f", part {number}, weight {part.weight:g}" if several else ""), report)
    if report.negative is not None:
        yield ""
        yield from _part_lines(report.negative, "negative prompt", report)
    if report.words:
        yield f"\nlearned words: {', '.join(report.words)}"
    for note in report.notes:
        yield f"note: {note}"


def _part_lines(part: "PartRow", title: str, report: "TokensReport") -> Iterator[str]:
    for stretch in part.stretches:
        when = ""
        if len(part.stretches) > 1:
            first, last = stretch.first_call, stretch.last_call
            when = f", call{'s' if last > first else ''} {first}" + (f" to {last}" if last > first else "")
            when += f" of {report.steps}"
        yield f"{title}{when}: {stretch.used}/{stretch.limit}"
        yield from _stretch_lines(stretch)


def _stretch_lines(stretch: "StretchRow") -> Iterator[str]:
    for number, chunk in enumerate(stretch.chunks, 1):
        if len(stretch.chunks) > 1:
            yield f"  chunk {number}"
        yield from (_row(row) for row in chunk)


def _row(row: "TokenRow") -> str:
    last = row.place + row.places - 1
    places = f"{row.place}" if row.places == 1 else f"{row.place}-{last}"
    what = f"token {row.id}" if row.id is not None else f"learned word, {row.places} vectors"
    weight = "" if row.weight == 1 else f"  weight {row.weight:.4g}"
    return f"  {places:>7}  {row.text:<16} {what}{weight}"
