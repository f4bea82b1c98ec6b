"""The chain of pickles that `torch.save` wrote before version 1.6; read only."""

from pseudoword import unpickle
from pseudoword.embeddings.containers.raw import Raw


def recognise(content: bytes) -> bool:
    """Whether the content begins as a binary pickle does."""
    return unpickle.is_legacy(content)


def read(content: bytes, label: str) -> Raw:
    """The object that was saved.

    Raises:
        BadFile, UnsafePickle: as `pseudoword.unpickle.loads`.
    """
    return Raw(value=unpickle.loads(content, label))
