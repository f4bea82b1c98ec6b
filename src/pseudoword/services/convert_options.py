"""What `convert` is told; without torch, so that the command line can show it at once."""

from dataclasses import dataclass, field
from pathlib import Path

LAYOUTS = (
    *("a1111", "original", "diffusers", "emb_params", "sdxl", "sdxl-pair"),
    *("onetrainer", "flux", "per-layer", "card"),
)
SUFFIXES = (".safetensors", ".pt", ".bin", ".ckpt", ".png", ".webp", ".jxl")
"""Both as `pseudoword.embeddings.writing` has them; a test compares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What to read and how to write it."""

    source: Path = field(metadata={"help": "The embedding file.", "metavar": "IN"})
    output: Path = field(
        metadata={
            "help": f"The file to write ({', '.join(SUFFIXES)}), or a folder for everything that IN holds.",
            "metavar": "OUT",
        }
    )
    layout: str | None = field(
        default=None, metadata={"help": f"{' | '.join(LAYOUTS)}. Default: the one that OUT's suffix stands for."}
    )
    name: str | None = field(default=None, metadata={"help": "Which word to take, where IN holds several."})
    picture: Path | None = field(default=None, metadata={"help": "Picture to show on a card."})
    overwrite: bool = field(default=False, metadata={"help": "Replace files that are there."})
