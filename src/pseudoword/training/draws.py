"""What each sample of each step is made of: picture, caption, noise level, noise. Everything keyed, nothing stored.

Sample i of optimiser step s is the same whatever the split into passes or processes, and after any
interruption (rng.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch

from pseudoword import rng
from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.captions import Templates, rearranged, tags_of
from pseudoword.training.latents import Latents

_SHARES = 1 << 20
_RUN = 4
"""Pictures of one size that follow each other, where there are several sizes, so that most passes have one."""


@dataclass(frozen=True, slots=True)
class Calling:
    """How captions call a picture's word: the lines, and what stands for `[name]` in them."""

    templates: Templates
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The pictures as latents, what is said about each, and the templates that make captions of them."""

    latents: Latents
    words: tuple[str, ...]
    templates: Templates
    name: str
    """What stands for `[name]`: the word, with its class noun if it has one."""
    repeats: tuple[int, ...] = ()
    """How often each picture comes in an epoch; empty: once."""
    weights: tuple[float, ...] = ()
    """What each picture's loss is multiplied by; empty: 1."""
    masks: tuple[torch.Tensor | None, ...] = ()
    """Weights of places, each as large as the picture's latents; empty: none."""
    shuffle_tags: bool = False
    drop_tags: float = 0.0
    """Share of a caption's tags that is left out."""
    callings: tuple[Calling, ...] = ()
    """Of each picture, where a run has several words; empty: `templates` and `name` for all."""
    groups: tuple[tuple[int, ...], ...] = field(init=False)
    """Numbers of the pictures of each size, repeats among them."""

    def __post_init__(self) -> None:
        by_size: dict[torch.Size, list[int]] = {}
        for i, mean in enumerate(self.latents.mean):
            by_size.setdefault(mean.shape, []).extend([i] * (self.repeats[i] if self.repeats else 1))
        object.__setattr__(self, "groups", tuple(tuple(group) for group in by_size.values()))

    def calling(self, picture: int) -> Calling:
        """How this picture's captions call its word."""
        return self.callings[picture] if self.callings else Calling(self.templates, self.name)

    def __len__(self) -> int:
        """Pictures of one epoch."""
        return sum(len(group) for group in self.groups)


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
    """Samples of one size: `latents` and `noise` [b, c, h, w], `timesteps` and `weights` [b], one caption each."""

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    captions: tuple[str, ...]
    weights: torch.Tensor
    masks: torch.Tensor | None = None
    """[b, 1, h, w], where any picture of the pass has one."""


def draw_groups(
    data: TrainingData, schedule: NoiseSchedule, how: Drawing, step: int, samples: Sequence[int]
) -> list[Samples]:
    """The `samples` of optimiser step `step`, those of one size together."""
    by_size: dict[torch.Size, list[int]] = {}
    for sample in samples:
        picture = picture_of(data, step * how.per_step + sample, how.seed)
        by_size.setdefault(data.latents.mean[picture].shape, []).append(sample)
    return [draw_samples(data, schedule, how, step, own) for own in by_size.values()]


def draw_samples(
    data: TrainingData, schedule: NoiseSchedule, how: Drawing, step: int, samples: Sequence[int]
) -> Samples:
    """The `samples` (numbers below `how.per_step`, pictures of one size) of step `step`, which counts from 0."""
    pictures = [picture_of(data, step * how.per_step + sample, how.seed) for sample in samples]
    span = (schedule.num_timesteps if how.end is None else how.end) - how.lowest
    timesteps = rng.integers(span, how.seed, "timestep", step, samples)
    latents = _latents(data, how, pictures, step, samples)
    return Samples(
        latents=latents,
        noise=_noise(latents.shape[1:], how, step, samples),
        timesteps=torch.tensor(timesteps) + how.lowest,
        captions=tuple(
            caption_of(data, picture, how.seed, step, sample) for picture, sample in zip(pictures, samples, strict=True)
        ),
        weights=torch.tensor([data.weights[i] if data.weights else 1.0 for i in pictures]),
        masks=_masks(data, pictures, latents.shape[-2:]),
    )


def _latents(
    data: TrainingData, how: Drawing, pictures: Sequence[int], step: int, samples: Sequence[int]
) -> torch.Tensor:
    means = [data.latents.mean[i] for i in pictures]
    if how.latent_sampling == "deterministic":
        return torch.stack(means)
    if how.latent_sampling == "once":
        noise = rng.normal(means[0].shape, how.seed, "latent once", 0, pictures)
    else:
        noise = rng.normal(means[0].shape, how.seed, "latent", step, samples)
    return torch.stack([data.latents.sample(i, own) for i, own in zip(pictures, noise, strict=True)])


def _noise(shape: Sequence[int], how: Drawing, step: int, samples: Sequence[int]) -> torch.Tensor:
    """Standard normal, plus a share that is the same all over each channel, so that brightness is learned too."""
    noise = rng.normal(shape, how.seed, "noise", step, samples)
    if how.offset_noise:
        noise = noise + how.offset_noise * rng.normal((shape[0], 1, 1), how.seed, "offset", step, samples)
    return noise


def _masks(data: TrainingData, pictures: Sequence[int], size: torch.Size) -> torch.Tensor | None:
    own = [data.masks[i] if data.masks else None for i in pictures]
    if all(mask is None for mask in own):
        return None
    return torch.stack([torch.ones(size) if mask is None else mask for mask in own]).unsqueeze(1)


def picture_of(data: TrainingData, number: int, seed: int) -> int:
    """The picture of the `number`-th sample of the whole run: every epoch is a fresh permutation."""
    epoch, place = divmod(number, len(data))
    return _order(data.groups, seed, epoch)[place]


@lru_cache(maxsize=4)
def _order(groups: tuple[tuple[int, ...], ...], seed: int, epoch: int) -> list[int]:
    """Every picture of every size once, in runs of one size where there are several."""
    if len(groups) == 1:
        return [groups[0][i] for i in rng.permutation(len(groups[0]), seed, "order", epoch)]
    runs: list[list[int]] = []
    for number, group in enumerate(groups):
        shuffled = [group[i] for i in rng.permutation(len(group), seed, f"order of size {number}", epoch)]
        runs += [shuffled[start : start + _RUN] for start in range(0, len(shuffled), _RUN)]
    return [picture for i in rng.permutation(len(runs), seed, "order of runs", epoch) for picture in runs[i]]


def caption_of(data: TrainingData, picture: int, seed: int, step: int, sample: int) -> str:
    """The caption of a picture as sample `sample` of step `step`."""
    words = data.words[picture]
    calling = data.calling(picture)
    lines = calling.templates.lines_for(words)
    line = lines[rng.integers(len(lines), seed, "template", step, [sample])[0]]
    return calling.templates.fill(line, _tags(data, words, seed, step, sample), calling.name)


def _tags(data: TrainingData, words: str, seed: int, step: int, sample: int) -> str:
    count = len(tags_of(words))
    if count < 2 or not (data.shuffle_tags or data.drop_tags):
        return words
    order = rng.permutation(count, seed, f"tag order {sample}", step) if data.shuffle_tags else range(count)
    draws = rng.integers(_SHARES, seed, f"dropped tags {sample}", step, range(count))
    return rearranged(words, order, [draw >= data.drop_tags * _SHARES for draw in draws])
