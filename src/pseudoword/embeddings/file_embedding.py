"""An embedding together with what its file said about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pseudoword.embeddings.embedding import Embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEmbedding:
    """One embedding of a file; a file may hold several."""

    embedding: Embedding
    """Its name is the trigger: what is typed into a prompt."""
    container: str
    """safetensors | torch-zip | torch-legacy | png | webp | avif | jxl."""
    layout: str
    """a1111 | original | diffusers | diffusers-numbered | emb_params | sdxl | sdxl-pair | onetrainer | cog |
    notebook | flux | per-layer | lora-bundle."""
    inner_key: str | None = None
    """The key or token that the file itself has for it, where there is exactly one."""
    own_name: str | None = None
    """The name that the file itself gives to a lone embedding, which need not be what is typed; None: it gives none."""
    dtypes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Slot → number type as stored: float32, float16, bfloat16, float64, …."""
    family: str
    """sd1 | sd2 | sdxl | flux | sd3 | ldm | bundled | ambiguous | unknown."""
    candidates: tuple[str, ...] = ()
    """The families that fit; several if `family` is ambiguous, none if it is unknown."""
    notes: tuple[str, ...] = ()
    """Things to tell the user, as whole sentences: "took the last of 3", an unknown width."""
