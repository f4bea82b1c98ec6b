"""Prompts and pieces back to text that reads as the same."""

import re
from collections.abc import Sequence
from decimal import Decimal

from pseudoword.prompts.prompt import Part, Prompt
from pseudoword.prompts.syntax import Break, Piece, Token, Word

_SPECIAL = re.compile(r"[()\[\]\\:|#<>]|\b(?=(?:AND|BREAK)\b)")


def write_prompt(prompt: Prompt, *, several: bool = True) -> str:
    """Text that `parse` reads as the same prompt, but for the places of its tokens."""
    return " AND ".join(_part(part, weighted=several) for part in prompt.parts)


def write_pieces(pieces: Sequence[Piece]) -> str:
    """Text that reads as these pieces."""
    return "".join(_piece(piece) for piece in pieces)


def _part(part: Part, *, weighted: bool) -> str:
    text = "".join(_token(token) for token in part.tokens)
    if not weighted or (part.weight == 1 and not _ends_in_weight(part)):
        return text
    return f"{text}:{_number(part.weight)}"


def _ends_in_weight(part: Part) -> bool:
    """Whether the text itself ends as a weight would, so that 1 must be written out."""
    return len(part.tokens) > 1 and part.tokens[-2].kind == ":" and part.tokens[-1].kind == "text"


def _token(token: Token) -> str:
    if token.kind == "quoted":
        return "\\" + token.text
    return _call(token.text) if token.kind == "word" else token.text


def _piece(piece: Piece) -> str:
    if isinstance(piece, Break):
        return " BREAK "
    text = _call(piece.name) if isinstance(piece, Word) else _SPECIAL.sub(lambda m: "\\" + m[0], piece.text)
    return text if piece.weight == 1 else f"({text}:{_number(piece.weight)})"


def _call(name: str) -> str:
    if name.startswith("<"):  # `<cat-toy>`; the space keeps a bracket behind a name without its own out of it
        return f"<embedding:{name}>" if name.endswith(">") else f"<embedding: {name}>"
    if ">" not in name:
        return f"<embedding:{name}>"
    return "embedding:" + re.sub(r"(\W)", r"\\\1", name)


def _number(value: float) -> str:
    return format(Decimal(repr(value)), "f")
