"""The table of key layouts: how a raw mapping says which tensor belongs to which text encoder.

Reading goes down the table and takes the first row that recognises the mapping; a new layout is a new row. The
finders are in `_find.py` and `lora.py`, the way back is in `_express.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from pseudoword.embeddings import _find
from pseudoword.embeddings.describe import is_network, not_one
from pseudoword.embeddings.found import Found, RawMapping
from pseudoword.embeddings.lora import find_in_lora


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One row of the table."""

    names: tuple[str, ...]
    """Words for it in `FileEmbedding.layout`; which one a file gets, its content says."""
    find: Callable[[RawMapping], list[Found] | None]
    """Raw mapping → its embeddings, or None for a mapping of another layout; raises BadFile."""


_PLAIN: tuple[Layout, ...] = (
    Layout(names=("a1111", "original"), find=_find.find_string_to_param),
    Layout(names=("onetrainer",), find=_find.find_onetrainer),
    Layout(names=("sdxl", "flux"), find=_find.find_encoders),
    Layout(names=("cog",), find=_find.find_cog),
    Layout(names=("per-layer",), find=_find.find_layers),
    Layout(names=("notebook",), find=_find.find_notebook),
    Layout(names=("emb_params",), find=_find.find_emb_params),
    Layout(names=("diffusers", "diffusers-numbered"), find=_find.find_tokens),
)


def _find_plain(raw: RawMapping) -> list[Found] | None:
    if is_network(raw):
        return None
    return next((found for layout in _PLAIN if (found := layout.find(raw)) is not None), None)


LAYOUTS: tuple[Layout, ...] = (
    Layout(names=("lora-bundle",), find=lambda raw: find_in_lora(raw, _find_plain)),
    *_PLAIN,
)
"""A pair of files (`sdxl-pair`) is no layout of keys: see `pairs.py`."""


def find_all(raw: object) -> list[Found]:
    """The embeddings of a file's object, at least one.

    Raises:
        BadFile: there are none; the error says what the object is instead.
    """
    if isinstance(raw, list | tuple):
        stages = list(cast("list[object]", raw))
        if stages and all(isinstance(stage, dict) and "emb" in stage for stage in stages):
            return [replace(one, notes=(*_find.took_last(len(stages)), *one.notes)) for one in _last(stages)]
        raise not_one(stages)
    found = _found(cast("RawMapping", raw)) if isinstance(raw, dict) else None
    if not found:
        raise not_one(cast("object", raw))
    return found


def _found(raw: RawMapping) -> list[Found] | None:
    in_lora = LAYOUTS[0].find(raw)
    return _find_plain(raw) if in_lora is None else in_lora


def _last(stages: list[object]) -> list[Found]:
    """The last of a notebook's list; a lone `emb` there is the notebook's as well."""
    return [replace(one, layout="notebook") for one in find_all(stages[-1])]
