"""Finds learned words in a tokenised text and lays the result out in chunks. Pure: token ids in, pieces out.

A trigger is matched as A1111 does it: by its token ids, longest sequence first, so that matching ignores case
exactly as CLIP's tokenizer does and `cat` is never found inside `catfish`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CHUNK_TOKENS = 75
"""Places for content in one encoder call of 77: the others are the start and the end token."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A learned word standing where its trigger was; it takes `num_vectors` places."""

    word: str
    num_vectors: int


Piece = int | Placement


@dataclass(frozen=True, slots=True)
class Trigger:
    """A learned word, the token ids that call it, and the places that it takes."""

    word: str
    ids: tuple[int, ...]
    num_vectors: int


def find_words(ids: Sequence[int], triggers: Sequence[Trigger]) -> list[Piece]:
    """The ids with every trigger in them replaced by a placement."""
    by_first: dict[int, list[Trigger]] = {}
    for trigger in sorted(triggers, key=lambda t: -len(t.ids)):
        if trigger.ids:
            by_first.setdefault(trigger.ids[0], []).append(trigger)
    pieces: list[Piece] = []
    position = 0
    while position < len(ids):
        match = _match_at(ids, position, by_first)
        pieces.append(Placement(match.word, match.num_vectors) if match else ids[position])
        position += len(match.ids) if match else 1
    return pieces


def _match_at(ids: Sequence[int], position: int, by_first: Mapping[int, list[Trigger]]) -> Trigger | None:
    for trigger in by_first.get(ids[position], ()):
        if tuple(ids[position : position + len(trigger.ids)]) == trigger.ids:
            return trigger
    return None


def split_chunks(pieces: Sequence[Piece], limit: int = CHUNK_TOKENS) -> list[list[Piece]]:
    """Chunks of at most `limit` places, at least one chunk; a learned word is never cut in two."""
    chunks: list[list[Piece]] = [[]]
    used = 0
    for piece in pieces:
        places = piece.num_vectors if isinstance(piece, Placement) else 1
        if used + places > limit:
            chunks.append([])
            used = 0
        chunks[-1].append(piece)
        used += places
    return chunks


def words_in(pieces: Sequence[Piece]) -> list[str]:
    """Learned words in the order of their first appearance."""
    return list(dict.fromkeys(piece.word for piece in pieces if isinstance(piece, Placement)))
