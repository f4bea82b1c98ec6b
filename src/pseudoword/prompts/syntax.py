"""The values that a prompt is read into: tokens, weighted pieces and notes. All frozen, none refers to a model."""

from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["text", "quoted", "word", "(", ")", "[", "]", ":", "|"]
"""`quoted` is one character that stood behind a backslash, `word` a learned word that was called explicitly."""
MAX_WEIGHT: Final = 10_000.0
"""Weights are held within plus and minus this: beyond it half precision overflows, and no picture is left."""


@dataclass(frozen=True, slots=True)
class Token:
    """A stretch of a prompt; `offset` counts characters of the whole prompt from 0."""

    kind: Kind
    text: str
    """The characters meant: without the backslash for `quoted`, the name alone for `word`."""
    offset: int


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a prompt that its writer should know; nothing stops because of it."""

    offset: int
    message: str

    def told(self, prompt: str) -> str:
        """The message with line (if there are several) and column, both from 1."""
        line = prompt.count("\n", 0, self.offset) + 1
        column = self.offset - (prompt.rfind("\n", 0, self.offset) + 1) + 1
        place = f"line {line}, column {column}" if "\n" in prompt else f"column {column}"
        return f"{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text with one weight; neighbours of equal weight are one text, so names may form across brackets."""

    text: str
    weight: float = 1.0
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Word:
    """A learned word called by `<embedding:name>` or `embedding:name`."""

    name: str
    weight: float = 1.0
    offset: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Break:
    """`BREAK`: what follows begins a new chunk."""


Piece = Text | Word | Break


def clamp(weight: float) -> float:
    """The weight within ±`MAX_WEIGHT`."""
    return max(-MAX_WEIGHT, min(MAX_WEIGHT, weight))
