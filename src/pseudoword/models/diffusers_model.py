"""A base model made of diffusers' and transformers' parts, all frozen.

Nothing here has a gradient of its own: `requires_grad` is off everywhere, so a backward pass computes input
gradients only and ends at the UNet's first cross-attention.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pseudoword.families import Family
from pseudoword.models.attention import MAX_PLAIN_TOKENS, TiledProcessor
from pseudoword.models.protocols import Conditioning, ModelHashes, NoiseSchedule, TextEncoder


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusersModel:
    """The one implementation of `protocols.BaseModel`."""

    name: str
    hashes: ModelHashes
    source: str
    family: Family
    encoders: tuple[TextEncoder, ...]
    unet: Any
    vae: Any
    schedule: NoiseSchedule
    scheduler_config: Mapping[str, Any]
    device: torch.device
    dtype: torch.dtype
    zeros_for_empty: bool
    masked: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict[tuple[int, int], torch.Tensor], repr=False)
    """Remembered by `_all_masked`, by latent size."""

    @property
    def hash(self) -> str:
        """Ten digits."""
        return self.hashes.new

    @property
    def resolution(self) -> int:
        """Edge in pixels of the pictures that the UNet's configuration names."""
        size = self.unet.config.sample_size
        return (size if isinstance(size, int) else size[0]) * self.downscale

    @property
    def latent_channels(self) -> int:
        """Channels of the autoencoder's latents."""
        return self.vae.config.latent_channels

    @property
    def downscale(self) -> int:
        """Pixels per latent: the autoencoder halves once per block but the last."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def takes_mask(self) -> bool:
        """Inpainting UNets take one channel of mask and the masked picture's latents beside the noisy ones."""
        return self.unet.config.in_channels == 2 * self.latent_channels + 1

    @property
    def size_multiple(self) -> int:
        """Pixels: the autoencoder's factor times one halving for each level of the UNet but the last."""
        return self.downscale * 2 ** (len(self.unet.config.block_out_channels) - 1)

    def widths(self) -> dict[str, int]:
        """Slot to token-embedding width."""
        return {encoder.slot: encoder.width for encoder in self.encoders}

    def predict(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: Conditioning,
        concat: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `protocols.BaseModel.predict`."""
        extra: dict[str, Any] = {}
        if conditioning.pooled is not None:
            height, width = (edge * self.downscale for edge in latents.shape[-2:])
            sizes = torch.tensor([[height, width, 0, 0, height, width]], device=self.device, dtype=self.dtype)
            extra["added_cond_kwargs"] = {
                "text_embeds": conditioning.pooled.to(self.dtype),
                "time_ids": sizes.expand(len(latents), -1),
            }
        if self.takes_mask:
            shown = self._all_masked(latents.shape[-2:]) if concat is None else concat
            latents = torch.cat([latents, shown.to(latents).expand(len(latents), -1, -1, -1)], dim=1)
        if self.device.type == "cpu":
            latents = latents.contiguous(memory_format=torch.channels_last)
        output = self.unet(
            latents.to(self.device, self.dtype),
            timesteps.to(self.device),
            conditioning.hidden.to(self.dtype),
            return_dict=False,
            **extra,
        )[0]
        return output.float()

    @torch.no_grad()
    def encode_pictures(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """See `protocols.BaseModel.encode_pictures`."""
        posterior = self.vae.encode(pixels.to(self.device, torch.float32)).latent_dist
        shift, scale = self._shift(), self.vae.config.scaling_factor
        return (posterior.mean - shift) * scale, posterior.std * scale

    @torch.no_grad()
    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """See `protocols.BaseModel.decode_latents`."""
        unscaled = latents.to(self.device, torch.float32) / self.vae.config.scaling_factor + self._shift()
        return self.vae.decode(unscaled, return_dict=False)[0]

    def _all_masked(self, size: torch.Size) -> torch.Tensor:
        """What A1111 shows in txt2img, [1, 1 + c, h, w]: a mask of ones and the latents of an even grey."""
        height, width = size
        if (height, width) not in self.masked:
            grey = torch.zeros(1, 3, height * self.downscale, width * self.downscale)
            mean = self.encode_pictures(grey)[0]
            self.masked[height, width] = torch.cat([torch.ones_like(mean[:, :1]), mean], dim=1)
        return self.masked[height, width]

    def _shift(self) -> float:
        return getattr(self.vae.config, "shift_factor", None) or 0.0


def freeze(modules: Iterable[Any]) -> None:
    """Switch gradients and training behaviour off, in place."""
    for module in modules:
        module.requires_grad_(False).eval()


def tune_unet(unet: Any, device: torch.device) -> None:
    """Lay the network out for speed on this device, in place; its mathematics do not change."""
    if device.type != "cpu":
        return
    from diffusers.models.attention_processor import AttnProcessor

    if _most_attention_tokens(unet.config) <= MAX_PLAIN_TOKENS:
        unet.set_attn_processor(AttnProcessor())
    elif unet.dtype != torch.float32:
        unet.set_attn_processor(TiledProcessor())
    unet.to(memory_format=torch.channels_last)


def _most_attention_tokens(config: Any) -> int:
    size = config.sample_size if isinstance(config.sample_size, int) else max(config.sample_size)
    kinds = config.down_block_types
    first = next((level for level, kind in enumerate(kinds) if "CrossAttn" in kind), len(kinds) - 1)
    return (size // 2**first) ** 2
