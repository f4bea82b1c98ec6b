"""`pseudoword find`, `pseudoword pull` and `pseudoword publish`."""

import json

import typer

from pseudoword.cli._errors import INTERRUPTED
from pseudoword.cli._options import command_from
from pseudoword.hub.options import FindOptions, PublishOptions, PullOptions
from pseudoword.settings import Settings

_WIDE = 200
"""Columns where nobody looks: lines stay whole in files and pipes."""


@command_from(FindOptions, ())
def find(options: FindOptions, settings: Settings) -> None:
    """Look for embeddings that others share, on the Hugging Face hub and on Civitai.

    "?" stands where a service does not say; vectors with "~" are told from the size of the file.
    """
    from pseudoword.services.find import find as search

    outcome = search(options, settings)
    for problem in outcome.problems:
        typer.echo(f"note: {problem}", err=True)
    if options.json:
        typer.echo(json.dumps([one.to_plain() for one in outcome.found], indent=2, ensure_ascii=False))
    elif outcome.found:
        _print_table([one.to_plain() for one in outcome.found])
        typer.echo(f"\nFetch one with: pseudoword pull {outcome.found[0].id}")
    else:
        typer.echo("nothing found; try fewer or other words")


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("id", "name", "family", "vectors", "downloads", "licence", "preview"):
        right = column in ("vectors", "downloads")
        whole = column in ("id", "family", "vectors", "downloads")
        table.add_column(column, justify="right" if right else "left", no_wrap=whole, overflow="fold")
    for row in rows:
        vectors = f"~{row['vectors']}" if row["vectors"] else None
        cells = (row["id"], row["name"], row["family"], vectors, row["downloads"], row["licence"], row["preview"])
        table.add_row(*(_cell(cell) for cell in cells))
    console.print(table, highlight=False)


def _cell(value: object) -> str:
    """Text of a stranger: on one line, with neither markup nor control characters."""
    from rich.markup import escape

    text = "?" if value is None else " ".join(str(value).split())
    return escape("".join(letter for letter in text if letter.isprintable()))


@command_from(PullOptions, ("embeddings_dir",))
def pull(options: PullOptions, settings: Settings) -> None:
    """Fetch an embedding into the embeddings folder, checked and read safely before it is put there.

    A download that breaks, or that Ctrl-C stops, goes on from where it was at the next try.
    """
    from pseudoword.cli._interrupt import show_until_stopped
    from pseudoword.services.pull import pull as fetch

    _, stopped = show_until_stopped(fetch(options, settings))
    if stopped:
        typer.echo("stopped; the same command goes on from here")
        raise typer.Exit(INTERRUPTED)


@command_from(PublishOptions, ("embeddings_dir",))
def publish(options: PublishOptions, settings: Settings) -> None:
    """Share a word on the Hugging Face hub: its file, sample pictures and a model card.

    Log in first with `hf auth login`, or set HF_TOKEN. With --dry-run nothing leaves this machine.
    """
    from pseudoword.cli._interrupt import show_until_stopped
    from pseudoword.services.publish import publish as share

    _, stopped = show_until_stopped(share(options, settings))
    if stopped:
        typer.echo("stopped")
        raise typer.Exit(INTERRUPTED)
