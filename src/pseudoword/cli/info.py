"""`pseudoword info`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pseudoword.cli._errors import BAD_INPUT, clear_errors
from pseudoword.errors import BadFile

if TYPE_CHECKING:
    from pseudoword.services.info import PictureReport


def info(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE…", help="PNG, JPEG, WebP, AVIF or GIF files.")],
    as_json: Annotated[bool, typer.Option("--json", help="Everything as JSON, one list for all pictures.")] = False,
) -> None:
    """Print what pictures say about themselves: prompt, seed, sampler, model, learned words."""
    with clear_errors():
        from pseudoword.services.info import picture_info

        reports: list[PictureReport] = []
        failed = False
        for path in pictures:
            try:
                reports.append(picture_info(path))
            except BadFile as problem:
                typer.echo(f"error: {problem}", err=True)
                failed = True
            else:
                if not as_json:
                    typer.echo(("\n" if len(reports) > 1 else "") + _described(reports[-1]))
        if as_json:
            typer.echo(json.dumps([report.as_json() for report in reports], indent=2, ensure_ascii=False))
    if failed:
        raise typer.Exit(BAD_INPUT)


def _described(report: "PictureReport") -> str:
    told = report.info
    if told.infotext is not None:
        written = f", written by {told.program}" if told.program else ""
    elif told.program:
        written = f", written by {told.program}, in a way that cannot be read"
    else:
        written = "; it says nothing about how it was made"
    head = f"{report.path}: {told.format}, {told.size[0]} × {told.size[1]}{written}"
    return printable(f"{head}\n{told.text}".rstrip())


def printable(text: str) -> str:
    """A stranger's text for a terminal: control characters, which could steer it, as escapes."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
