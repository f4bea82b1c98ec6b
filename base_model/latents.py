"""Stage 3: encode every picture that has a concept, in six variants, once.

Variants: on white, mirrored, two on a coloured ground, two in one of eight looks. Written per variant, so
that a killed run goes on with the next: the latents' mode in half precision, and what the caption must say
(ground and look by index). The scaling factor is one over the standard deviation of all latents, as in
Rombach et al. 2022.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from base_model.autoencoder import load_vae
from base_model.checkpoint import save_state
from base_model.looks import GROUND_COLOURS, LOOK_NAMES, LOOKS, on_ground, split_alpha
from base_model.options import option
from base_model.pictures import load_pictures
from base_model.precision import CHOICES, choose_precision
from base_model.work import Work

BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How a picture is changed, and its `share` of the denoiser's draws (of 32)."""

    mirrored: bool
    ground: bool = False
    look: bool = False
    share: int


VARIANTS = (
    Variant(mirrored=False, share=12),
    Variant(mirrored=True, share=12),
    Variant(mirrored=False, ground=True, share=2),
    Variant(mirrored=True, ground=True, share=2),
    Variant(mirrored=False, look=True, share=2),
    Variant(mirrored=True, look=True, share=2),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentsOptions:
    """Options of `latents`."""

    precision: str = option("auto", "auto measures which is faster", choices=CHOICES)
    threads: int = option(2, "threads", int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """`values` (variants, n, c, s, s) are scaled to deviation 1; `grounds` and `looks` are (variants, n)."""

    values: torch.Tensor
    grounds: torch.Tensor
    looks: torch.Tensor
    concepts: tuple[str, ...]
    styles: tuple[str, ...]


def run(work: Work, options: LatentsOptions) -> None:
    """Encode the variants that are not there yet."""
    work.facts("autoencoder")
    torch.set_num_threads(options.threads)
    encode = _encoder(work, choose_precision(options.precision))
    pictures = load_pictures(work)
    rgba = torch.from_numpy(pictures.rgba[list(pictures.learned)])
    for number, variant in enumerate(VARIANTS):
        path = _path(work, number)
        if path.is_file():
            continue
        draws = np.random.default_rng([work.recipe().seed, number])
        save_state(path, encode_variant(rgba, variant, encode, draws), {})
        print(f"variant {number + 1} of {len(VARIANTS)}: {len(rgba)} pictures")
    values = torch.stack([load_file(_path(work, number))["values"] for number in range(len(VARIANTS))]).float()
    facts = {
        "pictures": len(rgba),
        "concepts": len({pictures.concepts[index] for index in pictures.learned}),
        "scaling_factor": 1 / values.std().item(),
        "channel_deviations": [round(value, 4) for value in values.std((0, 1, 3, 4)).tolist()],
    }
    work.finish("latents", facts)


def encode_variant(
    rgba: torch.Tensor,
    variant: Variant,
    encode: Callable[[torch.Tensor], torch.Tensor],
    draws: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """Latents, grounds and looks of uint8 pictures (n, h, w, 4) in one variant."""
    count = len(rgba)
    grounds, looks = torch.zeros(count, dtype=torch.long), torch.full((count,), -1)
    if variant.ground:
        grounds = torch.from_numpy(draws.integers(1, len(GROUND_COLOURS), size=count))
    if variant.look:
        looks = torch.from_numpy(draws.integers(len(LOOKS), size=count))
    parts = [
        encode(_changed(rgba[part], grounds[part], looks[part], variant.mirrored))
        for part in torch.arange(count).split(BATCH)
    ]
    return {"values": torch.cat(parts).half(), "grounds": grounds, "looks": looks}


def _changed(rgba: torch.Tensor, grounds: torch.Tensor, looks: torch.Tensor, mirrored: bool) -> torch.Tensor:
    colour, alpha = split_alpha(rgba)
    picture = on_ground(colour, alpha, grounds)
    for index, look in enumerate(looks.tolist()):
        one = slice(index, index + 1)
        if look >= 0:
            picture[one] = LOOKS[LOOK_NAMES[look]](picture[one], alpha[one])
    picture = 2 * picture - 1
    return (picture.flip(-1) if mirrored else picture).contiguous()


def _encoder(work: Work, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    vae: Any = load_vae(work)

    @torch.no_grad()
    def encode(picture: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            return vae.encode(picture).latent_dist.mode().float()

    return encode


def load_latents(work: Work) -> Latents:
    """What the stage left, scaled."""
    scale = work.facts("latents")["scaling_factor"]
    pictures = load_pictures(work)
    variants = [load_file(_path(work, number)) for number in range(len(VARIANTS))]
    return Latents(
        values=torch.stack([variant["values"].float() for variant in variants]) * scale,
        grounds=torch.stack([variant["grounds"] for variant in variants]),
        looks=torch.stack([variant["looks"] for variant in variants]),
        concepts=tuple(concept for concept in pictures.concepts if concept),
        styles=tuple(pictures.styles[index] for index in pictures.learned),
    )


def _path(work: Work, number: int) -> Path:
    return work.folder("latents") / f"variant-{number}.safetensors"
