"""Finds learned words in a tokenised text. Pure: token ids in, pieces out.

A trigger is matched as A1111 does it: by its token ids, longest sequence first, so that matching ignores case
exactly as CLIP's tokenizer does and `cat` is never found inside `catfish`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Placement:
    """A learned word, or a stretch of it, standing where its trigger was; it takes `num_vectors` places."""

    word: str
    num_vectors: int
    first: int = 0
    """The word's vector that comes first; not 0 where a word of more than 75 vectors goes on in the next chunk."""


Piece = int | Placement


@dataclass(frozen=True, slots=True)
class Trigger:
    """A learned word, the token ids that call it, and the places that it takes."""

    word: str
    ids: tuple[int, ...]
    num_vectors: int


Index = Mapping[int, Sequence[Trigger]]
"""First token id → the triggers that begin with it, longest first, else in the order of loading."""


def index_triggers(triggers: Iterable[Trigger]) -> Index:
    """Triggers ready to be looked up; those without a token can never be called and are left out."""
    by_first: dict[int, list[Trigger]] = {}
    for trigger in sorted(triggers, key=lambda t: -len(t.ids)):
        if trigger.ids:
            by_first.setdefault(trigger.ids[0], []).append(trigger)
    return by_first


def find_words(ids: Sequence[int], index: Index) -> list[Piece]:
    """The ids with every trigger in them replaced by a placement."""
    pieces: list[Piece] = []
    position = 0
    while position < len(ids):
        match = _match_at(ids, position, index)
        pieces.append(Placement(match.word, match.num_vectors) if match else ids[position])
        position += len(match.ids) if match else 1
    return pieces


def _match_at(ids: Sequence[int], position: int, index: Index) -> Trigger | None:
    for trigger in index.get(ids[position], ()):
        if tuple(ids[position : position + len(trigger.ids)]) == trigger.ids:
            return trigger
    return None


def words_in(pieces: Iterable[Piece]) -> list[str]:
    """Learned words in the order of their first appearance."""
    return list(dict.fromkeys(piece.word for piece in pieces if isinstance(piece, Placement)))
