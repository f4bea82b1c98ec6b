"""Where things lie, what they run on and which services are asked: frozen values, read at the door and passed down."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEVICES: Final = ("auto", "cuda", "mps", "cpu")
PRECISIONS: Final = ("auto", "fp32", "bf16", "fp16")
PREDICTIONS: Final = ("auto", "epsilon", "v")
MEMORY_MODES: Final = ("normal", "medium", "low")


def _default_cache() -> Path:
    return Path("~/.cache/pseudoword").expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The services that embeddings are found on and shared through.

    The hub's environment variables are those of huggingface_hub; its token stays with huggingface_hub as well.
    """

    hub: str = "https://huggingface.co"
    """HF_ENDPOINT."""
    civitai: str = "https://civitai.com"
    """PSEUDOWORD_CIVITAI_ENDPOINT."""
    civitai_token: str | None = field(default=None, repr=False)
    """CIVITAI_API_TOKEN; some downloads want one."""
    offline: bool = False
    """HF_HUB_OFFLINE: nothing is asked of any server."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Endpoints":
        """Defaults, with those of the environment put over them."""
        source = os.environ if environ is None else environ
        return cls(
            hub=(source.get("HF_ENDPOINT") or cls().hub).rstrip("/"),
            civitai=(source.get("PSEUDOWORD_CIVITAI_ENDPOINT") or cls().civitai).rstrip("/"),
            civitai_token=source.get("CIVITAI_API_TOKEN") or None,
            offline=source.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Folders and files; each has an environment variable `PSEUDOWORD_<FIELD>`."""

    embeddings_dir: Path = Path("embeddings")
    outputs_dir: Path = Path("outputs")
    runs_dir: Path = Path("runs")
    cache_dir: Path = field(default_factory=_default_cache)
    styles_file: Path = Path("styles.csv")
    endpoints: Endpoints = Endpoints()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "Settings":
        """Defaults, with those of the environment put over them."""
        source = os.environ if environ is None else environ
        prefix = "PSEUDOWORD_"
        given = {
            name: Path(source[prefix + name.upper()]).expanduser()
            for name in ("embeddings_dir", "outputs_dir", "runs_dir", "cache_dir", "styles_file")
            if source.get(prefix + name.upper())
        }
        return cls(**given, endpoints=Endpoints.from_environment(source))
