"""Finders: per key layout, the function that takes the embeddings out of a raw mapping, or says "not mine".

A finder returns None for a mapping that is not of its layout, and raises BadFile for one that is and cannot be
used. Sources: reference a1111.md §1.2 and §1.7, trainers.md §3 (F1-F11); the notebook's structure is that of
oss-roettger/XL-Textual-Inversion.
"""

import re
from collections.abc import Mapping
from typing import cast

import torch

from pseudoword.embeddings.found import (
    Found,
    RawMapping,
    Tables,
    as_list,
    is_table,
    lone,
    plain_fields,
    table,
    tensors_of,
)
from pseudoword.errors import BadFile

PARAMS = "string_to_param"
A1111_FIELDS = ("name", "step", "sd_checkpoint", "sd_checkpoint_name", "hash")
"""`hash` is where builds of October 2022 looked for the checkpoint (a1111.md §1.2)."""

ENCODER_KEYS: Mapping[str, str] = {
    "clip_l": "clip_l",
    "clip_h": "clip_h",
    "clip_g": "clip_g",
    "bert": "bert",
    "t5xxl": "t5xxl",
    "t5": "t5xxl",
}
"""Keys that name a text encoder → its slot."""

LAYERS: tuple[str, ...] = (
    *("IN01", "IN02", "IN04", "IN05", "IN07", "IN08", "MID"),
    *("OUT03", "OUT04", "OUT05", "OUT06", "OUT07", "OUT08", "OUT09", "OUT10", "OUT11"),
)
"""Cross-attention layers of SD1's UNet, in the order in which kohya's XTI and the slots `clip_l.<n>` have them."""

_LDM_WIDTH = 1280
_OUT = "_out"
_ONETRAINER = ("emp_params", "emb_params")
_COG = ("text_encoders_0", "text_encoders_1")
_NOTEBOOK = ("emb", "emb2")
_MAX_TOKENS = 256
"""Embeddings that one file may hold."""
_NUMBERED = re.compile(r"(?P<base>.+?)_(?P<number>\d{1,4})(?P<bracket>>?)")


def find_string_to_param(raw: RawMapping) -> list[Found] | None:
    """A1111's and the original layout: one embedding per entry of `string_to_param`."""
    if PARAMS not in raw:
        return None
    held = raw[PARAMS]
    if not isinstance(held, dict):
        raise BadFile(f"{PARAMS} is a {type(held).__name__}", expected="a mapping from tokens to vectors")
    params = cast("RawMapping", held)
    if not 0 < len(params) <= _MAX_TOKENS:
        raise BadFile(f"{len(params) or 'no'} embeddings in {PARAMS}", expected=f"1 to {_MAX_TOKENS}")
    layout = "a1111" if _is_a1111(raw, params) else "original"
    fields = plain_fields(raw)
    return [_of_param(layout, str(key), value, fields) for key, value in params.items()]


def _is_a1111(raw: RawMapping, params: RawMapping) -> bool:
    """By a field of A1111's, else by the token: the number 265 for `*`, where rinongal's code saves a tensor."""
    tokens = raw.get("string_to_token")
    token = cast("RawMapping", tokens).get("*") if isinstance(tokens, dict) else None
    return any(key in raw for key in A1111_FIELDS) or (set(params) == {"*"} and isinstance(token, int))


def _of_param(layout: str, key: str, value: object, fields: RawMapping) -> Found:
    found = lone(layout, key, value, fields)
    rows = next(iter(found.tables.values()))
    if layout == "original" and found.bare and rows.shape[1] == _LDM_WIDTH:
        return Found(layout=layout, tables={"bert": rows}, inner_key=key, trigger=key, fields=fields)
    return found


def find_onetrainer(raw: RawMapping) -> list[Found] | None:
    """`emp_params`, or encoder keys beside `<key>_out`: vectors that are added behind the text encoder."""
    tensors = tensors_of(raw)
    outs = [key for key in tensors if key.endswith(_OUT) and key.removesuffix(_OUT) in {*_ONETRAINER, *ENCODER_KEYS}]
    if "emp_params" not in tensors and not outs:
        return None
    inputs = {key: value for key, value in tensors.items() if key not in outs}
    notes = _output_notes(inputs, outs)
    lone_key = next((key for key in _ONETRAINER if key in inputs), None)
    if lone_key:
        return [lone("onetrainer", lone_key, inputs[lone_key], plain_fields(raw), notes)]
    tables = _encoder_tables(inputs)
    if not tables:
        raise BadFile("only vectors that OneTrainer adds behind the text encoder (keys that end in _out)")
    return [Found(layout="onetrainer", tables=tables, notes=notes, fields=plain_fields(raw))]


def _output_notes(inputs: Mapping[str, torch.Tensor], outs: list[str]) -> tuple[str, ...]:
    if not outs:
        return ()
    note = f"The vectors behind the text encoder ({', '.join(outs)}) are left out: prompts have no use for them."
    if inputs and not any(bool(value.any()) for value in inputs.values()):
        note += " All that was learned is in them; the vectors that are left are zeros."
    return (note,)


def _encoder_tables(tensors: Mapping[str, torch.Tensor]) -> Tables:
    found = {ENCODER_KEYS[key]: table(key, tensors[key], is_named=True) for key in ENCODER_KEYS if key in tensors}
    if "t5" in tensors and "t5xxl" in tensors:
        raise BadFile("both t5 and t5xxl", expected="one of the two keys")
    return found


