"""A batch that never changes, so that losses after different steps can be compared.

As in DVAR (Voronov et al. 2023, arXiv 2302.04841) pictures, latents, noise, noise levels and captions are
fixed; the loss of ordinary batches swings with the drawn noise levels and shows nothing. Noise levels are
spread evenly over the schedule rather than drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from pseudoword import rng
from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.latents import Latents
from pseudoword.training.objective import add_noise, mean_squared_error, target

_AT_ONCE = 8
_SEED = 20230209
DECIDING, BESIDE = 24, 12
"""Samples of a batch that decides, and of one that is only shown beside it: together they cost some three steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedBatch:
    """n samples: `latents` and `noise`, each [c, h, w], `timesteps` [n], and the words of each one's picture.

    The words may be whole captions, where it is known what they are going to be.
    """

    latents: tuple[torch.Tensor, ...]
    noise: tuple[torch.Tensor, ...]
    timesteps: torch.Tensor
    words: tuple[str, ...]

    def parts(self) -> Iterator[slice]:
        """Neighbours of one size, a few at a time."""
        start = 0
        for end in range(1, len(self.words) + 1):
            at_end = end == len(self.words) or self.latents[end].shape != self.latents[start].shape
            if at_end or end - start == _AT_ONCE:
                yield slice(start, end)
                start = end


def make_fixed_batch(
    latents: Latents, words: Sequence[str], schedule: NoiseSchedule, rounds: int | None = None, wanted: int = DECIDING
) -> FixedBatch:
    """Every picture `rounds` times, each time at another noise level.

    By default about `wanted` samples in all; of more pictures, so many spread over the list are taken.
    """
    if rounds is None and len(words) > wanted:
        kept = [i * len(words) // wanted for i in range(wanted)]
        latents = latents.subset(kept)
        words = [words[i] for i in kept]
    num_pictures = len(words)
    rounds = rounds or max(1, round(wanted / num_pictures))
    total = rounds * num_pictures
    order = rng.permutation(total, _SEED, "fixed order")
    spread = (torch.tensor(order) + 0.5) / total * schedule.num_timesteps
    pictures = [number % num_pictures for number in range(total)]
    means = [latents.mean[picture] for picture in pictures]
    return FixedBatch(
        latents=tuple(means),
        noise=tuple(rng.normal(mean.shape, _SEED, "fixed noise", 0, [k])[0] for k, mean in enumerate(means)),
        timesteps=spread.long(),
        words=tuple(words[picture] for picture in pictures),
    )


@torch.no_grad()
def fixed_loss(conditioner: Conditioner, batch: FixedBatch, caption: Callable[[str], str], words: Words) -> float:
    """Mean loss over the batch, with `caption(words of the picture)` as prompts."""
    schedule = conditioner.model.schedule
    losses: list[torch.Tensor] = []
    for part in batch.parts():
        latents, noise = torch.stack(batch.latents[part]), torch.stack(batch.noise[part])
        timesteps = batch.timesteps[part]
        conditioning = conditioner.encode([caption(text) for text in batch.words[part]], words)
        noisy = add_noise(latents, noise, timesteps, schedule)
        prediction = conditioner.model.predict(noisy, timesteps, conditioning).cpu()
        losses.append(mean_squared_error(prediction, target(latents, noise, timesteps, schedule)))
    return float(torch.cat(losses).mean())
