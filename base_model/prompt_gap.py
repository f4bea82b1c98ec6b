"""Does the model understand words? The denoising loss under the right prompt and under wrong ones.

Watch this table while training, not the mean loss: a model that ignores its prompt has four equal columns.
Same pictures, noise and time steps in every column.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from base_model.captions import words
from base_model.latents import Latents
from base_model.objective import alphas_cumprod, noised_and_target

TIMESTEPS = (200, 500, 700, 900)
NUM_PICTURES = 128
BATCH = 32

Denoise = Callable[[torch.Tensor, torch.Tensor, Sequence[str]], torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRow:
    """v-loss at one time step under each kind of prompt."""

    timestep: int
    right: float
    wrong_concept: float
    wrong_style: float
    empty: float


def prompt_gap(denoise: Denoise, latents: Latents, seed: int) -> list[GapRow]:
    """The table; `denoise(noised, timesteps, prompts)` predicts v."""
    draws = np.random.default_rng([seed, NUM_PICTURES])
    picked = draws.permutation(len(latents.concepts))[:NUM_PICTURES].tolist()
    values = latents.values[0, picked]
    noise = torch.from_numpy(draws.standard_normal(values.shape, dtype=np.float32))
    prompts = prompts_of([latents.concepts[n] for n in picked], [latents.styles[n] for n in picked])
    return [
        GapRow(timestep=at, **{kind: _loss(denoise, values, noise, at, texts) for kind, texts in prompts.items()})
        for at in TIMESTEPS
    ]


def prompts_of(concepts: Sequence[str], styles: Sequence[str]) -> dict[str, list[str]]:
    """The four kinds of prompt for each picture; a wrong word is the next picture's that differs."""
    other_concepts, other_styles = _next_that_differs(concepts), _next_that_differs(styles)

    def written(things: Sequence[str], looks: Sequence[str]) -> list[str]:
        return [f"{words(thing)}, {look} style" for thing, look in zip(things, looks, strict=True)]

    return {
        "right": written(concepts, styles),
        "wrong_concept": written(other_concepts, styles),
        "wrong_style": written(concepts, other_styles),
        "empty": [""] * len(concepts),
    }


def _next_that_differs(values: Sequence[str]) -> list[str]:
    return [
        next((other for other in (*values[index:], *values[:index]) if other != value), value)
        for index, value in enumerate(values)
    ]


@torch.no_grad()
def _loss(denoise: Denoise, values: torch.Tensor, noise: torch.Tensor, at: int, prompts: Sequence[str]) -> float:
    steps = torch.full((len(values),), at)
    noised, target = noised_and_target(values, noise, steps, alphas_cumprod())
    errors = [
        (denoise(noised[part], steps[part], [str(prompts[n]) for n in part.tolist()]) - target[part]).square()
        for part in torch.arange(len(values)).split(BATCH)
    ]
    return torch.cat(errors).mean().item()
