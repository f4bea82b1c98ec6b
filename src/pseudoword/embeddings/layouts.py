"""The table of key layouts: how a raw mapping says which tensor belongs to which text encoder.

Reading goes down the table and takes the first row that recognises the mapping; a new layout is a new row.
Sources: reference a1111.md §1.2, trainers.md §3 (F1, F3, F5, F6).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch

from pseudoword.embeddings._provenance import a1111_fields
from pseudoword.embeddings.embedding import SLOTS, Embedding
from pseudoword.errors import BadFile, BadOption
from pseudoword.families import FAMILIES

RawMapping = Mapping[str, object]
Vectors = dict[str, torch.Tensor]

_PARAMS = "string_to_param"
_TOKENS = "string_to_token"
_STAR = "*"
_STAR_ID = 265
"""CLIP's id of `*`, which A1111 writes and does not use."""

_KOHYA = "emb_params"
_PAIR = ("clip_l", "clip_g")
_MANY = 32
"""More tensors than this in one mapping are a model or a LoRA, not embeddings."""

_WIDTH_SLOTS: Mapping[int, str] = {
    width: slot for family in FAMILIES.values() if len(family.widths) == 1 for slot, width in family.widths.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One row of the table."""

    name: str
    recognise: Callable[[RawMapping], bool]
    to_vectors: Callable[[RawMapping], Vectors]
    """Raw mapping → slot → tensor [num_vectors, width]; raises BadFile."""
    from_embedding: Callable[[Embedding], dict[str, object]] | None = None
    """The same road back; raises BadOption where the layout has no room for it. None: read only."""


def layout_of(raw: object) -> Layout:
    """The row that recognises a file's object.

    Raises:
        BadFile: no row does; the error says what the object is instead.
    """
    if isinstance(raw, dict):
        mapping = cast("RawMapping", raw)
        for layout in LAYOUTS:
            if layout.recognise(mapping):
                return layout
        raise _not_one(mapping)
    raise BadFile(
        _describe_other(raw), expected="a mapping from keys to vectors", next_move="Save it as {name: tensor}"
    )


def slot_of(key: str, width: int) -> str:
    """Slot of a lone table: its width says it (768, 1024, 256), else its key, else clip_l."""
    return _WIDTH_SLOTS.get(width) or (key if key in SLOTS else "clip_l")


def _is_table(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.ndim in (1, 2) and value.numel() > 0


def _table(key: str, value: object) -> torch.Tensor:
    """A tensor [width] or [num_vectors, width] as the latter."""
    if isinstance(value, torch.Tensor) and _is_table(value):
        return value.reshape(-1, value.shape[-1])
    found = f"shape {list(value.shape)}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
    raise BadFile(f"key {key!r} holds {found}", expected="vectors of shape [n, width]")


def _lone(key: str, value: object) -> Vectors:
    table = _table(key, value)
    return {slot_of(key, table.shape[1]): table}


def _only(embedding: Embedding, what: str) -> tuple[str, torch.Tensor]:
    """Slot and an own copy of the table of a one-encoder embedding."""
    if len(embedding.vectors) != 1:
        raise BadOption(
            f"{embedding.name} has vectors for {len(embedding.vectors)} text encoders "
            f"({', '.join(embedding.vectors)}), and {what} holds those of one",
            next_move="Write it as .safetensors",
        )
    ((slot, table),) = embedding.vectors.items()
    return slot, table.clone()


def _key_for(slot: str, table: torch.Tensor, usual: str) -> str:
    """The usual key where the slot can be told from the width, else the slot's name."""
    return usual if slot_of(usual, table.shape[1]) == slot else slot


def _a1111_vectors(raw: RawMapping) -> Vectors:
    held = raw[_PARAMS]
    if not isinstance(held, dict):
        raise BadFile(f"{_PARAMS} is a {type(held).__name__}", expected="a mapping with one entry")
    params = cast("RawMapping", held)
    if len(params) != 1:
        raise BadFile(
            f"{len(params) or 'no'} embeddings in one file ({_names(params)})",
            expected=f"exactly one entry in {_PARAMS}",
            next_move="Split it into one file per word",
        )
    ((key, value),) = params.items()
    return _lone(str(key), value)


def _a1111_raw(embedding: Embedding) -> dict[str, object]:
    slot, table = _only(embedding, "A1111's layout")
    key = _key_for(slot, table, _STAR)
    return {_TOKENS: {key: _STAR_ID}, _PARAMS: {key: table}, **a1111_fields(embedding)}


def _sdxl_vectors(raw: RawMapping) -> Vectors:
    return {slot: _table(slot, raw[slot]) for slot in _PAIR}


def _sdxl_raw(embedding: Embedding) -> dict[str, object]:
    if set(embedding.vectors) != set(_PAIR):
        raise BadOption(
            f"{embedding.name} has vectors for {', '.join(embedding.vectors)}",
            expected=f"{' and '.join(_PAIR)} for a file with two text encoders",
        )
    return {slot: embedding.vectors[slot].clone() for slot in _PAIR}


def _lone_vectors(raw: RawMapping) -> Vectors:
    ((key, value),) = raw.items()
    return _lone(str(key), value)


def _kohya_raw(embedding: Embedding) -> dict[str, object]:
    slot, table = _only(embedding, "emb_params")
    return {_key_for(slot, table, _KOHYA): table}


def _diffusers_raw(embedding: Embedding) -> dict[str, object]:
    _, table = _only(embedding, "a diffusers file")
    return {embedding.name: table}


A1111 = Layout(
    name="a1111",
    recognise=lambda raw: _PARAMS in raw,
    to_vectors=_a1111_vectors,
    from_embedding=_a1111_raw,
)
SDXL = Layout(
    name="sdxl",
    recognise=lambda raw: set(raw) == set(_PAIR),
    to_vectors=_sdxl_vectors,
    from_embedding=_sdxl_raw,
)
EMB_PARAMS = Layout(
    name="emb_params",
    recognise=lambda raw: set(raw) == {_KOHYA},
    to_vectors=_lone_vectors,
    from_embedding=_kohya_raw,
)
DIFFUSERS = Layout(
    name="diffusers",
    recognise=lambda raw: len(raw) == 1 and all(_is_table(value) for value in raw.values()),
    to_vectors=_lone_vectors,
    from_embedding=_diffusers_raw,
)

LAYOUTS: tuple[Layout, ...] = (A1111, SDXL, EMB_PARAMS, DIFFUSERS)


def _names(mapping: RawMapping) -> str:
    shown = [repr(key)[:40] for key in list(mapping)[:4]]
    return ", ".join(shown) + (", …" if len(mapping) > len(shown) else "")


def _not_one(raw: RawMapping) -> BadFile:
    """What a mapping that no row recognises is."""
    tables = sum(1 for value in raw.values() if _is_table(value))
    expected = "one embedding: string_to_param, clip_l and clip_g, emb_params, or one key with vectors"
    if not raw:
        return BadFile("an empty mapping, with no embedding at all", expected=expected)
    if len(raw) > _MANY:
        return BadFile(f"a model or a LoRA ({len(raw)} keys: {_names(raw)})", expected=expected)
    if tables > 1:
        return BadFile(
            f"several embeddings in one file, or a layout that is not known ({_names(raw)})",
            expected=expected,
            next_move="Split it into one file per word",
        )
    return BadFile(f"no embedding at all (keys: {_names(raw)})", expected=expected)


def _describe_other(raw: object) -> str:
    if isinstance(raw, torch.Tensor):
        return f"a bare tensor of shape {list(raw.shape)}, with no name of what it is"
    return f"a {type(raw).__name__}, with no embedding at all"
