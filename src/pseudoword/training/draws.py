"""What each sample of each step is made of: picture, caption, noise level, noise. Everything keyed, nothing stored.

Sample i of optimiser step s is the same whatever the split into passes or processes, and after any
interruption (rng.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from pseudoword import rng
from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.captions import Templates
from pseudoword.training.latents import Latents


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The pictures as latents, the words of each, and the templates that make captions of them."""

    latents: Latents
    words: tuple[str, ...]
    templates: Templates
    name: str

    def __len__(self) -> int:
        return len(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """How a run draws, the same for all its steps."""

    seed: int
    per_step: int
    """Samples of one optimiser step, over all passes and processes."""
    lowest: int = 0
    """Timesteps are drawn from here …"""
    end: int | None = None
    """… to below here; None: to the noisiest."""
    offset_noise: float = 0.0
    latent_sampling: str = "random"
    """`random`: a fresh sample of the latents' distribution at each use; `once`: one for each picture;
    `deterministic`: its mean (A1111's three ways)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One pass: `latents` and `noise` [b, c, h, w], `timesteps` [b], one caption each."""

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    captions: tuple[str, ...]


def draw_samples(
    data: TrainingData, schedule: NoiseSchedule, how: Drawing, step: int, samples: Sequence[int]
) -> Samples:
    """The `samples` (numbers below `how.per_step`) of optimiser step `step`, which counts from 0."""
    pictures = [picture_of(step * how.per_step + sample, len(data), how.seed) for sample in samples]
    span = (schedule.num_timesteps if how.end is None else how.end) - how.lowest
    timesteps = rng.integers(span, how.seed, "timestep", step, samples)
    return Samples(
        latents=_latents(data, how, pictures, step, samples),
        noise=_noise(data.latents.mean.shape[1:], how, step, samples),
        timesteps=torch.tensor(timesteps) + how.lowest,
        captions=tuple(
            _caption(data, picture, how.seed, step, sample) for picture, sample in zip(pictures, samples, strict=True)
        ),
    )


def _latents(
    data: TrainingData, how: Drawing, pictures: Sequence[int], step: int, samples: Sequence[int]
) -> torch.Tensor:
    shape = data.latents.mean.shape[1:]
    if how.latent_sampling == "deterministic":
        return data.latents.mean[torch.tensor(pictures)]
    if how.latent_sampling == "once":
        return data.latents.sample(pictures, rng.normal(shape, how.seed, "latent once", 0, pictures))
    return data.latents.sample(pictures, rng.normal(shape, how.seed, "latent", step, samples))


def _noise(shape: Sequence[int], how: Drawing, step: int, samples: Sequence[int]) -> torch.Tensor:
    """Standard normal, plus a share that is the same all over each channel, so that brightness is learned too."""
    noise = rng.normal(shape, how.seed, "noise", step, samples)
    if how.offset_noise:
        noise = noise + how.offset_noise * rng.normal((shape[0], 1, 1), how.seed, "offset", step, samples)
    return noise


def picture_of(number: int, num_pictures: int, seed: int) -> int:
    """The picture of the `number`-th sample of the whole run: every epoch is a fresh permutation."""
    epoch, place = divmod(number, num_pictures)
    return _order(num_pictures, seed, epoch)[place]


@lru_cache(maxsize=4)
def _order(num_pictures: int, seed: int, epoch: int) -> list[int]:
    return rng.permutation(num_pictures, seed, "order", epoch)


def _caption(data: TrainingData, picture: int, seed: int, step: int, sample: int) -> str:
    words = data.words[picture]
    lines = data.templates.lines_for(words)
    line = lines[rng.integers(len(lines), seed, "template", step, [sample])[0]]
    return data.templates.fill(line, words, data.name)
