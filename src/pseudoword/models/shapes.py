"""Configurations of the modules of a single-file checkpoint, read off the shapes of its weights.

What shapes tell (widths, levels, layers, depths of attention) is not written down anywhere else, so the same
code loads the published models, their fine-tuned kin and the tiny ones of the tests. What shapes do not tell is
the family's and stands in `FACTS`: number of attention heads, activation, resolution, scale of the latents.
Groups of the norms: 32 in all published models, fewer only where a level is too narrow for 32 groups of two.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pseudoword.errors import BadModel

ShapeOf = Callable[[str], "tuple[int, ...] | None"]
"""Shape by original name without prefix, or None where there is no such weight."""

_HEAD_WIDTH = 64
_UNUSED_BLOCK = 23
"""SD2 takes OpenCLIP's last but one block's output; whole files carry block 23, which nothing reads."""
_NORM_GROUPS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a family's configuration holds beyond what shapes tell."""

    num_heads: int | None
    """Heads of the UNet's attention at every level, or None: one for 64 channels."""
    resolution: int
    latents_scale: float
    upcasts_attention: bool = False
    """SD2's attention overflows in half precision unless its scores are taken in float32."""


FACTS: Mapping[str, Facts] = {
    "sd1": Facts(num_heads=8, resolution=512, latents_scale=0.18215),
    "sd2": Facts(num_heads=None, resolution=768, latents_scale=0.18215, upcasts_attention=True),
    "sdxl": Facts(num_heads=None, resolution=1024, latents_scale=0.13025),
}


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the UNet: channels, resnets, and transformer blocks in each attention (0: none)."""

    channels: int
    layers: int
    depth: int


def unet_levels(shape_of: ShapeOf) -> list[Level]:
    """The levels of the UNet, from the widest picture to the narrowest.

    Raises:
        BadModel: the weights are not laid out as a latent-diffusion UNet.
    """
    levels: list[Level] = []
    channels: list[int] = []
    depths: set[int] = set()
    number = 1
    while True:
        resnet = shape_of(f"input_blocks.{number}.0.in_layers.2.weight")
        if resnet is not None:
            channels.append(resnet[0])
            depths.add(_count(shape_of, f"input_blocks.{number}.1.transformer_blocks.{{}}.norm1.weight"))
        else:
            if len(set(channels)) != 1 or len(depths) != 1:
                raise BadModel("a UNet whose levels are not alike within", expected="the UNet of SD1, SD2 or SDXL")
            levels.append(Level(channels[0], len(channels), depths.pop()))
            if shape_of(f"input_blocks.{number}.0.op.weight") is None:
                break
            channels = []
        number += 1
    if len({level.layers for level in levels}) != 1 or all(level.depth == 0 for level in levels):
        raise BadModel("a UNet whose levels are not alike", expected="the UNet of SD1, SD2 or SDXL")
    return levels


def unet_config(shape_of: ShapeOf, family: str, pooled_width: int | None) -> dict[str, Any]:
    """Configuration for `diffusers.UNet2DConditionModel`.

    Args:
        shape_of: the UNet's weights.
        family: key of `FACTS`.
        pooled_width: width of SDXL's pooled vector; beside it, `label_emb` takes six sizes.
    """
    facts = FACTS[family]
    levels = unet_levels(shape_of)
    widths = tuple(level.channels for level in levels)
    down = tuple("CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels)
    middle = _count(shape_of, "middle_block.1.transformer_blocks.{}.norm1.weight")
    depths = [max(1, level.depth) for level in levels]
    attended = next(i for i, level in enumerate(levels) if level.depth)
    inside = f"input_blocks.{1 + attended * (levels[0].layers + 1)}.1."
    config: dict[str, Any] = {
        "sample_size": facts.resolution // 8,
        "in_channels": _must(shape_of, "input_blocks.0.0.weight")[1],
        "out_channels": _must(shape_of, "out.2.weight")[0],
        "block_out_channels": widths,
        "layers_per_block": levels[0].layers,
        "down_block_types": down,
        "up_block_types": tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        "transformer_layers_per_block": (*depths[:-1], max(depths[-1], middle)),
        "cross_attention_dim": _must(shape_of, f"{inside}transformer_blocks.0.attn2.to_k.weight")[1],
        "attention_head_dim": facts.num_heads or tuple(max(1, width // _HEAD_WIDTH) for width in widths),
        "use_linear_projection": len(_must(shape_of, f"{inside}proj_in.weight")) == 2,
        "upcast_attention": facts.upcasts_attention,
        "norm_num_groups": _groups(widths[0]),
    }
    if pooled_width is not None:
        taken = _must(shape_of, "label_emb.0.0.weight")[1]
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": (taken - pooled_width) // 6,
            "projection_class_embeddings_input_dim": taken,
        }
    return config


def vae_config(shape_of: ShapeOf, family: str) -> dict[str, Any]:
    """Configuration for `diffusers.AutoencoderKL`."""
    facts = FACTS[family]
    widths: list[int] = []
    while (shape := shape_of(f"encoder.down.{len(widths)}.block.0.conv1.weight")) is not None:
        widths.append(shape[0])
    if len(widths) < 2:
        raise BadModel("an autoencoder of a kind unknown here", expected="the autoencoder of SD1, SD2 or SDXL")
    return {
        "in_channels": _must(shape_of, "encoder.conv_in.weight")[1],
        "out_channels": _must(shape_of, "decoder.conv_out.weight")[0],
        "block_out_channels": tuple(widths),
        "layers_per_block": _count(shape_of, "encoder.down.0.block.{}.conv1.weight"),
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "latent_channels": _must(shape_of, "decoder.conv_in.weight")[1],
        "norm_num_groups": _groups(widths[0]),
        "sample_size": facts.resolution,
        "scaling_factor": facts.latents_scale,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TextNames:
    """Names of the weights that tell a text encoder's shape, in its own layout."""

    tokens: str
    positions: str
    layer: str
    """With `{}` for the layer's number."""
    inner: str


