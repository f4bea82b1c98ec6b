"""Pseudoword: teach a frozen text-to-image diffusion model a new word, and use it by writing its name."""

from pseudoword._version import __version__

__all__ = ["__version__"]
