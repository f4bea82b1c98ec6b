"""DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095) and its stochastic forms, in lambda = -log sigma.

The exact solution between two levels with a constant x0 is  x' = (sigma'/sigma)·x + (1 - e^-h)·x0,  h = lambda' -
lambda (eq. 8); the methods differ in what they put for x0. The stochastic forms of order 2 and 3 solve the reverse
equation whose noise is eta times that of the ancestral one.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch

from pseudoword.generation.sampling.step import Denoise, Knobs, Noise, ancestral


def dpmpp_2m(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Algorithm 2: x0 drawn out along the line through this step's and the last one's."""
    del noise, knobs
    before: torch.Tensor | None = None
    step_before = math.inf
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoise(x, sigma)
        step = _lambda(sigma_next) - _lambda(sigma)
        target = denoised
        if before is not None and sigma_next > 0:
            target = denoised + (denoised - before) * (step / step_before / 2)
        x = _exact(x, target, sigma, sigma_next)
        before, step_before = denoised, step
        yield x


def dpmpp_2s_ancestral(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Algorithm 1 with x0 taken at the middle of the step, ancestral."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, knobs.eta)
        target = denoise(x, sigma)
        if down > 0:
            middle = math.sqrt(sigma * down)
            target = denoise(_exact(x, target, sigma, middle), middle)
        x = _exact(x, target, sigma, down)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * knobs.s_noise * up
        yield x


def dpmpp_sde(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """As 2S a, with the middle point ancestral too and the noise of both from one Brownian path."""
    for sigma, sigma_next in pairwise(sigmas):
        target = denoise(x, sigma)
        if sigma_next > 0:
            middle = math.sqrt(sigma * sigma_next)
            down, up = ancestral(sigma, middle, knobs.eta)
            between = _exact(x, target, sigma, down) + noise(sigma, middle) * knobs.s_noise * up
            target = denoise(between, middle)
            down, up = ancestral(sigma, sigma_next, knobs.eta)
            x = _exact(x, target, sigma, down) + noise(sigma, sigma_next) * knobs.s_noise * up
        else:
            x = target
        yield x


def dpmpp_2m_sde(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Multistep of order 2, the derivative weighted as at the midpoint."""
    return _multistep_sde(denoise, x, sigmas, noise, knobs, heun=False)


def dpmpp_2m_sde_heun(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Multistep of order 2, the derivative integrated exactly."""
    return _multistep_sde(denoise, x, sigmas, noise, knobs, heun=True)


def _multistep_sde(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs, *, heun: bool
) -> Iterator[torch.Tensor]:
    before: torch.Tensor | None = None
    step_before = math.inf
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoise(x, sigma)
        step = _lambda(sigma_next) - _lambda(sigma)
        if sigma_next == 0:
            x = denoised
        else:
            stretched = step * (1 + knobs.eta)
            x = math.exp(-stretched) * x - math.expm1(-stretched) * denoised
            if before is not None:
                weight = _phi_2(stretched) if heun else -math.expm1(-stretched) / 2
                x = x + weight * (denoised - before) * (step / step_before)
            x = _with_noise(x, sigma, sigma_next, noise, knobs)
        before, step_before = denoised, step
        yield x


def dpmpp_3m_sde(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Multistep of order 3: first and second derivative from the last three x0."""
    seen: list[torch.Tensor] = []
    steps: list[float] = []
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoise(x, sigma)
        step = _lambda(sigma_next) - _lambda(sigma)
        if sigma_next == 0:
            x = denoised
        else:
            stretched = step * (1 + knobs.eta)
            x = math.exp(-stretched) * x - math.expm1(-stretched) * denoised
            x = x + _derivatives(denoised, seen, [own / step for own in steps], stretched)
            x = _with_noise(x, sigma, sigma_next, noise, knobs)
        seen, steps = [denoised, *seen][:2], [step, *steps][:2]
        yield x


def _derivatives(
    denoised: torch.Tensor, seen: Sequence[torch.Tensor], ratios: Sequence[float], stretched: float
) -> torch.Tensor:
    if not seen:
        return torch.zeros_like(denoised)
    first = (denoised - seen[0]) / ratios[0]
    if len(seen) == 1:
        return _phi_2(stretched) * first
    bend = (first - (seen[0] - seen[1]) / ratios[1]) / (ratios[0] + ratios[1])
    return _phi_2(stretched) * (first + bend * ratios[0]) - (_phi_2(stretched) / stretched - 0.5) * bend


def _with_noise(x: torch.Tensor, sigma: float, sigma_next: float, noise: Noise, knobs: Knobs) -> torch.Tensor:
    if knobs.eta == 0:
        return x
    share = math.sqrt(-math.expm1(2 * knobs.eta * math.log(sigma_next / sigma)))
    return x + noise(sigma, sigma_next) * knobs.s_noise * sigma_next * share


def _exact(x: torch.Tensor, target: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
    ratio = sigma_next / sigma
    return ratio * x + (1 - ratio) * target


def _phi_2(h: float) -> float:
    return math.expm1(-h) / h + 1


def _lambda(sigma: float) -> float:
    return -math.log(sigma) if sigma > 0 else math.inf
