"""The networks' shapes, as a table, and the functions that build them with seeded weights.

`full` is the bundled model; `tiny` has the same structure (four-level autoencoder, three-level UNet with
cross-attention on the two lower levels) and serves the smoke test. diffusers and transformers are imported
when a network is built, so that reading the table costs nothing.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel

TEXT_LENGTH = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """Widths and depths; the latent is `pixels // 8` wide. `vocabulary` is the tokenizer's largest size."""

    pixels: int
    latent_channels: int
    vae_channels: tuple[int, int, int, int]
    vae_groups: int
    unet_channels: tuple[int, int, int]
    unet_heads: tuple[int, int, int]
    unet_groups: int
    text_width: int
    text_layers: int
    text_heads: int
    vocabulary: int


SIZES = {
    "full": ModelSize(
        pixels=128,
        latent_channels=8,
        vae_channels=(16, 48, 96, 192),
        vae_groups=8,
        unet_channels=(64, 160, 256),
        unet_heads=(2, 5, 8),
        unet_groups=32,
        text_width=256,
        text_layers=4,
        text_heads=4,
        vocabulary=4316,
    ),
    "tiny": ModelSize(
        pixels=64,
        latent_channels=4,
        vae_channels=(8, 16, 16, 32),
        vae_groups=4,
        unet_channels=(16, 32, 32),
        unet_heads=(1, 2, 2),
        unet_groups=8,
        text_width=32,
        text_layers=2,
        text_heads=2,
        vocabulary=1000,
    ),
}


def build_vae(size: ModelSize, seed: int = 0) -> "AutoencoderKL":
    """An AutoencoderKL that makes the picture eight times smaller; weights drawn from `seed`."""
    import torch
    from diffusers import AutoencoderKL

    blocks: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": size.vae_channels,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoencoderKL(
            **blocks,
            layers_per_block=1,
            latent_channels=size.latent_channels,
            norm_num_groups=size.vae_groups,
            sample_size=size.pixels,
            mid_block_add_attention=False,
        )


def build_unet(size: ModelSize, seed: int = 0) -> "UNet2DConditionModel":
    """A UNet with plain attention: for 256 positions and fewer the fused one is slower on a processor."""
    import torch
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    blocks: dict[str, Any] = {
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": size.unet_channels,
        "attention_head_dim": size.unet_heads,  # diffusers' name for the number of heads
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel(
            **blocks,
            sample_size=size.pixels // 8,
            in_channels=size.latent_channels,
            out_channels=size.latent_channels,
            layers_per_block=1,
            cross_attention_dim=size.text_width,
            norm_num_groups=size.unet_groups,
        )
    unet.set_attn_processor(AttnProcessor())
    return unet


def build_text_encoder(size: ModelSize, vocabulary: int, seed: int = 0) -> "CLIPTextModel":
    """A CLIP text encoder whose last two ids are the begin and the end (also padding) of a text."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        projection_dim=size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=size.text_heads,
        max_position_embeddings=TEXT_LENGTH,
        hidden_act="quick_gelu",
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPTextModel(config)
