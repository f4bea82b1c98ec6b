"""What a merge can be asked for; loads no torch, so that the command line's help is quick."""

from dataclasses import dataclass, field

from pseudoword.models.folder import BUNDLED


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeOptions:
    """A merge request."""

    out: str = field(
        metadata={"help": "Word to make in the embeddings folder, or a file: x.safetensors, x.pt (A1111), x.bin."}
    )
    expression: str = field(
        metadata={
            "help": "Words of the folder or files, 'quoted text' as the model's own vectors, and + - * / , ( ): "
            "\"'a photo of' + word*0.5 - other\". A comma lays parts end to end; word:2 keeps two vectors."
        }
    )
    model: str = field(
        default=BUNDLED,
        metadata={"help": "Model whose vocabulary gives the texts' vectors, and the length for --rescale."},
    )
    truncate: int | None = field(default=None, metadata={"help": "Keep the first so many vectors."})
    rescale: bool = field(
        default=False, metadata={"help": "Bring every vector to the median length of the model's vocabulary."}
    )
    norm: float | None = field(default=None, metadata={"help": "Bring every vector to this length."})
    overwrite: bool = field(default=False, metadata={"help": "Replace a file that is there."})
