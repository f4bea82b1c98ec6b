"""Pseudoword: teach a frozen text-to-image diffusion model a new word, and use it by writing its name.

The names below are loaded when they are first used, so that importing the package loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pseudoword._version import __version__

if TYPE_CHECKING:
    from pseudoword.embeddings import Embedding, Provenance, read_embedding, write_embedding
    from pseudoword.errors import BadInput, PseudowordError, TrainingDiverged
    from pseudoword.generation.options import GenerateOptions
    from pseudoword.library import Library
    from pseudoword.services.generate import Studio, draw_images
    from pseudoword.services.train import resume_run, train_word
    from pseudoword.settings import Settings
    from pseudoword.training.options import TrainOptions

_HOMES = {
    "BadInput": "errors",
    "Embedding": "embeddings",
    "GenerateOptions": "generation.options",
    "Library": "library",
    "Provenance": "embeddings",
    "PseudowordError": "errors",
    "Settings": "settings",
    "Studio": "services.generate",
    "TrainOptions": "training.options",
    "TrainingDiverged": "errors",
    "draw_images": "services.generate",
    "read_embedding": "embeddings",
    "resume_run": "services.train",
    "train_word": "services.train",
    "write_embedding": "embeddings",
}

__all__ = [
    "BadInput",
    "Embedding",
    "GenerateOptions",
    "Library",
    "Provenance",
    "PseudowordError",
    "Settings",
    "Studio",
    "TrainOptions",
    "TrainingDiverged",
    "__version__",
    "draw_images",
    "read_embedding",
    "resume_run",
    "train_word",
    "write_embedding",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use.

    Raises:
        AttributeError: it is none of `__all__`.
    """
    if name not in _HOMES:
        raise AttributeError(f"module 'pseudoword' has no attribute {name!r}")
    value = getattr(import_module(f"pseudoword.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
