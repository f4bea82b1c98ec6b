"""`pseudoword inspect`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pseudoword.cli._errors import BAD_INPUT, clear_errors

if TYPE_CHECKING:
    from rich.console import Console

    from pseudoword.models.vocabulary import Vocabulary
    from pseudoword.services.inspect import Inspected


def inspect(
    files: Annotated[list[Path], typer.Argument(help="Embedding files of any kind.", metavar="FILE...")],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON array, with an object for every embedding.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Model whose vocabulary to compare with: nearest words, usual length of a vector."),
    ] = None,
) -> None:
    """Show what embedding files are: whom they were made for, which programs read them, what they are near to."""
    from pseudoword.errors import BadFile
    from pseudoword.services.inspect import as_plain, inspect_file, without_side_files

    with clear_errors():
        vocabulary = _vocabulary(model)
        found: list[Inspected] = []
        unread = 0
        for file in without_side_files(files):
            try:
                found += inspect_file(file)
            except BadFile as problem:
                unread += 1
                typer.echo(f"error: {_named(file, problem)}", err=True)
        if as_json:
            typer.echo(json.dumps([as_plain(one) for one in found], indent=2))
        else:
            _show_all(found, vocabulary)
    if unread:
        raise typer.Exit(BAD_INPUT)


def _named(file: Path, problem: Exception) -> str:
    """The problem in one line that begins with the file as the user called it."""
    words = str(problem)
    for called in (str(file), file.name):
        words = words.removeprefix(f"{called}: ")
    return f"{file}: {words}"


def _vocabulary(model: str | None) -> "Vocabulary | None":
    if model is None:
        return None
    from pseudoword.models.vocabulary import load_vocabulary

    return load_vocabulary(model)


def _show_all(found: "list[Inspected]", vocabulary: "Vocabulary | None") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for number, one in enumerate(found):
        if number:
            console.print()
        _show(console, one, vocabulary)


def _show(console: "Console", one: "Inspected", vocabulary: "Vocabulary | None") -> None:
    from rich.table import Table

    from pseudoword.cli._text import shown

    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=f"[bold]{shown(one.file)}[/]")
    facts.title_justify = "left"
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, value in _facts(one, vocabulary):
        facts.add_row(label, shown(value))
    console.print(facts)
    console.print()
    console.print(_readers(one))
    for fix in dict.fromkeys(reading.fix for reading in one.readings if reading.fix):
        programs = ", ".join(reading.program for reading in one.readings if reading.fix == fix)
        console.print(f"for {programs}:\n  [bold]{shown(fix)}[/]", soft_wrap=True)
    if vocabulary is not None:
        console.print()
        _show_nearest(console, one, vocabulary)


def _facts(one: "Inspected", vocabulary: "Vocabulary | None") -> list[tuple[str, str]]:
    from pseudoword.services.inspect import usual_norms

    found, origin = one.found, one.found.embedding.provenance
    key = f", key {found.inner_key}" if found.inner_key else ""
    checksum = f", A1111 {one.a1111}" if one.a1111 else ""
    facts = [
        ("word", found.embedding.name),
        ("kept in", f"{found.container}, layout {found.layout}{key}"),
        ("made for", _family(one)),
        *_vector_facts(one, usual_norms(one, vocabulary)),
        ("trained on", _model(origin.base_model, origin.base_model_hash)),
        ("steps", "" if origin.step is None else str(origin.step)),
        ("began as", origin.initial_text or ""),
        ("merged from", origin.expression or ""),
        ("pictures", "" if origin.num_pictures is None else str(origin.num_pictures)),
        ("made", " by ".join(part for part in (origin.created, origin.product) if part)),
        ("sha256", one.sha256),
        ("short hash", f"{one.sha256[:12]}{checksum}"),
        *(("note", note) for note in found.notes),
    ]
    return [(label, value) for label, value in facts if value]


def _family(one: "Inspected") -> str:
    from pseudoword.families import FAMILIES

    labels = [FAMILIES[key].label if key in FAMILIES else key for key in one.found.candidates]
    if one.found.family == "ambiguous":
        return f"{' or '.join(labels)} (the file does not say which)"
    return labels[0] if labels else "an unknown model"


def _model(name: str | None, digest: str | None) -> str:
    return f"{name or 'a model'} [{digest}]" if digest else name or ""


def _vector_facts(one: "Inspected", usual: dict[str, float]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for slot, facts in one.tables.items():
        spread = f"{facts.norm_min:.3g}"
        if facts.num_vectors > 1:
            spread += f" to {facts.norm_max:.3g}"
        median = f" (vocabulary: {usual[slot]:.2g})" if slot in usual else ""
        rows.append((slot, f"{facts.num_vectors} × {facts.width} {facts.dtype}, length {spread}{median}"))
    return rows


def _readers(one: "Inspected") -> object:
    from rich import box
    from rich.table import Table

    colours = {"yes": "green", "partly": "yellow", "no": "red"}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("program", no_wrap=True)
    table.add_column("reads it", no_wrap=True)
    table.add_column("why", overflow="fold")
    from pseudoword.cli._text import shown

    for reading in one.readings:
        table.add_row(reading.program, f"[{colours[reading.reads]}]{reading.reads}[/]", shown(reading.why))
    return table


def _show_nearest(console: "Console", one: "Inspected", vocabulary: "Vocabulary") -> None:
    from rich import box
    from rich.table import Table

    from pseudoword.cli._text import shown
    from pseudoword.services.inspect import nearest_words

    near = nearest_words(one, vocabulary)
    if not near:
        console.print(f"nearest words: {shown(vocabulary.name)} has text encoders of other widths", soft_wrap=True)
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), show_edge=False)
    table.add_column("vector", no_wrap=True)
    table.add_column(f"nearest words of {shown(vocabulary.name)}, with the cosine", overflow="fold")
    for slot, rows in near.items():
        for number, words in enumerate(rows):
            text = "  ".join(f"{shown(word)} {cosine:.2f}" for word, cosine in words)
            table.add_row(f"{slot} {number}", text or "(zeros are near to nothing)")
    console.print(table)
