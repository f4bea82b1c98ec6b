"""Arithmetic on tables of vectors: weighted sums, joining, cutting, turning, and bringing to a length.

Pure: tables in, new tables out, in float64 so that a long expression is rounded once, when it becomes an
`Embedding`. Sums of unequal numbers of vectors take zeros for the missing ones at the end, as A1111's
embedding-merge extension does, so that `"a photo of" + word` changes as many vectors as the word has.
"""

from collections.abc import Mapping

import torch

from pseudoword.embeddings.found import MAX_VECTORS
from pseudoword.errors import BadOption, WrongFamily
from pseudoword.families import describe

Tables = Mapping[str, torch.Tensor]
"""Slot → vectors [num_vectors, width], the same number in every slot."""


def widened(tables: Tables) -> dict[str, torch.Tensor]:
    """The same tables as own float64 copies."""
    return {slot: table.detach().to("cpu", torch.float64, copy=True) for slot, table in tables.items()}


def count(tables: Tables) -> int:
    """How many vectors the tables hold."""
    return len(next(iter(tables.values())))


def scaled(tables: Tables, factor: float) -> dict[str, torch.Tensor]:
    """Every vector times `factor`."""
    return {slot: table * factor for slot, table in tables.items()}


def added(left: Tables, right: Tables) -> dict[str, torch.Tensor]:
    """Vector by vector the sum; the shorter one is filled up with zeros at its end.

    Raises:
        WrongFamily: the two are not of the same slots and widths.
    """
    check_alike(left, right)
    number = max(count(left), count(right))
    one, other = resized(left, number), resized(right, number)
    return {slot: one[slot] + other[slot] for slot in one}


def joined(left: Tables, right: Tables) -> dict[str, torch.Tensor]:
    """The vectors of `left`, then those of `right`.

    Raises:
        WrongFamily: the two are not of the same slots and widths.
        BadOption: together they are too many.
    """
    check_alike(left, right)
    _check_count(count(left) + count(right))
    return {slot: torch.cat([left[slot], right[slot]]) for slot in left}


def truncated(tables: Tables, number: int) -> dict[str, torch.Tensor]:
    """The first `number` vectors, or all if there are fewer.

    Raises:
        BadOption: `number` is below one.
    """
    return resized(tables, min(number, count(tables)))


def resized(tables: Tables, number: int) -> dict[str, torch.Tensor]:
    """Exactly `number` vectors: the first ones, with zeros after them where there are too few.

    Raises:
        BadOption: `number` is below one or too large.
    """
    _check_count(number)
    missing = max(0, number - count(tables))
    return {
        slot: torch.cat([table[:number], table.new_zeros(missing, table.shape[1])]) for slot, table in tables.items()
    }


def turned(tables: Tables, places: int) -> dict[str, torch.Tensor]:
    """The vectors moved on by `places` in a circle: the last one becomes the first for `places` = 1."""
    return {slot: table.roll(places, dims=0) for slot, table in tables.items()}


def rescaled(tables: Tables, norms: Mapping[str, float]) -> dict[str, torch.Tensor]:
    """Every vector brought to its slot's length in `norms`; its direction stays, and a zero vector stays zero."""
    result: dict[str, torch.Tensor] = {}
    for slot, table in tables.items():
        lengths = table.square().sum(dim=1, keepdim=True).sqrt()
        result[slot] = torch.where(lengths > 0, table * (norms[slot] / lengths.clamp(min=1e-300)), table)
    return result


def check_alike(left: Tables, right: Tables) -> None:
    """Make sure that both belong to the same text encoders.

    Raises:
        WrongFamily: slots or widths differ.
    """
    one, other = widths_of(left), widths_of(right)
    if one != other:
        raise WrongFamily(
            f"vectors made for {describe(one)} together with vectors made for {describe(other)}",
            expected="parts that were all made for the same model family",
            next_move="Leave one of them out, or take the texts from the model that the words were made for (--model)",
        )


def widths_of(tables: Tables) -> dict[str, int]:
    """Slot → width."""
    return {slot: table.shape[1] for slot, table in tables.items()}


def _check_count(number: int) -> None:
    if not 1 <= number <= MAX_VECTORS:
        raise BadOption(f"{number} vectors", expected=f"1 to {MAX_VECTORS} vectors")
