"""Rows beyond the vocabulary: learned words get token ids above the last one that the encoder knows.

`ExtendedVocabulary` stands in for a text encoder's token-embedding lookup. Ids below the vocabulary's size go
to the frozen table; id `size + r` is row r of a float32 tensor that is put in place for one encoder call.
Generation puts the library's vectors there, training the only parameters of the whole program: one road for
both, no copy of the table, and gradients of n × d numbers (Gal et al. 2022, arXiv 2208.01618, §3).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import nn

from pseudoword.models.protocols import TextEncoder


class ExtendedVocabulary(nn.Module):
    """The frozen table, followed by `rows` [n, width] while a call with extra rows is on."""

    def __init__(self, table: nn.Module, size: int) -> None:
        super().__init__()
        self.table = table
        self.size = size
        self.rows: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """The frozen table's own rows [size, width]; libraries look here for dtype and device."""
        return cast("torch.Tensor", self.table.weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings [..., width] in the table's dtype for integer `ids` [...]."""
        if self.rows is None:
            return self.table(ids)
        extra = ids >= self.size
        known = self.table(ids.masked_fill(extra, 0))
        learned = nn.functional.embedding((ids - self.size).clamp(min=0), self.rows)
        return torch.where(extra.unsqueeze(-1), learned.to(known.dtype), known)


def extend(encoder: TextEncoder) -> ExtendedVocabulary:
    """The encoder's extended vocabulary, put in place at the first call."""
    module = cast("Any", encoder.module)
    current = module.get_input_embeddings()
    if isinstance(current, ExtendedVocabulary):
        return current
    extended = ExtendedVocabulary(current, encoder.vocabulary_size)
    module.set_input_embeddings(extended)
    return extended


@contextmanager
def extra_rows(vocabulary: ExtendedVocabulary, rows: torch.Tensor | None) -> Iterator[None]:
    """Make `rows` [n, width] the rows beyond the vocabulary inside the block."""
    vocabulary.rows = rows
    try:
        yield
    finally:
        vocabulary.rows = None
