"""`pseudoword suggest-init`."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.events import Event, WordsScored
from pseudoword.settings import Settings
from pseudoword.training.suggest_options import SuggestOptions


@command_from(SuggestOptions, ())
def suggest_init(options: SuggestOptions, settings: Settings) -> None:
    """Propose words to start a training from: those whose plain captions the frozen model likes best.

    Loss of the pictures with each word in place of the learned one, the best first. Ctrl-C shows the best so far.
    """
    from pseudoword.cli._interrupt import listening, show_until_stopped
    from pseudoword.services.suggest import suggest_init as events_of

    found: list[WordsScored] = []

    def noted() -> Iterator[Event]:
        for event in events_of(options, settings):
            if isinstance(event, WordsScored):
                found.append(event)
            yield event

    if options.as_json:
        with listening() as wish:
            stopped = any(wish.wished for _ in noted())
    else:
        _, stopped = show_until_stopped(noted())
    _print(found[-1] if found else WordsScored(words=(), final=False), options)
    if stopped:
        raise typer.Exit(INTERRUPTED)


def _print(found: WordsScored, options: SuggestOptions) -> None:
    if options.as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    if not found.final:
        typer.echo("stopped before all samples were seen; the best so far:")
    held_back = any(entry.held_back_loss is not None for entry in found.words)
    typer.echo(f"{'word':<20} {'loss':>7}" + ("  held back" if held_back else ""))
    for entry in found.words:
        judged = f"  {entry.held_back_loss:9.4f}" if entry.held_back_loss is not None else ""
        only = "  (the default, to compare)" if entry.only_compared else ""
        typer.echo(f"{entry.word:<20} {entry.loss:7.4f}{judged}{only}")
