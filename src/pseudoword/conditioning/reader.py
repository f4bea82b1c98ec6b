"""Prompts and tokenizers brought together: which tokens and learned words stand in which chunk. No text encoder.

`pseudoword tokens` shows what is found here, and `Conditioner` encodes it, so the two cannot disagree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pseudoword.conditioning.chunks import CHUNK_TOKENS, COMMA_BACKTRACK, Chunk, Item, fill_chunks
from pseudoword.conditioning.hints import Lexicon, glued_names
from pseudoword.conditioning.matching import Index, Piece, Placement, Trigger, find_words, index_triggers, words_in
from pseudoword.prompts.syntax import Break, Note, Word
from pseudoword.prompts.syntax import Piece as PromptPiece

_REMEMBERED = 4096
"""Texts whose token ids are kept: captions come back often, prompts of a long-lived program do not."""


class Tokenizing(Protocol):
    """What is needed of a text encoder here; `models.protocols.TextEncoder` has it, and so have lone tokenizers."""

    @property
    def slot(self) -> str: ...

    @property
    def tokenizer(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Layout:
    """One text for one tokenizer: its chunks, and what to tell about it."""

    chunks: tuple[Chunk, ...]
    notes: tuple[Note, ...] = ()

    @property
    def words(self) -> list[str]:
        """Learned words in order of appearance."""
        return words_in(item.piece for chunk in self.chunks for item in chunk if item.piece is not None)

    @property
    def num_places(self) -> int:
        """Places used, of 75 for each chunk."""
        return sum(item.places for chunk in self.chunks for item in chunk)


@dataclass(slots=True)
class Reader:
    """Reads texts for one tokenizer; remembers token ids."""

    source: Tokenizing
    _ids: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    _names: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """Of the names that were asked for last, however many a library has."""

    def token_ids(self, text: str) -> tuple[int, ...]:
        """Ids of `text` without start and end token."""
        ids = self._ids.get(text)
        if ids is None:
            if len(self._ids) > _REMEMBERED:
                self._ids.clear()
            self._ids[text] = ids = self._tokenise(text)
        return ids

    def written(self, token: int) -> str:
        """A token as a reader writes it; a piece that goes on into the next one ends in a hyphen."""
        raw = str(self.source.tokenizer.convert_ids_to_tokens(token))
        shown = str(self.source.tokenizer.decode([token])).strip() or raw
        return shown if raw.endswith("</w>") else f"{shown}-"

    @property
    def comma(self) -> int | None:
        """The id of a comma by itself."""
        ids = self.token_ids(",")
        return ids[0] if len(ids) == 1 else None

    def index(self, places: Mapping[str, int]) -> Index:
        """Names with their numbers of vectors, ready to be found in texts."""
        known = self._names
        names = {name: known.get(name) or self._tokenise(name) for name in places}
        self._names = names
        return index_triggers(Trigger(name, names[name], number) for name, number in places.items())

    def _tokenise(self, text: str) -> tuple[int, ...]:
        return tuple(self.source.tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def plain(self, text: str, index: Index) -> list[Piece]:
        """Token ids and learned words of a text without any syntax, such as a caption."""
        return find_words(self.token_ids(text), index)

    def lay_out(
        self,
        pieces: Sequence[PromptPiece],
        lexicon: Lexicon,
        index: Index,
        backtrack: int = COMMA_BACKTRACK,
    ) -> Layout:
        """Chunks of a prompt's pieces; an explicit word that is not loaded is left out with a note."""
        notes: list[Note] = []
        items: list[Item] = []
        for piece in pieces:
            if isinstance(piece, Break):
                items.append(Item(None))
                continue
            if isinstance(piece, Word):
                found = _explicit(piece, lexicon, notes)
            else:
                found = find_words(self.token_ids(piece.text), index)
                hints = glued_names(piece.text, words_in(found), lexicon)
                notes += [Note(piece.offset, hint) for hint in hints]
            items += [Item(part, piece.weight) for part in found]
            notes += [Note(piece.offset, long) for long in _long_words(found)]
        chunks = fill_chunks(items, self.comma, backtrack)
        return Layout(tuple(chunks), tuple(dict.fromkeys(notes)))


def _explicit(word: Word, lexicon: Lexicon, notes: list[Note]) -> list[Piece]:
    name = lexicon.find(word.name)
    if name is None:
        notes.append(Note(word.offset, lexicon.missing(word.name)))
        return []
    return [Placement(name, lexicon.places[name])]


def _long_words(pieces: Iterable[Piece]) -> list[str]:
    return [
        f"{piece.word!r} has {piece.num_vectors} vectors, more than the {CHUNK_TOKENS} of one chunk, "
        "so it is spread over several"
        for piece in pieces
        if isinstance(piece, Placement) and piece.num_vectors > CHUNK_TOKENS
    ]
