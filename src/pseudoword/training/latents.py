"""Pictures encoded once, kept as mean and deviation so that every step can still draw a fresh sample."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from pseudoword.events import Event, Progress
from pseudoword.models.protocols import BaseModel
from pseudoword.training.pictures import Picture

_ENCODE_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """`mean` and `deviation` [n, c, h, w] in float32 on the CPU, scaled as the UNet wants them."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def sample(self, indices: Sequence[int], noise: torch.Tensor) -> torch.Tensor:
        """mean + deviation · noise for the pictures `indices`; `noise` is [len(indices), c, h, w]."""
        index = torch.tensor(list(indices))
        return self.mean[index] + self.deviation[index] * noise


def encode_latents(model: BaseModel, pictures: Sequence[Picture], label: str) -> Iterator[Event | Latents]:
    """Yield `Progress` and, last, the latents, in the pictures' order."""
    means: list[torch.Tensor] = []
    deviations: list[torch.Tensor] = []
    for start in range(0, len(pictures), _ENCODE_AT_ONCE):
        group = pictures[start : start + _ENCODE_AT_ONCE]
        mean, deviation = model.encode_pictures(torch.stack([picture.pixels for picture in group]))
        means.append(mean.float().cpu())
        deviations.append(deviation.float().cpu())
        yield Progress(label=label, done=start + len(group), total=len(pictures))
    yield Latents(mean=torch.cat(means), deviation=torch.cat(deviations))
