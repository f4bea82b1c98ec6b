"""Provenance on its way into files and back: A1111's fields, and ours beside them.

A1111 knows `name`, `step`, `sd_checkpoint` (short hash) and `sd_checkpoint_name` (reference a1111.md §1.3);
some trainers put the same fields, JSON-encoded, into a safetensors header (trainers.md §3, F10). All that is
known goes under `pseudoword`.
"""

import json
import sys
from collections.abc import Mapping
from typing import cast

from pseudoword.embeddings.embedding import Embedding, Provenance

OURS = "pseudoword"
_KOHYA = {"step": "ss_steps", "sd_checkpoint": "ss_sd_model_hash", "sd_checkpoint_name": "ss_sd_model_name"}
_STEP, _HASH, _MODEL = "step", "sd_checkpoint", "sd_checkpoint_name"


def a1111_fields(embedding: Embedding) -> dict[str, object]:
    """`name` and the known fields as plain values for a pickle.

    Texts are interned: a pickle refers back to a text that is the same object, and not to one that is merely
    equal, so that the bytes would else depend on where the texts came from.
    """
    ours = {key: _interned(value) for key, value in embedding.provenance.to_plain().items()}
    theirs = {
        "name": embedding.name,
        _STEP: embedding.provenance.step,
        _HASH: embedding.provenance.base_model_hash,
        _MODEL: embedding.provenance.base_model,
    }
    fields: dict[str, object] = {key: _interned(value) for key, value in theirs.items()}
    return {**fields, OURS: ours} if ours else fields


def _interned(value: object) -> object:
    return sys.intern(value) if isinstance(value, str) else value


def header_fields(embedding: Embedding) -> dict[str, str]:
    """`name` and the known fields as texts for a safetensors header."""
    theirs = {key: value for key, value in a1111_fields(embedding).items() if key != OURS}
    fields = {key: str(value) for key, value in theirs.items() if value is not None}
    ours = embedding.provenance.to_plain()
    return {**fields, OURS: json.dumps(ours, ensure_ascii=False)} if ours else fields


def from_header(metadata: Mapping[str, str]) -> Provenance:
    """Provenance from a safetensors header: A1111's fields, ours, kohya's, ai-toolkit's; odd ones are left out."""
    theirs = {key: unquoted(metadata[kohya]) for key, kohya in _KOHYA.items() if kohya in metadata}
    training = unquoted(metadata.get("training_info", ""))
    if isinstance(training, dict) and _STEP in training:
        theirs[_STEP] = cast("dict[str, object]", training)[_STEP]
    plain = {key: unquoted(metadata[key]) for key in (_STEP, _HASH, _MODEL) if key in metadata}
    return from_fields({**theirs, **plain, OURS: unquoted(metadata.get(OURS, ""))})


def from_fields(fields: Mapping[str, object]) -> Provenance:
    """Provenance from A1111's fields and ours; where both say something, ours count."""
    step, shorthash, model = (fields.get(key) for key in (_STEP, _HASH, _MODEL))
    theirs = {"step": _whole(step), "base_model_hash": shorthash, "base_model": model}
    ours = fields.get(OURS)
    known = cast("dict[str, object]", ours) if isinstance(ours, dict) else {}
    return Provenance.from_plain({**theirs, **known})


def _whole(step: object) -> object:
    if isinstance(step, str) and step.isascii() and step.isdigit() and len(step) < 12:
        return int(step)
    return int(step) if isinstance(step, float) and step.is_integer() else step


def unquoted(text: object) -> object:
    """A header's text, decoded where it is itself a JSON text or mapping; None for what stands for nothing there.

    ai-toolkit writes `null` for a checkpoint that it does not know, kohya `None`.
    """
    if text in ("null", "None"):
        return None
    if not isinstance(text, str) or text[:1] not in ('"', "{"):
        return text
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return text
