"""Euler's, Heun's and kindred methods on the probability flow dx/dsigma.

Karras et al. 2022 (arXiv 2206.00364), algorithm 2, with second-order points after DPM-Solver-2 (Lu et al. 2022,
arXiv 2206.00927); linear multistep by Adams and Bashforth; consistency sampling (Luo et al. 2023, arXiv 2310.04378).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from numpy.polynomial import Polynomial

from pseudoword.generation.sampling.step import Denoise, Knobs, Noise, ancestral, slope

_LMS_ORDER = 4


def euler(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Algorithm 2 without its second-order correction."""
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = _churn(x, sigma, sigma_next, noise, knobs, len(sigmas) - 1)
        x = x + slope(x, denoise(x, sigma_hat), sigma_hat) * (sigma_next - sigma_hat)
        yield x


def euler_ancestral(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Euler's step to below the next level, then fresh noise; with DDIM's levels and eta it is DDIM."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, knobs.eta)
        x = x + slope(x, denoise(x, sigma), sigma) * (down - sigma)
        if up > 0:
            x = x + noise(sigma, sigma_next) * knobs.s_noise * up
        yield x


def heun(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Algorithm 2."""
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = _churn(x, sigma, sigma_next, noise, knobs, len(sigmas) - 1)
        x = heun_step(denoise, x, sigma_hat, sigma_next)
        yield x


def heun_step(denoise: Denoise, x: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
    """The mean of the slopes at both ends; the last step, to no noise, has only the first."""
    first = slope(x, denoise(x, sigma), sigma)
    reached = x + first * (sigma_next - sigma)
    if sigma_next == 0:
        return reached
    second = slope(reached, denoise(reached, sigma_next), sigma_next)
    return x + (first + second) / 2 * (sigma_next - sigma)


def dpm_2(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """The slope at the geometric middle of both levels, with churn."""
    for sigma, sigma_next in pairwise(sigmas):
        x, sigma_hat = _churn(x, sigma, sigma_next, noise, knobs, len(sigmas) - 1)
        x = _middle_step(denoise, x, sigma_hat, sigma_next)
        yield x


def dpm_2_ancestral(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """The same to below the next level, then fresh noise."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, knobs.eta)
        x = _middle_step(denoise, x, sigma, down)
        if up > 0 and down > 0:
            x = x + noise(sigma, sigma_next) * knobs.s_noise * up
        yield x


def _middle_step(denoise: Denoise, x: torch.Tensor, sigma: float, sigma_next: float) -> torch.Tensor:
    first = slope(x, denoise(x, sigma), sigma)
    if sigma_next == 0:
        return x + first * (sigma_next - sigma)
    middle = math.sqrt(sigma * sigma_next)
    between = x + first * (middle - sigma)
    return x + slope(between, denoise(between, middle), middle) * (sigma_next - sigma)


def lms(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """The polynomial through the last four slopes, integrated over the step."""
    del noise, knobs
    slopes: list[torch.Tensor] = []
    for step, (sigma, sigma_next) in enumerate(pairwise(sigmas)):
        slopes = [slope(x, denoise(x, sigma), sigma), *slopes][:_LMS_ORDER]
        known = [sigmas[step - back] for back in range(len(slopes))]
        weights = [_integral(known, place, sigma, sigma_next) for place in range(len(known))]
        x = x + sum((weight * own for weight, own in zip(weights, slopes, strict=True)), torch.zeros_like(x))
        yield x


def _integral(known: Sequence[float], place: int, start: float, end: float) -> float:
    """Of the Lagrange polynomial that is 1 at known[place] and 0 at the others."""
    others = [level for number, level in enumerate(known) if number != place]
    basis = Polynomial.fromroots(others) / math.prod(known[place] - level for level in others) if others else None
    if basis is None:
        return end - start
    whole = basis.integ()
    return float(whole(end) - whole(start))


def lcm(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """What is seen, with fresh noise of the next level; the boundary terms are below 1e-5 and left out."""
    del knobs
    for sigma, sigma_next in pairwise(sigmas):
        x = denoise(x, sigma)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * sigma_next
        yield x


def _churn(
    x: torch.Tensor, sigma: float, sigma_next: float, noise: Noise, knobs: Knobs, num_steps: int
) -> tuple[torch.Tensor, float]:
    """Algorithm 2, lines 4 to 6: a little more noise before a step. Noise is drawn even where it is not used."""
    if knobs.s_churn <= 0:
        return x, sigma
    fresh = noise(sigma, sigma_next) * knobs.s_noise
    if not knobs.s_tmin <= sigma <= knobs.s_tmax:
        return x, sigma
    sigma_hat = sigma * (1 + min(knobs.s_churn / num_steps, math.sqrt(2) - 1))
    return x + fresh * math.sqrt(sigma_hat**2 - sigma**2), sigma_hat