OPENAI = TextNames(
    tokens="embeddings.token_embedding.weight",
    positions="embeddings.position_embedding.weight",
    layer="encoder.layers.{}.layer_norm1.weight",
    inner="encoder.layers.0.mlp.fc1.weight",
)
OPEN_CLIP = TextNames(
    tokens="token_embedding.weight",
    positions="positional_embedding",
    layer="transformer.resblocks.{}.ln_1.weight",
    inner="transformer.resblocks.0.mlp.c_fc.weight",
)


def text_config(shape_of: ShapeOf, names: TextNames, family: str) -> dict[str, Any]:
    """Configuration for transformers' CLIP text models."""
    size, width = _must(shape_of, names.tokens)
    num_layers = _count(shape_of, names.layer)
    projection = shape_of("text_projection")
    return {
        "vocab_size": size,
        "hidden_size": width,
        "max_position_embeddings": _must(shape_of, names.positions)[0],
        "num_hidden_layers": min(num_layers, _UNUSED_BLOCK) if family == "sd2" else num_layers,
        "intermediate_size": _must(shape_of, names.inner)[0],
        "num_attention_heads": max(1, width // _HEAD_WIDTH),
        "hidden_act": "quick_gelu" if names is OPENAI else "gelu",
        "projection_dim": projection[1] if projection else width,
        "bos_token_id": size - 2,
        "eos_token_id": size - 1,
        "pad_token_id": size - 1 if names is OPENAI else 0,
    }


def _must(shape_of: ShapeOf, name: str) -> tuple[int, ...]:
    shape = shape_of(name)
    if shape is None:
        raise BadModel(f"a part of the checkpoint lacks {name}", next_move="Download or copy it again")
    return shape


def _count(shape_of: ShapeOf, pattern: str) -> int:
    number = 0
    while shape_of(pattern.format(number)) is not None:
        number += 1
    return number


def _groups(width: int) -> int:
    return math.gcd(_NORM_GROUPS, max(1, width // 2))
