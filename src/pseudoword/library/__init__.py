"""A folder of embeddings as immutable snapshots."""

from pseudoword.library.library import Library
from pseudoword.library.snapshot import Entry, Skipped, Snapshot

__all__ = ["Entry", "Library", "Skipped", "Snapshot"]
