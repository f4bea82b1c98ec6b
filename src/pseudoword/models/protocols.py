"""What the other rooms may ask of a base model.

Shapes: b pictures, c latent channels, h × w latent size, k chunks of 77 tokens, d the width that the UNet's
cross-attention takes (the sum over text encoders for SDXL), p the pooled width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from pseudoword.families import Family


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What the UNet is told: `hidden` [b, 77·k, d] and, for SDXL, `pooled` [b, p]."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None

    def select(self, indices: Sequence[int]) -> Conditioning:
        """Rows of the batch by index, repeats allowed; gradients flow."""
        index = torch.tensor(list(indices), device=self.hidden.device)
        pooled = None if self.pooled is None else self.pooled.index_select(0, index)
        return Conditioning(self.hidden.index_select(0, index), pooled)

    def zeroed(self, row: int) -> Conditioning:
        """The same with zeros for one picture."""
        keep = torch.ones(len(self.hidden), device=self.hidden.device, dtype=self.hidden.dtype)
        keep[row] = 0
        pooled = None if self.pooled is None else self.pooled * keep[:, None]
        return Conditioning(self.hidden * keep[:, None, None], pooled)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEncoder:
    """A frozen CLIP text encoder with its tokenizer and the way its family uses it."""

    slot: str
    module: torch.nn.Module
    tokenizer: Any
    width: int
    vocabulary_size: int
    num_positions: int
    penultimate: bool
    """SDXL takes the last but one hidden state without the final norm; the others take the last with it."""
    pools: bool
    """Whether the family feeds this encoder's projected pooled vector to the UNet (SDXL's second encoder)."""

    @property
    def skips(self) -> bool:
        """Whether clip skip means something: for SD1's encoder alone (reference a1111.md §2.5)."""
        return self.slot == "clip_l" and not self.penultimate


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseSchedule:
    """`alphas_cumprod` [T] in float32 on the CPU, and what the UNet predicts: `epsilon` or `v_prediction`."""

    alphas_cumprod: torch.Tensor
    prediction_type: str

    @property
    def num_timesteps(self) -> int:
        """T, 1000 in all published families."""
        return len(self.alphas_cumprod)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelHashes:
    """What infotexts tell models apart by."""

    sha256: str
    """Of a file: of its whole content; of a folder: over its weight files' digests in the order of their paths."""
    old: str = ""
    """Eight digits: A1111's first rule, over 64 KiB of the file from its second MiB on; empty for a folder."""
    vae: str = ""
    """Ten digits of the autoencoder's sha256, where it is not the model's own."""
    vae_name: str = ""
    """File name of the autoencoder, where it is not the model's own."""

    @property
    def new(self) -> str:
        """Ten digits, A1111's rule since January 2023."""
        return self.sha256[:10]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a model's files hold, read and on the CPU, before it is decided how it is run."""

    name: str
    path: Path
    encoders: tuple[TextEncoder, ...]
    unet: Any
    vae: Any
    """None where the files have no autoencoder."""
    scheduler_config: Mapping[str, Any]
    """diffusers' keys; its `prediction_type` is `unknown` where the files do not say."""
    zeros_for_empty: bool
    hashes: ModelHashes
    epsilon_size: int | None = None
    """Latent edge to take instead of the UNet's own if it turns out to predict epsilon (SD2's two sizes)."""


class BaseModel(Protocol):
    """A frozen text-to-image latent diffusion model."""

    @property
    def name(self) -> str:
        """The word that infotexts show."""
        ...

    @property
    def hash(self) -> str:
        """First ten hex digits of the model's sha256 (for a folder: over its weight files' digests)."""
        ...

    @property
    def hashes(self) -> ModelHashes:
        """Both kinds of A1111's model hash, and the autoencoder's where another one was given."""
        ...

    @property
    def source(self) -> str:
        """What the user gave to load it."""
        ...

    @property
    def family(self) -> Family: ...

    @property
    def encoders(self) -> tuple[TextEncoder, ...]: ...

    @property
    def schedule(self) -> NoiseSchedule: ...

    @property
    def scheduler_config(self) -> Mapping[str, Any]:
        """The model's own scheduler settings, for the samplers."""
        ...

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype:
        """Of UNet and text encoders; the autoencoder works in float32."""
        ...

    @property
    def zeros_for_empty(self) -> bool:
        """Whether an empty negative prompt means zeros, as SDXL's pipelines have it, and not its encoding."""
        ...

    @property
    def resolution(self) -> int:
        """Edge in pixels of the pictures that it draws when nothing else is said."""
        ...

    @property
    def latent_channels(self) -> int: ...

    @property
    def downscale(self) -> int:
        """Pixels per latent, 8 in all published families."""
        ...

    @property
    def takes_mask(self) -> bool:
        """Whether it is an inpainting model, whose UNet is also shown a mask and the masked picture."""
        ...

    @property
    def size_multiple(self) -> int:
        """What the edges of a picture must be divisible by, in pixels: the UNet halves latents several times."""
        ...

    def widths(self) -> dict[str, int]:
        """Slot to token-embedding width, in the order of the text encoders."""
        ...

    def predict(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        conditioning: Conditioning,
        concat: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The UNet's prediction for `latents` [b, c, h, w] at `timesteps` [b], in float32.

        Timesteps count from 0 and may be fractions: samplers ask for noise levels between the trained ones.

        `concat` [b, 1 + c, h, w] is for inpainting models only: the mask (1 is drawn anew) and the latents of
        the picture with the masked part grey. Without it such a model is told that everything is masked.
        """
        ...

    def encode_pictures(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation [b, c, h, w] of the scaled latents of `pixels` [b, 3, H, W] in -1 … 1."""
        ...

    def decode_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Pixels [b, 3, H, W] in -1 … 1 for scaled `latents` [b, c, h, w]."""
        ...
