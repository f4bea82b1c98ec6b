"""A batch that never changes, so that losses after different steps can be compared.

As in DVAR (Voronov et al. 2023, arXiv 2302.04841) pictures, latents, noise, noise levels and captions are
fixed; the loss of ordinary batches swings with the drawn noise levels and shows nothing. Noise levels are
spread evenly over the schedule rather than drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from pseudoword import rng
from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.latents import Latents
from pseudoword.training.objective import add_noise, mean_squared_error, target

_AT_ONCE = 8
_SEED = 20230209
_WANTED_SAMPLES = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedBatch:
    """n samples: `latents` and `noise` [n, c, h, w], `timesteps` [n], and the words of each one's picture."""

    latents: torch.Tensor
    noise: torch.Tensor
    timesteps: torch.Tensor
    words: tuple[str, ...]


def make_fixed_batch(
    latents: Latents, words: Sequence[str], schedule: NoiseSchedule, rounds: int | None = None
) -> FixedBatch:
    """Every picture `rounds` times, each time at another noise level.

    By default about 48 samples in all; of more than 48 pictures, 48 spread over the list are taken.
    """
    if rounds is None and len(words) > _WANTED_SAMPLES:
        kept = [i * len(words) // _WANTED_SAMPLES for i in range(_WANTED_SAMPLES)]
        latents = Latents(mean=latents.mean[kept], deviation=latents.deviation[kept])
        words = [words[i] for i in kept]
    num_pictures = len(words)
    rounds = rounds or max(1, round(_WANTED_SAMPLES / num_pictures))
    total = rounds * num_pictures
    order = rng.permutation(total, _SEED, "fixed order")
    spread = (torch.tensor(order) + 0.5) / total * schedule.num_timesteps
    pictures = [number % num_pictures for number in range(total)]
    return FixedBatch(
        latents=latents.mean[torch.tensor(pictures)],
        noise=rng.normal(latents.mean.shape[1:], _SEED, "fixed noise", 0, range(total)),
        timesteps=spread.long(),
        words=tuple(words[picture] for picture in pictures),
    )


@torch.no_grad()
def fixed_loss(conditioner: Conditioner, batch: FixedBatch, caption: Callable[[str], str], words: Words) -> float:
    """Mean loss over the batch, with `caption(words of the picture)` as prompts."""
    schedule = conditioner.model.schedule
    losses: list[torch.Tensor] = []
    for start in range(0, len(batch.words), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        latents, noise, timesteps = batch.latents[part], batch.noise[part], batch.timesteps[part]
        conditioning = conditioner.encode([caption(text) for text in batch.words[part]], words)
        noisy = add_noise(latents, noise, timesteps, schedule)
        prediction = conditioner.model.predict(noisy, timesteps, conditioning).cpu()
        losses.append(mean_squared_error(prediction, target(latents, noise, timesteps, schedule)))
    return float(torch.cat(losses).mean())
