"""`pseudoword library`."""

import json
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pseudoword.cli._errors import clear_errors
from pseudoword.cli._options import folder_options

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from pseudoword.services.library import Shelf


def library(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    model: Annotated[
        str | None, typer.Option(help="Say which words this model can use, by its configuration alone.")
    ] = None,
    embeddings_dir: Annotated[Path | None, typer.Option(help="Folder of the embeddings.")] = None,
) -> None:
    """List the embeddings folder: words that are loaded, files that are skipped and why, double names and vectors."""
    settings = folder_options(embeddings_dir=embeddings_dir)
    with clear_errors():
        from pseudoword.services.library import as_plain, look_through

        shelf = look_through(settings, model)
        if as_json:
            typer.echo(json.dumps(as_plain(shelf), indent=2))
        else:
            _show(shelf)


def _show(shelf: "Shelf") -> None:
    from rich.console import Console

    from pseudoword.cli._text import shown

    console = Console(highlight=False)
    against = f", for {shown(shelf.model)}" if shelf.model else ""
    counts = f"{_count(shelf.loaded, 'word')}, {_count(shelf.skipped, 'file')} skipped"
    console.print(f"[bold]{shown(shelf.folder)}[/]{against}: {counts}", soft_wrap=True)
    if shelf.loaded:
        console.print(_loaded(shelf))
    if shelf.skipped:
        console.print(_skipped(shelf))
    _show_doubles(console, shelf)


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _table(*columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _loaded(shelf: "Shelf") -> "Table":
    from pseudoword.cli._text import shown
    from pseudoword.families import describe

    table = _table("word", "vectors", "made for", "short hash", "file")
    for entry in shelf.loaded:
        embedding = entry.embedding
        place = entry.path.relative_to(shelf.folder)
        made_for = describe(embedding.widths)
        table.add_row(shown(embedding.name), str(embedding.num_vectors), made_for, entry.short, shown(place))
    return table


def _skipped(shelf: "Shelf") -> "Table":
    from pseudoword.cli._text import shown

    table = _table("skipped", "because")
    for skip in shelf.skipped:
        inside = skip.path.is_relative_to(shelf.folder) and skip.path != shelf.folder
        table.add_row(shown(skip.path.relative_to(shelf.folder) if inside else skip.path), shown(skip.reason))
    return table


def _show_doubles(console: "Console", shelf: "Shelf") -> None:
    from pseudoword.cli._text import shown

    for one in shelf.collisions:
        others = ", ".join(other.name for other in one.others)
        same = "with the same vectors" if one.same_vectors else "with other vectors"
        console.print(
            f"taken twice: {shown(one.trigger)} is {shown(one.used.name)}; {shown(others)} has the same name {same}",
            soft_wrap=True,
        )
    for group in shelf.duplicates:
        names = ", ".join(entry.embedding.name for entry in group)
        console.print(f"the same vectors: {shown(names)}", soft_wrap=True)
