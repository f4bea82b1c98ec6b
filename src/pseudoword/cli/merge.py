"""`pseudoword merge`."""

import typer

from pseudoword.cli._options import command_from
from pseudoword.services.merge_options import MergeOptions
from pseudoword.settings import Settings


@command_from(MergeOptions, ("embeddings_dir",))
def merge(options: MergeOptions, settings: Settings) -> None:
    """Make a new word out of others: sums, differences, joined parts, and plain text as vectors.

    pseudoword merge NEW "'a photo of' + word*0.5 - other"
    """
    from pseudoword.services.merge import merge_words

    merged = merge_words(options, settings)
    for note in merged.notes:
        typer.echo(f"note: {note}", err=True)
    slots = ", ".join(f"{slot} {width}" for slot, width in merged.embedding.widths.items())
    number = merged.embedding.num_vectors
    typer.echo(f"wrote {merged.path}  ({number} vector{'' if number == 1 else 's'}, {slots})")
