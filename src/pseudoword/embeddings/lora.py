"""LoRA files that carry learned words: only the words are taken.

Two kinds: `bundle_emb.<trigger>.<key>` beside the weights (OneTrainer, A1111; reference a1111.md §1.7), and plain
tokens as `<s1>` beside them (cloneofsimo's pivotal tuning). What is left of the mapping, with the weights and
the prefix gone, is a mapping of one of the other layouts.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from pseudoword.embeddings.found import Found, RawMapping

_PREFIX = "bundle_emb."
_TAIL = re.compile(
    r"(?P<trigger>.+)\.(?P<key>string_to_param\..+|(?:clip_[lgh]|t5|t5xxl|bert|emp_params|emb_params)(?:_out)?)"
)
_PARAM = "string_to_param."
_WEIGHT = re.compile(
    r"lora_(unet|te\d?|transformer|prior)_|[._]lora[._]|\.lora_[AB]\b|(^|\.)(hada_w|lokr_w|oft_)"
    r"|^(unet|text_encoder(_2)?|transformer)\.|^(unet|text_encoder):\d+:|\.alpha$|\.dora_scale$",
    re.IGNORECASE,
)

Finder = Callable[[RawMapping], list[Found] | None]


def is_weight(key: object) -> bool:
    """Whether a key is that of a LoRA's own weight: a path with certain words in it, as the token `my_lora` is none."""
    return _is_path(str(key)) and bool(_WEIGHT.search(str(key)))


def _is_path(key: str) -> bool:
    return ("." in key or ":" in key) and not (key.startswith("<") and key.endswith(">"))


def is_token_key(key: str) -> bool:
    """Whether a key of a mapping of many may belong to a learned word: no weight, and no path in a network."""
    return key.startswith(_PREFIX) or not _is_path(key)


def find_in_lora(raw: RawMapping, others: Finder) -> list[Found] | None:
    """The words of a LoRA file; None for files without LoRA weights and without `bundle_emb.`.

    Args:
        raw: the file's mapping.
        others: finds the words of a mapping of any other layout.
    """
    bundled = {str(key): value for key, value in raw.items() if str(key).startswith(_PREFIX)}
    if bundled:
        return [one for trigger, part in _by_trigger(bundled).items() for one in _named(trigger, others(part) or [])]
    rest = {str(key): value for key, value in raw.items() if is_token_key(str(key))}
    if len(rest) == len(raw) or not any(is_weight(key) for key in raw):
        return None
    return [replace(one, layout="lora-bundle", own_name=True) for one in others(rest) or []]


def _by_trigger(bundled: RawMapping) -> dict[str, dict[str, object]]:
    """Trigger → the mapping that its file would have held."""
    parts: dict[str, dict[str, object]] = {}
    for whole, value in bundled.items():
        match = _TAIL.fullmatch(whole.removeprefix(_PREFIX))
        if match is None:
            trigger, _, key = whole.removeprefix(_PREFIX).rpartition(".")
            parts.setdefault(trigger or key, {})[key] = value
        elif match["key"].startswith(_PARAM):
            part = parts.setdefault(match["trigger"], {})
            params = cast("dict[str, object]", part.setdefault("string_to_param", {}))
            params[match["key"].removeprefix(_PARAM)] = value
        else:
            parts.setdefault(match["trigger"], {})[match["key"]] = value
    return parts


def _named(trigger: str, found: list[Found]) -> list[Found]:
    return [replace(one, layout="lora-bundle", inner_key=trigger, trigger=trigger, own_name=True) for one in found]
