"""What an embedding is: a frozen value of a name, a table of vectors per text encoder, and a provenance.

Invariant: every table is finite float32 on the CPU, contiguous, detached and of shape [num_vectors, width],
with the same num_vectors in every slot but T5's; slots are in the order of `SLOTS`. A value owns its tables (they are
copied in), so nothing that happens to a training parameter or to a file later changes it.
"""

import math
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Self

import torch

from pseudoword.families import SLOTS

_FREE = "t5xxl"
"""T5's tokens are counted apart from CLIP's, so that its table may have another number of vectors."""

_COUNTS = frozenset({"step", "num_pictures"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an embedding came from; what a file does not say is None."""

    base_model: str | None = None
    """Name of the model it was trained on."""
    base_model_hash: str | None = None
    step: int | None = None
    """Optimiser steps that were made."""
    initial_text: str | None = None
    """Words whose vectors it began with."""
    expression: str | None = None
    """What it was merged from, as `pseudoword merge` was told."""
    num_pictures: int | None = None
    created: str | None = None
    """ISO 8601 date and time."""
    product: str | None = None
    """Program that wrote it, with its version."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, object]) -> Self:
        """Take the fields that are there and of the right kind; other programs' extras are left out."""
        taken = {
            field.name: plain[field.name]
            for field in fields(cls)
            if _is_kind(plain.get(field.name), int if field.name in _COUNTS else str)
        }
        return cls(**taken)  # pyright: ignore[reportArgumentType]  # kinds are checked one line above

    def to_plain(self) -> dict[str, str | int]:
        """The fields that are known, in a fixed order, as values that JSON and pickle hold alike."""
        known = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in known if value is not None}


def _is_kind(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding:
    """A learned word. Change is a new value (`dataclasses.replace`).

    Args:
        name: what is typed into a prompt.
        vectors: slot → table [num_vectors, width], any float or integer type on any device; kept as
            float32 copies on the CPU.
        provenance: where it came from.

    Raises:
        ValueError: no name, no or unknown slots, a table that is not 2-D or is empty, unequal counts,
            or a value that is not finite in float32.
    """

    name: str
    vectors: Mapping[str, torch.Tensor]
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an embedding needs a name")
        unknown = sorted(set(self.vectors) - set(SLOTS))
        if unknown or not self.vectors:
            raise ValueError(f"slots {unknown or '(none)'}, where {', '.join(SLOTS)} are known")
        owned = {slot: _owned(slot, self.vectors[slot]) for slot in SLOTS if slot in self.vectors}
        counts = {slot: len(table) for slot, table in owned.items() if slot != _FREE}
        if len(set(counts.values())) > 1:
            raise ValueError(f"different numbers of vectors: {counts}")
        object.__setattr__(self, "vectors", MappingProxyType(owned))

    def __reduce__(self) -> tuple[object, tuple[str, dict[str, torch.Tensor], Provenance]]:
        return _rebuild, (self.name, dict(self.vectors), self.provenance)  # a mapping proxy does not travel

    @property
    def num_vectors(self) -> int:
        """How many of the 75 places of a prompt chunk the word takes."""
        return len(next(iter(self.vectors.values())))

    @property
    def widths(self) -> dict[str, int]:
        """Slot → width of its text encoder's token embeddings."""
        return {slot: table.shape[1] for slot, table in self.vectors.items()}

    def norms(self) -> dict[str, torch.Tensor]:
        """Slot → Euclidean length of each vector, [num_vectors]."""
        return {slot: table.square().sum(dim=1).sqrt() for slot, table in self.vectors.items()}

    def same_vectors(self, other: "Embedding") -> bool:
        """Whether both have the same slots with bit for bit the same numbers; names may differ."""
        return self.vectors.keys() == other.vectors.keys() and all(
            torch.equal(table, other.vectors[slot]) for slot, table in self.vectors.items()
        )


def _owned(slot: str, table: torch.Tensor) -> torch.Tensor:
    if table.ndim != 2 or math.prod(table.shape) == 0:
        raise ValueError(f"{slot} has shape {list(table.shape)}, where [vectors, width] is needed")
    if table.is_complex() or table.dtype == torch.bool:
        raise ValueError(f"{slot} holds {table.dtype} values, where real numbers are needed")
    owned = table.detach().to("cpu", torch.float32, copy=True).contiguous()
    if not bool(torch.isfinite(owned).all()):
        raise ValueError(f"{slot} holds values that are not finite numbers")
    return owned


def _rebuild(name: str, vectors: dict[str, torch.Tensor], provenance: Provenance) -> Embedding:
    return Embedding(name=name, vectors=vectors, provenance=provenance)


def folded(trigger: str) -> str:
    """The trigger as a tokenizer sees it: CLIP's does not tell cases apart."""
    return unicodedata.normalize("NFC", trigger).lower()
