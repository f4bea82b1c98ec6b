"""Says what a file of weights is, by its tensors' names and shapes; its own name and suffix count for nothing."""

import re
from collections.abc import Callable, Mapping

from pseudoword.errors import BadModel
from pseudoword.models.weights import Weights

UNET, EMA = "model.diffusion_model.", "model_ema."
FIRST_STAGE = "first_stage_model."
_UNET_START = ("model.diffusion_model.input_blocks.0.0.weight", "model_ema.diffusion_modelinput_blocks00weight")
_TEXT_PARTS: Mapping[str, tuple[str, ...]] = {
    "sdxl": ("conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."),
    "sd2": ("cond_stage_model.model.",),
    "sd1": ("cond_stage_model.transformer.",),
}
"""By family, where its text encoders lie in a single-file checkpoint; all must be there."""

Names = Mapping[str, tuple[int, ...]]


def _any(pattern: str) -> Callable[[Names], bool]:
    compiled = re.compile(pattern)
    return lambda names: any(compiled.search(name) for name in names)


def _is_embedding(names: Names) -> bool:
    return bool({"emb_params", "string_to_param"} & names.keys()) or set(names) == {"clip_g", "clip_l"}


def _is_one_table(names: Names) -> bool:
    """diffusers writes an embedding as one table under the word itself, whatever that is."""
    return len(names) == 1 and all(len(shape) <= 2 for shape in names.values())


_KINDS: tuple[tuple[str, Callable[[Names], bool]], ...] = (
    ("a LoRA", _any(r"lora_(up|down|A|B|unet|te)|\.lora\.|hada_w[12]|lokr_w[12]")),
    ("an embedding", _is_embedding),
    ("an IP-Adapter", _any(r"^(ip_adapter|image_proj)\.")),
    ("a ControlNet", _any(r"^control_model\.|input_hint_block|controlnet_|zero_convs")),
    ("a motion module of AnimateDiff", _any(r"motion_modules\.")),
    ("a Flux checkpoint", _any(r"double_blocks\.\d+\.img_|single_stream_modulation")),
    ("a Stable Diffusion 3 checkpoint", _any(r"joint_blocks\.\d+\.")),
    ("a Stable Cascade checkpoint", _any(r"clip_txt_mapper|^down_blocks\.\d+\.\d+\.channelwise")),
    ("a refiner of SDXL", _any(r"^conditioner\.embedders\.0\.model\.")),
    ("a Playground v2.5 checkpoint", _any(r"^edm_(mean|std)$")),
    ("an unCLIP checkpoint", _any(r"^embedder\.model\.visual\.")),
    ("an optimiser's state", _any(r"^(optimizer_state_dict|param_groups)$")),
    ("a VAE", _any(r"^(first_stage_model\.|vae\.)?(encoder|decoder)\.(conv_in|mid|mid_block)\.")),
    ("a UNet without the other parts", _any(r"^(model\.diffusion_model\.)?(input_blocks|down_blocks)\.0\.")),
    ("a text encoder", _any(r"text_model\.encoder\.|transformer\.resblocks\.|^shared\.weight$")),
    ("a hypernetwork", _any(r"^(320|640|768|1024|1280)$")),
    ("an upscaler", _any(r"^(conv_first|model\.0|body\.0|params_ema|RRDB_trunk\.0.*)\.?")),
    ("an embedding", _is_one_table),
)
"""The first that fits; whole checkpoints have been told apart before."""

_UNUSABLE = {"a refiner of SDXL", "a Playground v2.5 checkpoint", "an unCLIP checkpoint", "a ControlNet"}
"""Kinds that also have a UNet and text encoders."""


def family_key(weights: Weights) -> str:
    """`sd1`, `sd2` or `sdxl` for a whole checkpoint of that family, with or without an autoencoder.

    Raises:
        BadModel: it is something else; the message names what.
    """
    names = weights.shapes
    whole = any(name in names for name in _UNET_START)
    for family, prefixes in _TEXT_PARTS.items():
        if whole and all(any(name.startswith(prefix) for name in names) for prefix in prefixes):
            if describe(weights) in _UNUSABLE:
                break
            return family
    raise BadModel(
        f"{weights.path} is {describe(weights)}",
        expected="a whole SD1, SD2 or SDXL checkpoint",
        next_move="Give an embedding's file to the embeddings folder, a VAE to --vae",
    )


def describe(weights: Weights) -> str:
    """Words for what the file is: `a LoRA`, `a VAE`, …"""
    names = {**weights.shapes, **dict.fromkeys(weights.plain, ())}
    return next((words for words, fits in _KINDS if names and fits(names)), "no checkpoint of a kind known here")
