"""What all samplers share: the shape of their functions, and the arithmetic of one ancestral step.

A sampler is a generator: given a denoiser, latents [b, c, h, w] with noise of sigmas[0], and the noise levels, it
yields the latents after every step. It knows no model, no prompt and no file.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

Noise = Callable[[float, float], torch.Tensor]
"""Standard normal noise [b, c, h, w] for going from one sigma to another."""


class Denoise(Protocol):
    """What the model makes of noisy latents."""

    @property
    def uncond(self) -> torch.Tensor:
        """What the negative prompt alone made of the latents in the last call."""
        ...

    def __call__(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """The clean latents that are seen in `x`, which has noise of `sigma`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What some samplers let one turn (Karras et al. 2022, algorithm 2, and the share of fresh noise)."""

    eta: float = 1.0
    s_churn: float = 0.0
    s_tmin: float = 0.0
    s_tmax: float = math.inf
    s_noise: float = 1.0


Algorithm = Callable[[Denoise, torch.Tensor, Sequence[float], Noise, Knobs], Iterator[torch.Tensor]]


def ancestral(sigma: float, sigma_next: float, eta: float) -> tuple[float, float]:
    """Go down to the first, then add noise of the second, to be at `sigma_next`.

    With eta = 1 it is the posterior of Ho et al. 2020 (arXiv 2006.11239) eq. 7; with other values that of DDIM
    (Song et al. 2020, arXiv 2010.02502) eq. 16, both written for sigma.
    """
    variance = sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2
    up = min(sigma_next, eta * math.sqrt(max(variance, 0.0)))
    return math.sqrt(sigma_next**2 - up**2), up


def slope(x: torch.Tensor, denoised: torch.Tensor, sigma: float) -> torch.Tensor:
    """dx/dsigma of the probability flow (Karras et al. 2022, eq. 3), which is also the noise that is seen in x."""
    return (x - denoised) / sigma
