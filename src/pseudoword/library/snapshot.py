"""What a library holds at one moment: frozen values that can be handed around and kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pseudoword.embeddings import Embedding, FileEmbedding

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
