"""The noise of every picture from its own seed, so that a batch has bit for bit the noise of single runs.

Order of draws as A1111 (reference a1111.md §3.3): first noise, then what the sampler adds, from one stream.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch

from pseudoword.generation.sampling.step import Noise
from pseudoword.rng import CPU, BrownianPath, NormalStream, picture_stream

Shape = tuple[int, int, int]
"""Channels, height and width of one picture's latents."""
_ALIKE = 0.9995
"""Mean cosine above which two noises are mixed along a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """Where the noise of the pictures of one batch comes from."""

    pictures: tuple[int, ...]
    variations: tuple[int, ...] = ()
    """One a picture where `strength` is above 0."""
    strength: float = 0.0
    source: str = CPU
    resize_from: tuple[int, int] | None = None
    """Latent height and width of the picture whose composition is to be kept."""
    delta: int = 0
    """ENSD: after the first noise the streams begin anew with seed + delta."""

    def single(self) -> Iterator["Seeds"]:
        """The same for each picture alone."""
        for number, seed in enumerate(self.pictures):
            yield replace(self, pictures=(seed,), variations=self.variations[number : number + 1])


@dataclass(slots=True)
class NoiseState:
    """The streams of one batch; `first` once, then `between` for every step that adds noise."""

    seeds: Seeds
    shape: Shape
    device: torch.device
    _streams: list[NormalStream] = field(default_factory=list[NormalStream])

    def first(self) -> torch.Tensor:
        """[b, c, h, w], standard normal."""
        self._streams = [picture_stream(seed, self.seeds.source) for seed in self.seeds.pictures]
        drawn = [self._first(number) for number in range(len(self.seeds.pictures))]
        if self.seeds.delta:
            self._streams = [picture_stream(seed + self.seeds.delta, self.seeds.source) for seed in self.seeds.pictures]
        return torch.stack(drawn).to(self.device)

    def between(self, sigma: float, sigma_next: float) -> torch.Tensor:
        """The next draws of every picture's stream, whatever the levels."""
        del sigma, sigma_next
        return torch.stack([stream.normal(self.shape) for stream in self._streams]).to(self.device)

    def brownian(self, sigmas: Sequence[float]) -> Noise:
        """Noise from one Brownian path a picture, over the range of these levels."""
        low = min(sigma for sigma in sigmas if sigma > 0)
        paths = [BrownianPath(seed, self.shape, low, max(sigmas)) for seed in self.seeds.pictures]
        return lambda start, end: torch.stack([path.normal(start, end) for path in paths]).to(self.device)

    def _first(self, number: int) -> torch.Tensor:
        seeds, stream = self.seeds, self._streams[number]
        if seeds.resize_from is None or seeds.resize_from == self.shape[1:]:
            return self._varied(stream.normal(self.shape), number)
        small = (self.shape[0], *seeds.resize_from)
        kept = self._varied(picture_stream(seeds.pictures[number], seeds.source).normal(small), number)
        return pasted(kept, stream.normal(self.shape))

    def _varied(self, noise: torch.Tensor, number: int) -> torch.Tensor:
        if self.seeds.strength == 0:
            return noise
        other = picture_stream(self.seeds.variations[number], self.seeds.source).normal(noise.shape)
        return slerp(self.seeds.strength, noise, other)


def slerp(strength: float, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """From `one` at 0 to `other` at 1 along arcs, [c, h, w] each; an arc for every column of every channel.

    Shoemake 1985, "Animating rotation with quaternion curves". Where both are alike a line does.
    """
    cosine = torch.nn.functional.cosine_similarity(one, other, dim=1, eps=1e-12)
    if cosine.mean() > _ALIKE:
        return one * (1 - strength) + other * strength
    angle = torch.acos(cosine.clamp(-1, 1))
    weights = (torch.sin((1 - strength) * angle) / torch.sin(angle), torch.sin(strength * angle) / torch.sin(angle))
    return weights[0].unsqueeze(1) * one + weights[1].unsqueeze(1) * other


def pasted(small: torch.Tensor, large: torch.Tensor) -> torch.Tensor:
    """`large` with the middle of `small` in its middle; both [c, h, w], either may be the larger one."""
    result = large.clone()
    spans: list[tuple[slice, slice]] = []
    for own, whole in zip(small.shape[1:], large.shape[1:], strict=True):
        start = (whole - own) // 2
        length = own if start >= 0 else own + 2 * start
        spans.append((slice(max(start, 0), max(start, 0) + length), slice(max(-start, 0), max(-start, 0) + length)))
    (rows, own_rows), (columns, own_columns) = spans
    result[:, rows, columns] = small[:, own_rows, own_columns]
    return result
