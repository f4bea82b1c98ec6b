"""Lays weighted pieces out in chunks of 75 places, as A1111 does it (reference a1111.md §2.4). Pure.

When a chunk is full and its last comma is near, what follows that comma moves on to the next chunk. A learned
word is one item here, so it moves whole: upstream moves its places and forgets the record of what stands there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from pseudoword.conditioning.matching import Piece, Placement

CHUNK_TOKENS = 75
"""Places for content in one encoder call of 77: the others are the start and the end token."""
COMMA_BACKTRACK = 20


@dataclass(frozen=True, slots=True)
class Item:
    """A piece and the weight of its places; a piece of None is a `BREAK`."""

    piece: Piece | None
    weight: float = 1.0

    @property
    def places(self) -> int:
        """How many of a chunk's 75 it takes."""
        return self.piece.num_vectors if isinstance(self.piece, Placement) else 1


Chunk = tuple[Item, ...]


@dataclass(slots=True)
class _Filling:
    limit: int
    comma: int | None
    backtrack: int
    chunks: list[Chunk] = field(default_factory=list[Chunk])
    items: list[Item] = field(default_factory=list[Item])
    used: int = 0
    after_comma: tuple[int, int] | None = None
    """Items and places up to and with the last comma of this chunk."""

    def next_chunk(self) -> None:
        self.chunks.append(tuple(self.items))
        self.items, self.used, self.after_comma = [], 0, None

    def add(self, item: Item) -> None:
        if self.used == self.limit:
            self._leave_full_chunk(item)
        if self.used + item.places > self.limit:
            self.next_chunk()
        self.items.append(item)
        self.used += item.places
        if item.piece == self.comma:
            self.after_comma = (len(self.items), self.used)

    def _leave_full_chunk(self, following: Item) -> None:
        moved: list[Item] = []
        if self.after_comma is not None and following.piece != self.comma:
            num_items, num_places = self.after_comma
            if self.limit - num_places < self.backtrack:
                moved = self.items[num_items:]
                del self.items[num_items:]
        self.next_chunk()
        self.items = moved
        self.used = sum(item.places for item in moved)


def fill_chunks(
    items: Iterable[Item],
    comma: int | None = None,
    backtrack: int = COMMA_BACKTRACK,
    limit: int = CHUNK_TOKENS,
) -> list[Chunk]:
    """Chunks of at most `limit` places, at least one.

    Args:
        items: pieces in order; a word of more than `limit` vectors begins a chunk and goes on in the next ones.
        comma: token id of a comma.
        backtrack: how near to the end of a full chunk its last comma must be for the rest to move on; 0 never.
        limit: places of a chunk.
    """
    filling = _Filling(limit, comma, backtrack)
    for item in items:
        if item.piece is None:
            filling.next_chunk()
        elif item.places <= limit:
            filling.add(item)
        else:
            for part in _spread(item, limit):
                if filling.used:
                    filling.next_chunk()
                filling.add(part)
    if filling.items or not filling.chunks:
        filling.next_chunk()
    return filling.chunks


def _spread(item: Item, limit: int) -> Iterable[Item]:
    whole = item.piece
    assert isinstance(whole, Placement)
    for first in range(0, whole.num_vectors, limit):
        yield Item(Placement(whole.word, min(limit, whole.num_vectors - first), first), item.weight)
