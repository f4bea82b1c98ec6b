"""Which words of the vocabulary a learned vector lies nearest to, by the angle between them.

The token embeddings' lengths vary little and say little of the meaning, a learned vector's are often many times
as long; the cosine leaves them out (Gal et al. 2022, arXiv 2208.01618, look at learned words in the same way).
"""

from collections.abc import Sequence

import torch

_BLOCK = 8192
"""Rows of the table at a time: a whole one takes a quarter of a gigabyte more."""


def nearest_rows(
    rows: torch.Tensor, table: torch.Tensor, number: int, leave_out: Sequence[int] = ()
) -> list[list[tuple[int, float]]]:
    """For each of `rows` [n, width] the `number` rows of `table` [vocabulary, width] with the largest cosine.

    Args:
        rows: learned vectors.
        table: the vocabulary's own.
        number: how many to find.
        leave_out: rows of the table that are no words.

    Returns:
        per vector pairs of index and cosine, the nearest first; none for a vector of zeros, which has no direction.
    """
    own = torch.nn.functional.normalize(rows.float(), dim=1)
    blocks = (torch.nn.functional.normalize(block.float(), dim=1) for block in table.split(_BLOCK))
    cosines = torch.cat([own @ directions.T for directions in blocks], dim=1)
    cosines[:, list(leave_out)] = -2.0
    found = cosines.topk(min(number, len(table) - len(set(leave_out))), dim=1)
    return [
        [(int(index), float(cosine)) for index, cosine in zip(indices, values, strict=True)] if bool(row.any()) else []
        for row, indices, values in zip(rows, found.indices, found.values, strict=True)
    ]
