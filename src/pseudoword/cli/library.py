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

Row = tuple[str, ...]

_MANY = 300
"""Rows above this number are listed in plain lines."""


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
    _show_rows(console, ("word", "vectors", "made for", "short hash", "file"), _loaded(shelf))
    _show_rows(console, ("skipped", "because"), _skipped(shelf))
    _show_doubles(console, shelf)


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'' if len(things) == 1 else 's'}"


def _show_rows(console: "Console", columns: Row, rows: list[Row]) -> None:
    if len(rows) > _MANY:
        typer.echo("\n".join(_lines([columns, *rows])))
    elif rows:
        console.print(_table(columns, rows))


def _table(columns: Row, rows: list[Row]) -> "Table":
    from rich import box
    from rich.table import Table

    from pseudoword.cli._text import shown

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(shown, row))
    return table


def _lines(rows: list[Row]) -> list[str]:
    """Aligned lines, as wide as they have to be: laying out a table takes a millisecond for each row."""
    from pseudoword.cli._text import printable

    cells = [tuple(map(printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]


def _loaded(shelf: "Shelf") -> list[Row]:
    from pseudoword.families import describe

    return [
        (
            entry.embedding.name,
            str(entry.embedding.num_vectors),
            describe(entry.embedding.widths),
            entry.short,
            str(entry.path.relative_to(shelf.folder)),
        )
        for entry in shelf.loaded
    ]


def _skipped(shelf: "Shelf") -> list[Row]:
    rows: list[Row] = []
    for skip in shelf.skipped:
        inside = skip.path.is_relative_to(shelf.folder) and skip.path != shelf.folder
        rows.append((str(skip.path.relative_to(shelf.folder) if inside else skip.path), skip.reason))
    return rows


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
