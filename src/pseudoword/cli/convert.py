"""`pseudoword convert`."""

import typer

from pseudoword.cli._options import command_from
from pseudoword.services.convert_options import ConvertOptions
from pseudoword.settings import Settings


@command_from(ConvertOptions, ())
def convert(options: ConvertOptions, _: Settings) -> None:
    """Write an embedding file in the layout and container of another program."""
    from pseudoword.services.convert import convert as write

    for one in write(options):
        for note in one.found.notes:
            typer.echo(f"note: {note}", err=True)
        widths = " + ".join(str(width) for width in dict.fromkeys(one.found.embedding.widths.values()))
        what = f"{one.found.embedding.name}, {one.found.embedding.num_vectors} x {widths}, {one.layout}"
        typer.echo(f"wrote {' and '.join(str(path) for path in one.files)}  ({what})")
