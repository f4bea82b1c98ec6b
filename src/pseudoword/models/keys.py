"""Where each weight of diffusers' and transformers' modules lies in a checkpoint of the original layout.

The original names are those of CompVis' latent-diffusion (UNet and autoencoder), transformers (CLIP ViT-L) and
OpenCLIP (SD2's encoder and SDXL's second). The road goes from the module to the file: every weight of a module
asks for its place, so that none can be left out unseen. Prefixes of the parts are not in these names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's name in the file; `third` is its part of a stacked q, k, v; `transposed` as OpenCLIP's last."""

    name: str
    third: int | None = None
    transposed: bool = False


_RESNET: Mapping[str, str] = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_OUTSIDE: Mapping[str, str] = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_BLOCK = re.compile(
    r"(down|mid|up)_blocks?\.(?:(\d+)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)


def unet_place(name: str, layers: int, has_attention: tuple[bool, ...]) -> Place:
    """Place of the UNet's weight `name`, for `layers` resnets per level and attention at some levels."""
    match = _UNET_BLOCK.fullmatch(name)
    if match is None:
        module, _, kind = name.rpartition(".")
        return Place(f"{_UNET_OUTSIDE[module]}.{kind}")
    way, part, rest = match[1], match[3], match[5]
    level, index = int(match[2] or 0), int(match[4])
    if way == "mid":
        return Place(f"middle_block.{1 if part == 'attentions' else 2 * index}.{_inner(part, rest)}")
    if way == "down":
        first = 1 + level * (layers + 1)
        number = first + (layers if part == "downsamplers" else index)
        return Place(f"input_blocks.{number}.{1 if part == 'attentions' else 0}.{_inner(part, rest)}")
    number = level * (layers + 1) + (layers if part == "upsamplers" else index)
    attention = has_attention[len(has_attention) - 1 - level]
    column = {"resnets": 0, "attentions": 1, "upsamplers": 2 if attention else 1}[part]
    return Place(f"output_blocks.{number}.{column}.{_inner(part, rest)}")


def _inner(part: str, rest: str) -> str:
    if part == "resnets":
        module, _, kind = rest.rpartition(".")
        return f"{_RESNET[module]}.{kind}"
    return rest.replace("conv.", "op.", 1) if part == "downsamplers" else rest


_VAE_ATTENTION: Mapping[str, str] = {
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}
_VAE_BLOCK = re.compile(r"(encoder\.down|decoder\.up)_blocks\.(\d+)\.(resnets|downsamplers|upsamplers)\.(\d+)\.(.+)")
_VAE_MID = re.compile(r"(encoder|decoder)\.mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def vae_place(name: str, num_levels: int) -> Place:
    """Place of the autoencoder's weight `name`; the original counts the decoder's levels from the picture."""
    if match := _VAE_BLOCK.fullmatch(name):
        side, part, rest = match[1], match[3], match[5]
        level = int(match[2]) if side == "encoder.down" else num_levels - 1 - int(match[2])
        if part == "resnets":
            return Place(f"{side}.{level}.block.{match[4]}.{rest.replace('conv_shortcut', 'nin_shortcut')}")
        return Place(f"{side}.{level}.{part.removesuffix('rs')}.{rest}")
    if match := _VAE_MID.fullmatch(name):
        if match[2] == "resnets":
            return Place(f"{match[1]}.mid.block_{int(match[3]) + 1}.{match[4]}")
        module, _, kind = match[4].rpartition(".")
        return Place(f"{match[1]}.mid.attn_1.{_VAE_ATTENTION[module]}.{kind}")
    return Place(name.replace("conv_norm_out", "norm_out"))


_OPEN_CLIP_OUTSIDE: Mapping[str, Place] = {
    "embeddings.token_embedding.weight": Place("token_embedding.weight"),
    "embeddings.position_embedding.weight": Place("positional_embedding"),
    "final_layer_norm.weight": Place("ln_final.weight"),
    "final_layer_norm.bias": Place("ln_final.bias"),
    "text_projection.weight": Place("text_projection", transposed=True),
}
_OPEN_CLIP_INNER: Mapping[str, str] = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_THIRDS = {"q": 0, "k": 1, "v": 2}
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_STACKED = re.compile(r"self_attn\.([qkv])_proj")


def open_clip_place(name: str) -> Place:
    """Place of the weight `name` of a text encoder that OpenCLIP trained; `name` without `text_model.`."""
    match = _LAYER.fullmatch(name)
    if match is None:
        return _OPEN_CLIP_OUTSIDE[name]
    number, module, kind = match[1], match[2], match[3]
    block = f"transformer.resblocks.{number}"
    if stacked := _STACKED.fullmatch(module):
        return Place(f"{block}.attn.in_proj_{kind}", third=_THIRDS[stacked[1]])
    return Place(f"{block}.{_OPEN_CLIP_INNER[module]}.{kind}")
