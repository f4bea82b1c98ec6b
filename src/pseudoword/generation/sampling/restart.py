"""Restart sampling (Xu et al. 2023, arXiv 2306.14878): Heun's steps that go back up in noise once or twice."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch

from pseudoword.generation.sampling.euler import heun_step
from pseudoword.generation.sampling.sigmas import karras
from pseudoword.generation.sampling.step import Denoise, Knobs, Noise

_LOW, _HIGH = 0.1, 2.0
"""The levels between which noise is added again."""


def restart(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Algorithm 1 with one interval; restarts take steps away from the way down, so that the number stays."""
    reached = sigmas[0]
    for sigma, sigma_next in _pairs(sigmas):
        if sigma > reached:
            x = x + noise(reached, sigma) * knobs.s_noise * math.sqrt(sigma**2 - reached**2)
        x = heun_step(denoise, x, sigma, sigma_next)
        reached = sigma_next
        yield x


def _pairs(sigmas: Sequence[float]) -> list[tuple[float, float]]:
    """None below 20 steps, one restart of nine from there, two of a quarter of the steps each from 36."""
    num_steps = len(sigmas) - 1
    if num_steps < 20:
        return list(pairwise(sigmas))
    length, times = (num_steps // 4, 2) if num_steps >= 36 else (9, 1)
    way = [*karras(num_steps - length * times, sigmas[-2], sigmas[0]), 0.0]
    low, high = _nearest(way, _LOW), _nearest(way, _HIGH)
    again = list(pairwise(karras(length + 1, way[low], way[high]))) if high < low else []
    pairs = list(pairwise(way))
    return pairs[:low] + again * times + pairs[low:]


def _nearest(sigmas: Sequence[float], wanted: float) -> int:
    return min(range(len(sigmas)), key=lambda place: abs(sigmas[place] - wanted))
