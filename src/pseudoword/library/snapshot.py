"""What a library holds at one moment: frozen values that can be handed around and kept."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pseudoword.embeddings import Embedding, FileEmbedding
from pseudoword.embeddings.embedding import folded

_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One loaded embedding."""

    found: FileEmbedding
    """The embedding, with what its file says: container, layout, family."""
    path: Path
    """Its file; of a pair of files the first."""
    sha256: str
    """Of the whole file, 64 hex digits."""

    @property
    def embedding(self) -> Embedding:
        """The word and its vectors."""
        return self.found.embedding

    @property
    def short(self) -> str:
        """First 12 hex digits, as `TI hashes` in an infotext has them (reference a1111.md §1.5)."""
        return self.sha256[:_SHORT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A file that looks like an embedding by its suffix and was not loaded."""

    path: Path
    reason: str
    """In words, for the user."""
    taken_by: Path | None = None
    """The file that has its word already, where that is the reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All embeddings of a folder at one moment."""

    revision: int = 0
    """Rises by one with every change; what is computed from a snapshot may be kept by it."""
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    """Trigger → entry, in the order of paths; a file with several words has an entry for each."""
    skipped: tuple[Skipped, ...] = ()
    everything: tuple[Entry, ...] = ()
    """All embeddings that could be read, those whose word is taken among them."""

    def for_model(self, fits: Callable[[Embedding], bool]) -> "Snapshot":
        """The same folder for a model that takes what `fits`: of embeddings of one word those that fit go first.

        So a word may lie there once for SD1 and once for SDXL, as A1111 allows.
        """
        if all(skip.taken_by is None for skip in self.skipped):
            return self
        unread = [skip for skip in self.skipped if skip.taken_by is None]
        ordered = sorted(self.everything, key=lambda entry: not fits(entry.embedding))
        return arrange(ordered, unread, self.revision)


def arrange(everything: Iterable[Entry], unread: Iterable[Skipped], revision: int) -> Snapshot:
    """A snapshot in which the first embedding of each word has it; the others are skipped by name of that file."""
    everything = tuple(everything)
    entries: dict[str, Entry] = {}
    taken: dict[str, Entry] = {}
    skipped = list(unread)
    for entry in everything:
        trigger = entry.embedding.name
        first = taken.setdefault(folded(trigger), entry)
        if first is entry:
            entries[trigger] = entry
        else:
            reason = f"the word {trigger!r} is taken by {first.path}; rename one of the two"
            skipped.append(Skipped(path=entry.path, reason=reason, taken_by=first.path))
    by_path = sorted(skipped, key=lambda skip: str(skip.path))
    return Snapshot(revision=revision, entries=MappingProxyType(entries), skipped=tuple(by_path), everything=everything)
