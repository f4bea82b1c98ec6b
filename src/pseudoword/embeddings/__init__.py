"""Embeddings: the value, the files it is read from and written to."""

from pseudoword.embeddings.embedding import SLOTS, Embedding, Provenance
from pseudoword.embeddings.files import (
    embedding_from_bytes,
    embedding_to_bytes,
    read_embedding,
    write_embedding,
)

__all__ = [
    "SLOTS",
    "Embedding",
    "Provenance",
    "embedding_from_bytes",
    "embedding_to_bytes",
    "read_embedding",
    "write_embedding",
]
