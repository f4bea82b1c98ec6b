"""What a layout finds in a raw mapping, and the tests on tensors that all layouts share. No names of keys here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch

from pseudoword.errors import BadFile
from pseudoword.families import SLOTS

RawMapping = Mapping[str, object]
Tables = dict[str, torch.Tensor]

MAX_VECTORS = 1024
"""More rows than this are a text encoder's vocabulary (CLIP's has 49,408), not an embedding."""

CONTEXT = 77
"""Rows of a text encoder's output for one chunk. A1111 has room for words of up to 75 vectors, others for more."""

_ANY_KEY = frozenset({"diffusers"})
"""Layouts of tensors under any key at all, as a conditioning that was saved has them too."""

_WIDTH_SLOTS: Mapping[int, tuple[str, ...]] = {
    256: ("clip_l",),
    768: ("clip_l",),
    1024: ("clip_h",),
    1280: ("clip_g", "bert"),
    4096: ("t5xxl",),
}
"""Width → the slots that have it, the usual one first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One embedding of a file, before it becomes a value."""

    layout: str
    tables: Tables
    """Slot → tensor [num_vectors, width] in the number type that the file has."""
    inner_key: str | None = None
    trigger: str | None = None
    """The name that the file itself gives to the word, where the layout has room for one."""
    own_name: bool = False
    """Whether `trigger` counts also where the embedding is alone in its file."""
    bare: bool = False
    """Whether nothing but its width says which text encoder a lone table is for."""
    notes: tuple[str, ...] = ()
    fields: RawMapping = field(default_factory=dict[str, object])
    """Plain values beside the tensors: step, checkpoint."""


def slot_of(key: str, width: int) -> str:
    """Slot of a lone table: its width says it (256, 768, 1024, 1280, 4096), else its key, else clip_l.

    A key counts among the slots of one width, as LDM's BERT and SDXL's second encoder have.
    """
    of_width = _WIDTH_SLOTS.get(width, SLOTS)
    return key if key in of_width else of_width[0]


def is_table(value: object) -> bool:
    """Whether a value is a tensor [width] or [num_vectors, width] of real numbers."""
    return (
        isinstance(value, torch.Tensor)
        and value.ndim in (1, 2)
        and value.numel() > 0
        and (value.is_floating_point() or value.ndim == 2)
    )


def table(key: str, value: object, *, is_named: bool = False) -> torch.Tensor:
    """A tensor [width] or [num_vectors, width] as the latter.

    Args:
        key: where it was.
        value: what was there.
        is_named: the layout says that these are a word's vectors, so that 77 rows are 77 vectors.

    Raises:
        BadFile: it is something else; the error says what.
    """
    if not isinstance(value, torch.Tensor):
        raise BadFile(f"key {key!r} holds a {type(value).__name__}", expected="vectors of shape [n, width]")
    what = conditioning(value)
    if what and not (is_named and value.ndim == 2):
        raise BadFile(f"key {key!r} holds {what}", expected="vectors of shape [n, width]")
    if value.ndim not in (1, 2) or value.numel() == 0:
        raise BadFile(f"key {key!r} holds shape {list(value.shape)}", expected="vectors of shape [n, width]")
    rows = value.reshape(-1, value.shape[-1])
    if len(rows) > MAX_VECTORS:
        raise BadFile(
            f"key {key!r} holds {len(rows)} rows, which is a text encoder's vocabulary rather than an embedding",
            expected=f"at most {MAX_VECTORS} vectors",
        )
    return rows


def conditioning(value: torch.Tensor) -> str:
    """Words for a text encoder's output (77 × width, alone or in a batch; T5's are longer), empty for anything else."""
    shape = tuple(value.shape)
    if len(shape) not in (2, 3) or shape[-1] < CONTEXT or shape[-2] < CONTEXT:
        return ""
    if len(shape) == 2 and shape[0] % CONTEXT:
        return ""
    return (
        f"a conditioning tensor of shape {list(shape)}, what a text encoder made of a whole prompt "
        f"({shape[-2]} places), and no learned word"
    )


def lone(layout: str, key: str, value: object, fields: RawMapping | None = None, notes: tuple[str, ...] = ()) -> Found:
    """A single table, whose width says what it is for."""
    rows = table(key, value, is_named=layout not in _ANY_KEY)
    return Found(
        layout=layout,
        tables={slot_of(key, rows.shape[1]): rows},
        inner_key=key,
        trigger=key,
        bare=key not in SLOTS,
        notes=notes,
        fields=fields or {},
    )


def plain_fields(raw: RawMapping) -> dict[str, object]:
    """The values of a mapping that are no tensors, or single numbers as one: where provenance may stand."""
    fields: dict[str, object] = {}
    for key, value in raw.items():
        if isinstance(value, torch.Tensor) and not value.ndim:
            fields[key] = value.item()
        elif isinstance(value, str | int | float | dict):
            fields[key] = value
    return fields


def tensors_of(raw: RawMapping) -> dict[str, torch.Tensor]:
    """The tensors of a mapping, by key as text; a single number is a field and none of them."""
    return {str(key): value for key, value in raw.items() if isinstance(value, torch.Tensor) and value.ndim}


def as_list(value: object) -> list[object]:
    """A value that may be one thing or a list of them."""
    return list(cast("list[object]", value)) if isinstance(value, list | tuple) else [value]