def find_encoders(raw: RawMapping) -> list[Found] | None:
    """SDXL's and SD3's `clip_l` + `clip_g`, Flux's `clip_l` + `t5` or `t5xxl`; what else is there is left out."""
    named = [key for key in ENCODER_KEYS if key in raw]
    if len(named) < 2:
        return None
    tables = {ENCODER_KEYS[key]: table(key, raw[key], is_named=True) for key in named}
    if len(tables) < len(named):
        raise BadFile("both t5 and t5xxl", expected="one of the two keys")
    others = [key for key in tensors_of(raw) if key not in named]
    notes = (f"Left out: {', '.join(others[:4])}, which no text encoder is known for.",) if others else ()
    layout = "flux" if "clip_g" not in tables and "t5xxl" in tables else "sdxl"
    return [Found(layout=layout, tables=tables, notes=notes, fields=plain_fields(raw))]


def find_cog(raw: RawMapping) -> list[Found] | None:
    """cog-sdxl's `text_encoders_0` and `text_encoders_1`; widths say which encoder is meant."""
    named = [key for key in _COG if key in raw]
    return [_by_width("cog", named, raw, ())] if named else None


def _by_width(layout: str, keys: list[str], raw: RawMapping, notes: tuple[str, ...]) -> Found:
    """Tables whose width tells the encoder; where it does not, the first is CLIP-L and the second bigG."""
    found = [lone(layout, key, raw[key]) for key in keys]
    slots = [next(iter(one.tables)) for one in found]
    if len(set(slots)) < len(slots):
        slots = ["clip_l", "clip_g"]
    rows = [next(iter(one.tables.values())) for one in found]
    key = keys[0] if len(keys) == 1 else None
    tables = dict(zip(slots, rows, strict=True))
    return Found(layout=layout, tables=tables, inner_key=key, notes=notes, fields=plain_fields(raw))


def find_layers(raw: RawMapping) -> list[Found] | None:
    """One table per layer of the UNet (P+, kohya's XTI)."""
    named = [key for key in LAYERS if key in raw]
    if len(named) < 2:
        return None
    tables = {f"clip_l.{LAYERS.index(key)}": table(key, raw[key], is_named=True) for key in named}
    missing = [key for key in LAYERS if key not in raw]
    notes = (f"Layers without vectors: {', '.join(missing)}.",) if missing else ()
    return [Found(layout="per-layer", tables=tables, notes=notes, fields=plain_fields(raw))]


def find_notebook(raw: RawMapping) -> list[Found] | None:
    """`emb` and `emb2`, each a tensor or the list of those of all steps, of which the last counts."""
    named = [key for key in _NOTEBOOK if key in raw]
    lists = [key for key in named if isinstance(raw[key], list | tuple)]
    if not lists and "emb2" not in named:
        return None
    if any(not as_list(raw[key]) for key in lists):
        raise BadFile("an empty list of embeddings", expected="at least one")
    last = {key: as_list(raw[key])[-1] for key in named}
    counts = [len(as_list(raw[key])) for key in lists]
    return [_by_width("notebook", named, {**raw, **last}, took_last(max(counts, default=1)))]


def took_last(num: int) -> tuple[str, ...]:
    """What to say where a list of `num` stages was saved."""
    return (f"Took the last of {num} that the file holds.",) if num > 1 else ()


def find_emb_params(raw: RawMapping) -> list[Found] | None:
    """kohya's, invoke-training's and ai-toolkit's one key."""
    if set(tensors_of(raw)) != {"emb_params"}:
        return None
    return [lone("emb_params", "emb_params", raw["emb_params"], plain_fields(raw))]


def find_tokens(raw: RawMapping) -> list[Found] | None:
    """diffusers: every key is a token; `tok`, `tok_1` … with a vector each are one embedding of several."""
    tensors = tensors_of(raw)
    if not 0 < len(tensors) <= _MAX_TOKENS or not all(is_table(value) for value in tensors.values()):
        return None
    if any(not isinstance(value, torch.Tensor | str | int | float | dict | None) for value in raw.values()):
        return None
    fields = plain_fields(raw)
    groups = _numbered_groups(tensors)
    found = [_numbered(base, keys, tensors, fields) for base, keys in groups.items()]
    taken = {key for keys in groups.values() for key in keys}
    alone = [lone("diffusers", key, value, fields) for key, value in tensors.items() if key not in taken]
    return found + alone


def _numbered_groups(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[str]]:
    """Base token → keys in order, for `tok, tok_1, …` and `tok_0, tok_1, …` without gaps, a vector each."""
    numbered: dict[str, dict[int, str]] = {}
    for key, value in tensors.items():
        match = _NUMBERED.fullmatch(key)
        if match and _is_vector(value):
            numbered.setdefault(match["base"] + match["bracket"], {})[int(match["number"])] = key
    groups: dict[str, list[str]] = {}
    for base, keys in numbered.items():
        if 0 not in keys and base in tensors and _is_vector(tensors[base]):
            keys[0] = base
        ordered = [keys[number] for number in range(len(keys)) if number in keys]
        widths = {tensors[key].shape[-1] for key in ordered}
        if len(ordered) == len(keys) > 1 and len(widths) == 1:
            groups[base] = ordered
    return groups


def _is_vector(value: torch.Tensor) -> bool:
    return value.ndim == 1 or value.shape[0] == 1


def _numbered(base: str, keys: list[str], tensors: Mapping[str, torch.Tensor], fields: RawMapping) -> Found:
    rows = torch.cat([table(key, tensors[key]) for key in keys])
    return lone("diffusers-numbered", base, rows, fields)
