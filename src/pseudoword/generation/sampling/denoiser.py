"""The guided denoiser: what a base model sees in noisy latents, as the samplers ask for it.

Scales after Karras et al. 2022 (arXiv 2206.00364), table 1, for models trained to predict noise or v (Salimans & Ho
2022, arXiv 2202.00512); guidance after Ho & Salimans 2022 (arXiv 2207.12598) with several prompts,
uncond + Σ wᵢ·cfg·(condᵢ - uncond); masks as A1111: outside of them the original is put in place of what is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch

from pseudoword.generation.sampling.sigmas import NoiseLevels
from pseudoword.models.protocols import BaseModel, Conditioning
from pseudoword.models.tiling import tiled

Told = Callable[[int], tuple[Conditioning, tuple[float, ...]]]
"""For a model call, counted from 0: a batch of the negative prompt and the prompt's parts, and their weights."""


class _Guides(Protocol):
    def at(self, call: int, *, hires: bool = False) -> tuple[Conditioning, tuple[float, ...]]: ...


@dataclass(frozen=True, slots=True)
class Mask:
    """Where to draw anew: `redraw` [1, 1, h, w] from 0 to 1, and the latents [b, c, h, w] to keep elsewhere."""

    redraw: torch.Tensor
    original: torch.Tensor

    def keep(self, latents: torch.Tensor) -> torch.Tensor:
        """`latents` with the original put in where the mask is 0."""
        return latents * self.redraw + self.original * (1 - self.redraw)

    def single(self, number: int) -> "Mask":
        """The same for one picture of the batch."""
        return Mask(self.redraw, self.original[number : number + 1])


@dataclass(slots=True, kw_only=True)
class DenoiserState:
    """A model under guidance; counts its calls, since prompts may change from call to call."""

    model: BaseModel
    levels: NoiseLevels
    guidance: _Guides
    scale: float
    hires: bool = False
    mask: Mask | None = None
    concat: torch.Tensor | None = None
    """[1, 1 + c, h, w] for inpainting models: mask and masked picture."""
    tiling: bool = False
    needs_uncond: bool = False
    """Whether the sampler looks at `uncond`, so that the negative prompt is asked for at any scale."""
    min_uncond_sigma: float = 0.0
    """Below this noise every second call leaves the negative prompt out (A1111's NGMS)."""
    num_calls: int = 0
    seen: torch.Tensor = field(default_factory=lambda: torch.empty(0))
    """What the last call returned: the picture so far."""
    uncond: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Clean latents [b, c, h, w] seen in `x`, which has noise of standard deviation `sigma`.

        In half precision on a CPU every picture goes through the UNet alone: kernels there round differently by
        batch size, and a batch must equal single runs (docs/decisions). In float32 the difference is below 1e-5.
        """
        conditioning, weights = self.guidance.at(self.num_calls, hires=self.hires)
        leave_out = self.num_calls % 2 == 1 and sigma < self.min_uncond_sigma
        factors = weights if leave_out else tuple(weight * self.scale for weight in weights)
        alone = self.model.device.type == "cpu" and self.model.dtype != torch.float32
        groups = x.split(1) if alone else (x,)
        both = [self._group(group, sigma, conditioning, factors, leave_out=leave_out) for group in groups]
        self.num_calls += 1
        self.uncond = torch.cat([uncond for _, uncond in both])
        seen = torch.cat([guided for guided, _ in both])
        self.seen = seen if self.mask is None else self.mask.keep(seen)
        return self.seen

    def _group(
        self,
        x: torch.Tensor,
        sigma: float,
        conditioning: Conditioning,
        factors: tuple[float, ...],
        *,
        leave_out: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Guided and unguided. Rows whose factor is 0, as the negative's at a scale of 1, are not asked for."""
        of_negative = 0.0 if leave_out else 1 - sum(factors)
        asked = [row for row, factor in enumerate((of_negative, *factors)) if factor != 0]
        if not asked or (self.needs_uncond and asked[0] != 0):
            asked = [0, *asked]
        seen = dict(zip(asked, self._ask(x, sigma, conditioning, asked), strict=True))
        base = seen.get(0, seen[asked[0]])
        parts = [(factors[row - 1], seen[row]) for row in asked if row > 0]
        if 0 in seen and of_negative != 0:
            return base + sum((f * (own - base) for f, own in parts), torch.zeros_like(x)), base
        return sum((f * own for f, own in parts), torch.zeros_like(x)), base

    def _ask(self, x: torch.Tensor, sigma: float, conditioning: Conditioning, rows: list[int]) -> list[torch.Tensor]:
        """What is seen in `x` under each of the rows, in one pass of the UNet."""
        n, k = len(x), len(rows)
        noisy = (x / (sigma**2 + 1) ** 0.5).repeat(k, 1, 1, 1)
        timesteps = torch.full((n * k,), self.levels.timestep(sigma), device=x.device)
        told = conditioning.select([row for row in rows for _ in range(n)])
        concat = None if self.concat is None else self.concat.expand(n * k, -1, -1, -1)
        with tiled(self.model, on=self.tiling):
            output = self.model.predict(noisy, timesteps, told, concat)
        return [self._clean(x, own, sigma) for own in output.split(n)]

    def _clean(self, x: torch.Tensor, output: torch.Tensor, sigma: float) -> torch.Tensor:
        if self.model.schedule.prediction_type == "v_prediction":
            return x / (sigma**2 + 1) - output * (sigma / (sigma**2 + 1) ** 0.5)
        return x - output * sigma
