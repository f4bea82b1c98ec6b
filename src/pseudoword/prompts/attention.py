"""Weights: `(x)`, `[x]`, `(x:1.2)` and `BREAK` in a list of tokens → pieces, each with one weight.

Rules of a1111.md §2.1. Round and square brackets close independently of each other, so `(a [b) c]` is allowed.
Two passes, no recursion: one finds what closes what, the other walks along with the weight that holds. `BREAK`
works inside brackets too, which it does not upstream.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pseudoword.prompts.syntax import Break, Note, Piece, Text, Token, Word, clamp

_STRONGER, _WEAKER = 1.1, 1 / 1.1
_WEIGHT = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*")
_LIKE_WEIGHT = re.compile(r"\s*[+-]?[.\d]+\s*")
_BREAK = re.compile(r"\bBREAK\b")
_MANY = 200
"""More plain brackets than this change nothing: 1.1 ** 200 is far beyond the largest weight."""


@dataclass(slots=True)
class _Brackets:
    """What the first pass finds out."""

    explicit: dict[int, float] = field(default_factory=dict[int, float])
    """Opening round bracket → the number at its end."""
    closes: dict[int, int] = field(default_factory=dict[int, int])
    """Closing bracket → the opening one."""
    opens: set[int] = field(default_factory=set[int])
    """Brackets that open something, closed or not."""
    swallowed: set[int] = field(default_factory=set[int])
    """Colons and numbers that are part of a weight."""
    notes: list[Note] = field(default_factory=list[Note])


def weigh(tokens: Sequence[Token]) -> tuple[tuple[Piece, ...], tuple[Note, ...]]:
    """Pieces of a prompt, neighbouring texts of equal weight joined; and notes about odd brackets."""
    tokens = _joined(tokens)
    brackets = _match(tokens)
    return _merged(_walk(tokens, brackets)), tuple(brackets.notes)


def verbatim(tokens: Sequence[Token]) -> tuple[Piece, ...]:
    """Pieces for the emphasis mode `None`: brackets, backslashes and `BREAK` are text."""
    return _merged(_verbatim(tokens))


def _verbatim(tokens: Sequence[Token]) -> Iterator[Piece]:
    for token in tokens:
        if token.kind == "word":
            yield Word(token.text, offset=token.offset)
        else:
            escaped = token.kind == "quoted" and token.text != "<"
            yield Text("\\" + token.text if escaped else token.text, offset=token.offset)


def _joined(tokens: Sequence[Token]) -> list[Token]:
    """Neighbouring texts, which editing brings together, made one."""
    joined: list[Token] = []
    run: list[str] = []
    for token in tokens:
        if token.kind == "text" and joined and joined[-1].kind == "text":
            run.append(token.text)
            continue
        _end_run(joined, run)
        joined.append(token)
        if token.kind == "text":
            run = [token.text]
    _end_run(joined, run)
    return joined


def _end_run(joined: list[Token], run: list[str]) -> None:
    if len(run) > 1:
        joined[-1] = Token("text", "".join(run), joined[-1].offset)
    run.clear()


def _match(tokens: Sequence[Token]) -> _Brackets:
    found = _Brackets()
    stacks: dict[str, list[int]] = {"(": [], "[": []}
    for index, token in enumerate(tokens):
        if token.kind in ("(", "["):
            stacks[token.kind].append(index)
            found.opens.add(index)
        elif token.kind in (")", "]"):
            stack = stacks["(" if token.kind == ")" else "["]
            if stack:
                found.closes[index] = opening = stack.pop()
                if token.kind == ")":
                    _read_weight(tokens, opening, index, found)
    for stack in stacks.values():
        for index in stack:
            found.notes.append(
                Note(tokens[index].offset, f"{tokens[index].kind} is never closed, so it holds to the end")
            )
    return found


def _read_weight(tokens: Sequence[Token], opening: int, closing: int, found: _Brackets) -> None:
    colon = closing - 2
    if colon <= opening or tokens[colon].kind != ":" or tokens[colon + 1].kind != "text":
        return
    written = tokens[colon + 1].text
    match = _WEIGHT.fullmatch(written)
    if match is not None:
        found.explicit[opening] = clamp(float(match[1]))
        found.swallowed |= {colon, colon + 1}
    elif _LIKE_WEIGHT.fullmatch(written):
        message = f"{written.strip()} is no number, so it is read as text and the weight is 1.1"
        found.notes.append(Note(tokens[colon + 1].offset, message))


def _walk(tokens: Sequence[Token], brackets: _Brackets) -> Iterator[Piece]:
    product, plain = 1.0, 0
    outer: list[float] = []
    weights: dict[tuple[float, int], float] = {}
    for index, token in enumerate(tokens):
        if index in brackets.opens:
            if index in brackets.explicit:
                outer.append(product)
                product = clamp(product * brackets.explicit[index])
            else:
                plain += 1 if token.kind == "(" else -1
        elif index in brackets.closes:
            opening = brackets.closes[index]
            if opening in brackets.explicit:
                product = outer.pop()
            else:
                plain -= 1 if token.kind == ")" else -1
        elif index not in brackets.swallowed:
            if (product, plain) not in weights:
                weights[product, plain] = _weight(product, plain)
            yield from _pieces(token, weights[product, plain])


def _weight(product: float, plain: int) -> float:
    """Multiplied one by one, from the inside out as upstream does, for the very same rounding."""
    factor = _STRONGER if plain > 0 else _WEAKER
    weight = product
    for _ in range(min(abs(plain), _MANY)):
        weight *= factor
    return clamp(weight)


def _pieces(token: Token, weight: float) -> Iterator[Piece]:
    if token.kind == "word":
        yield Word(token.text, weight, token.offset)
        return
    if token.kind != "text":
        yield Text(token.text, weight, token.offset)
        return
    parts = _BREAK.split(token.text)
    for number, part in enumerate(parts):
        if number:
            yield Break()
            part = part.lstrip()
        if number < len(parts) - 1:
            part = part.rstrip()
        if part:
            yield Text(part, weight, token.offset)


def _merged(pieces: Iterator[Piece]) -> tuple[Piece, ...]:
    merged: list[Piece] = []
    run: list[str] = []
    for piece in pieces:
        if isinstance(piece, Text) and merged and isinstance(last := merged[-1], Text) and last.weight == piece.weight:
            run.append(piece.text)
            continue
        _end_text(merged, run)
        merged.append(piece)
        if isinstance(piece, Text):
            run = [piece.text]
    _end_text(merged, run)
    return tuple(merged)


def _end_text(merged: list[Piece], run: list[str]) -> None:
    if len(run) > 1:
        last = merged[-1]
        assert isinstance(last, Text)
        merged[-1] = Text("".join(run), last.weight, last.offset)
    run.clear()
