"""Where things lie and what they run on: one frozen value, read at the door and passed down."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEVICES: Final = ("auto", "cuda", "mps", "cpu")
PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")


def _default_cache() -> Path:
    return Path("~/.cache/pseudoword").expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Folders and device; each has an environment variable `PSEUDOWORD_<FIELD>`."""

    embeddings_dir: Path = Path("embeddings")
    outputs_dir: Path = Path("outputs")
    runs_dir: Path = Path("runs")
    cache_dir: Path = field(default_factory=_default_cache)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Defaults, with those of the environment put over them."""
        source = os.environ if environ is None else environ
        prefix = "PSEUDOWORD_"
        given = {
            name: Path(source[prefix + name.upper()]).expanduser()
            for name in ("embeddings_dir", "outputs_dir", "runs_dir", "cache_dir")
            if source.get(prefix + name.upper())
        }
        return cls(**given)
