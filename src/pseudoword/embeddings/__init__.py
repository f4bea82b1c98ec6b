"""Embeddings: the value, the files it is read from and written to."""

from pseudoword.embeddings.embedding import SLOTS, Embedding, Provenance
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.files import (
    embedding_from_bytes,
    embeddings_from_bytes,
    read_embedding,
    read_embeddings,
    read_one,
)
from pseudoword.embeddings.writing import LAYOUTS, embedding_to_bytes, files_of, write_embedding

__all__ = [
    "LAYOUTS",
    "SLOTS",
    "Embedding",
    "FileEmbedding",
    "Provenance",
    "embedding_from_bytes",
    "embedding_to_bytes",
    "embeddings_from_bytes",
    "files_of",
    "read_embedding",
    "read_embeddings",
    "read_one",
    "write_embedding",
]
