"""The way back: an embedding as the raw mapping of a layout, or the reason why that layout has no room for it."""

import torch

from pseudoword.embeddings._find import LAYERS, PARAMS
from pseudoword.embeddings._provenance import OURS, a1111_fields
from pseudoword.embeddings.embedding import Embedding
from pseudoword.embeddings.found import slot_of
from pseudoword.embeddings.layouts import find_all
from pseudoword.errors import BadFile, BadOption

RawDict = dict[str, object]

_TOKENS = "string_to_token"
_STAR = "*"
_STAR_ID, _BERT_STAR_ID = 265, 1008
"""Ids of `*` in CLIP's and in BERT's vocabulary."""


def _only(embedding: Embedding, what: str) -> tuple[str, torch.Tensor]:
    """Slot and an own copy of the table of a one-encoder embedding."""
    if len(embedding.vectors) != 1:
        raise BadOption(
            f"{embedding.name} has vectors for {len(embedding.vectors)} text encoders "
            f"({', '.join(list(embedding.vectors)[:4])}), and {what} holds those of one",
            next_move="Write it as .safetensors, in the layout sdxl or flux",
        )
    ((slot, rows),) = embedding.vectors.items()
    return slot, rows.clone()


def _key_for(slot: str, rows: torch.Tensor, usual: str) -> str:
    """The usual key where the slot can be told from the width, else the slot's name."""
    return usual if slot_of(usual, rows.shape[1]) == slot else slot


def a1111(embedding: Embedding) -> RawDict:
    """`string_to_param` with one entry, and A1111's fields."""
    slot, rows = _only(embedding, "A1111's layout")
    key = _key_for(slot, rows, _STAR)
    return {_TOKENS: {key: _STAR_ID}, PARAMS: {key: rows}, **a1111_fields(embedding)}


def original(embedding: Embedding) -> RawDict:
    """`string_to_param` and token ids as 0-d tensors, as rinongal's code reads them; no field of A1111."""
    slot, rows = _only(embedding, "the original layout")
    is_bert = slot == "bert" and rows.shape[1] == 1280
    key = _STAR if is_bert else _key_for(slot, rows, _STAR)
    if slot == "clip_g":
        raise BadOption(
            f"{embedding.name} is for SDXL's second text encoder, and the original layout with this width means LDM's",
            next_move="Choose another layout",
        )
    token = torch.tensor(_BERT_STAR_ID if is_bert else _STAR_ID)
    ours = a1111_fields(embedding).get(OURS)
    return {_TOKENS: {key: token}, PARAMS: {key: rows}, **({OURS: ours} if ours else {})}


def emb_params(embedding: Embedding) -> RawDict:
    """kohya's one key."""
    slot, rows = _only(embedding, "emb_params")
    return {_key_for(slot, rows, "emb_params"): rows}


def diffusers(embedding: Embedding) -> RawDict:
    """The word as the only key."""
    slot, rows = _only(embedding, "a diffusers file")
    key = _key_for(slot, rows, embedding.name) if slot == "bert" else embedding.name
    if not _is_taken_for_a_word(key, rows):
        raise BadOption(
            f"{embedding.name} with {len(rows)} vectors, which under this key look like something else than a word",
            next_move="Choose another name, or the layout emb_params",
        )
    return {key: rows}


def _is_taken_for_a_word(key: str, rows: torch.Tensor) -> bool:
    """Whether the reader sees one, and neither a prompt's encoding (77 rows) nor a network's weight (`x.alpha`)."""
    try:
        return len(find_all({key: rows})) == 1
    except BadFile:
        return False


def _by_encoder(embedding: Embedding, t5: str) -> RawDict:
    return {(t5 if slot == "t5xxl" else slot): rows.clone() for slot, rows in embedding.vectors.items()}


def _need(embedding: Embedding, slots: set[str], expected: str) -> None:
    if not slots <= set(embedding.vectors) <= {*slots, "t5xxl"}:
        raise BadOption(
            f"{embedding.name} has vectors for {', '.join(list(embedding.vectors)[:4])}",
            expected=expected,
            next_move="Choose another layout",
        )


def sdxl(embedding: Embedding) -> RawDict:
    """`clip_l` and `clip_g`; `t5xxl` beside them for SD3."""
    _need(embedding, {"clip_l", "clip_g"}, "clip_l and clip_g for the layout sdxl")
    return _by_encoder(embedding, "t5xxl")


def flux(embedding: Embedding) -> RawDict:
    """`clip_l` and `t5xxl`."""
    _need(embedding, {"clip_l", "t5xxl"}, "clip_l and t5xxl for the layout flux")
    return _by_encoder(embedding, "t5xxl")


def onetrainer(embedding: Embedding) -> RawDict:
    """`emp_params` for one encoder, else a key for each, T5's being `t5`."""
    if len(embedding.vectors) == 1:
        slot, rows = _only(embedding, "emp_params")
        return {_key_for(slot, rows, "emp_params"): rows}
    slots = {"clip_l", "clip_g"} if "clip_g" in embedding.vectors else {"clip_l", "t5xxl"}
    _need(embedding, slots, "clip_l with clip_g, t5xxl or both for the layout onetrainer")
    return _by_encoder(embedding, "t5")


def per_layer(embedding: Embedding) -> RawDict:
    """kohya's names of the UNet's layers."""
    layers = {f"clip_l.{number}": name for number, name in enumerate(LAYERS)}
    if not set(embedding.vectors) <= set(layers):
        raise BadOption(f"{embedding.name} has no vectors by layer", expected="clip_l.0 … clip_l.15")
    return {layers[slot]: rows.clone() for slot, rows in embedding.vectors.items()}


def card(embedding: Embedding) -> RawDict:
    """What a picture card carries: A1111's layout, or `clip_l` and `clip_g` alone, as A1111 takes no other key."""
    if len(embedding.vectors) == 1:
        return a1111(embedding)
    if set(embedding.vectors) != {"clip_l", "clip_g"}:
        raise BadOption(
            f"{embedding.name} has vectors for {', '.join(list(embedding.vectors)[:4])}",
            expected="one text encoder, or clip_l and clip_g, for a card",
            next_move="Write it as .safetensors",
        )
    return _by_encoder(embedding, "t5xxl")
