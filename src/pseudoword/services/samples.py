"""The sample pictures that ship with the package."""

from importlib.resources import files
from pathlib import Path


def sample_folder(name: str, part: str) -> Path:
    """Folder of a shipped set: `high-contrast` (a style) or `mascot` (a subject); `training` or `held-back`."""
    return Path(str(files("pseudoword"))) / "samples" / name / part
