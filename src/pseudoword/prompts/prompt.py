"""A whole prompt: scanned, split at `AND` into parts with weights, each part over the model calls.

The order of stages is upstream's (reference a1111.md §2): comments and networks go first, then `AND` splits
wherever it stands, even inside brackets; each part is scheduled by itself; attention is read last, in what a
stretch of the schedule holds.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pseudoword.prompts.edits import Clock, Group, Stretch, find_groups, stretches
from pseudoword.prompts.scanner import scan
from pseudoword.prompts.syntax import Note, Token, clamp

_AND = re.compile(r"\bAND\b")
_PART_WEIGHT = re.compile(r"\s*([-+]?(?:\d+\.?|\d*\.\d+))\s*")


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two `AND`s: its tokens without outer white space, and its weight."""

    tokens: tuple[Token, ...]
    weight: float = 1.0
    groups: Mapping[int, Group] = field(default_factory=dict[int, Group], compare=False)

    def over(self, clock: Clock) -> tuple[Stretch, ...]:
        """The part over the model calls."""
        return stretches(self.tokens, self.groups, clock)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that has been read; at least one part."""

    parts: tuple[Part, ...]
    notes: tuple[Note, ...] = field(default=(), compare=False)


def parse(text: str, *, several: bool = True) -> Prompt:
    """Read a prompt; no text is an error. Linear in its length.

    Args:
        text: the prompt, styles merged.
        several: whether `AND` and a weight at the end mean something; in negative prompts they do not.
    """
    tokens, notes = scan(text)
    split = _split(tokens) if several else [list(tokens)]
    parts: list[Part] = []
    more: list[Note] = []
    for own in split:
        weight, content, place = _take_weight(own) if several else (1.0, own, None)
        if place is not None and len(split) == 1:
            more.append(Note(place, f":{weight:g} at the very end is the weight of the whole prompt, as after AND"))
        content = _stripped(content)
        groups, loose = find_groups(content)
        more += loose
        parts.append(Part(tuple(content), weight, groups))
    return Prompt(tuple(parts), tuple(sorted([*notes, *more], key=lambda note: note.offset)))


def _split(tokens: Sequence[Token]) -> list[list[Token]]:
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if token.kind != "text":
            parts[-1].append(token)
            continue
        for number, piece in enumerate(_pieces(token)):
            if number:
                parts.append([])
            if piece.text:
                parts[-1].append(piece)
    return parts


def _pieces(token: Token) -> Iterator[Token]:
    start = 0
    for match in _AND.finditer(token.text):
        yield Token("text", token.text[start : match.start()], token.offset + start)
        start = match.end()
    yield Token("text", token.text[start:], token.offset + start)


def _take_weight(tokens: list[Token]) -> tuple[float, list[Token], int | None]:
    """The `:1.5` at the very end: weight, the tokens without it, and where it stood."""
    content = _stripped(tokens, left=False)
    if len(content) < 2 or content[-1].kind != "text" or content[-2].kind != ":":
        return 1.0, tokens, None
    match = _PART_WEIGHT.fullmatch(content[-1].text)
    if match is None:
        return 1.0, tokens, None
    return clamp(float(match[1])), content[:-2], content[-2].offset


def _stripped(tokens: Sequence[Token], *, left: bool = True) -> list[Token]:
    kept = list(tokens)
    while kept and kept[-1].kind == "text" and not kept[-1].text.strip():
        kept.pop()
    if kept and kept[-1].kind == "text":
        kept[-1] = Token("text", kept[-1].text.rstrip(), kept[-1].offset)
    if not left:
        return kept
    first = next((i for i, token in enumerate(kept) if token.kind != "text" or token.text.strip()), len(kept))
    kept = kept[first:]
    if kept and kept[0].kind == "text":
        text = kept[0].text.lstrip()
        kept[0] = Token("text", text, kept[0].offset + len(kept[0].text) - len(text))
    return kept
