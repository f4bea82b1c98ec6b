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
class Samples:
    """One pass: `latents` and `noise` [b, c, h, w], `timesteps` [b], one caption each."""

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    captions: tuple[str, ...]


def draw_samples(
    data: TrainingData,
    schedule: NoiseSchedule,
    *,
    seed: int,
    step: int,
    per_step: int,
    samples: Sequence[int],
) -> Samples:
    """The `samples` (numbers below `per_step`) of optimiser step `step`, which counts from 0."""
    shape = data.latents.mean.shape[1:]
    pictures = [picture_of(step * per_step + sample, len(data), seed) for sample in samples]
    timesteps = rng.integers(schedule.num_timesteps, seed, "timestep", step, samples)
    return Samples(
        latents=data.latents.sample(pictures, rng.normal(shape, seed, "latent", step, samples)),
        noise=rng.normal(shape, seed, "noise", step, samples),
        timesteps=torch.tensor(timesteps),
        captions=tuple(
            _caption(data, picture, seed, step, sample) for picture, sample in zip(pictures, samples, strict=True)
        ),
    )


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
