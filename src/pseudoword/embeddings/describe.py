"""What a file is that holds no embedding, in words for its owner."""

import re
from typing import cast

import torch

from pseudoword.embeddings.found import RawMapping, conditioning
from pseudoword.embeddings.lora import is_weight
from pseudoword.errors import BadFile

_EXPECTED = "an embedding: a learned word's vectors"

_MANY = 32
"""More keys than this with dots in them are paths in a network, not tokens."""

_KINDS: tuple[tuple[str, str], ...] = (
    (r"^(optimizer_state_dict|param_groups)$", "an optimiser's state, which belongs beside an embedding"),
    (r"^(model\.diffusion_model\.|state_dict$|cond_stage_model\.|conditioner\.embedders\.)", "a whole model"),
    (r"^(control_model\.|controlnet_)", "a ControlNet"),
    (r"^(first_stage_model\.|decoder\.(conv_in|up)\b|encoder\.(conv_in|down)\b|quant_conv\.|loss\.)", "a VAE"),
    (r"^(text_model\.|transformer\.resblocks\.|encoder\.block\.|token_embedding)", "a text encoder"),
    (r"^(down_blocks\.|mid_block\.|up_blocks\.|input_blocks\.|double_blocks\.|transformer_blocks\.)", "a model"),
    (r"^(prompt_embeds|pooled_prompt_embeds|negative_prompt_embeds|pooled_output)", "what a text encoder made of a "
     "prompt (a conditioning)"),
    (r"^(68|320|640|768|1024|1280)$", "a hypernetwork"),
)  # fmt: skip


def not_one(raw: object) -> BadFile:
    """The error for an object that no layout recognises."""
    if isinstance(raw, dict):
        return _no_layout(cast("RawMapping", raw))
    return BadFile(_other(raw), expected="a mapping from keys to vectors", next_move="Save it as {name: tensor}")


def _no_layout(raw: RawMapping) -> BadFile:
    if not raw:
        return BadFile("an empty mapping, with no embedding at all", expected=_EXPECTED)
    kind = _kind(raw)
    if kind:
        return BadFile(f"{kind} ({len(raw)} keys: {_names(raw)})", expected=_EXPECTED)
    tensors = [value for value in raw.values() if isinstance(value, torch.Tensor)]
    what = next((words for value in tensors if (words := conditioning(value))), "")
    if what:
        return BadFile(f"{what} (key {_names(raw)})", expected=_EXPECTED)
    if len(tensors) > 1:
        what = "a model or a LoRA, or a layout that is not known"
        return BadFile(f"{what} ({len(raw)} keys: {_names(raw)})", expected=_EXPECTED)
    return BadFile(f"no embedding at all (keys: {_names(raw)})", expected=_EXPECTED)


_ANY = re.compile("|".join(pattern for pattern, _ in _KINDS), re.MULTILINE)
_PARAMETER = re.compile(r"\.(weight|bias)$", re.MULTILINE)


def _kind(raw: RawMapping) -> str:
    keys = "\n".join(map(str, raw))
    if _ANY.search(keys):
        return next(words for pattern, words in _KINDS if re.search(pattern, keys, re.MULTILINE))
    return "a LoRA without learned words" if any(is_weight(key) for key in raw) else ""


def is_network(raw: RawMapping) -> bool:
    """Whether the keys are those of a network's weights rather than tokens."""
    if _kind(raw) or _PARAMETER.search("\n".join(map(str, raw))):
        return True
    return len(raw) > _MANY and sum("." in str(key) for key in raw) > len(raw) // 2


def _names(mapping: RawMapping) -> str:
    shown = [repr(key)[:40] for key in list(mapping)[:4]]
    return ", ".join(shown) + (", …" if len(mapping) > len(shown) else "")


def _other(raw: object) -> str:
    if isinstance(raw, list | tuple):
        inner = _first(cast("list[object]", raw))
        words = conditioning(inner) if isinstance(inner, torch.Tensor) else ""
        return f"a list with {words}" if words else f"a {type(cast('object', raw)).__name__}, with no embedding at all"
    if isinstance(raw, torch.Tensor):
        return conditioning(raw) or f"a bare tensor of shape {list(raw.shape)}, with no name of what it is"
    return f"a {type(raw).__name__}, with no embedding at all"


def _first(items: list[object] | tuple[object, ...]) -> object:
    """What a list begins with; ComfyUI has a conditioning in a list in a list."""
    for _ in range(4):
        if not items or not isinstance(items[0], list | tuple):
            break
        items = cast("list[object]", items[0])
    return items[0] if items else None
