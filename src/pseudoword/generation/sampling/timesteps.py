"""Samplers published for the variance-preserving scale, written for sigma: DDIM CFG++, PLMS, UniPC.

With x = x_vp / sqrt(alpha) the updates lose their alphas: DDIM (Song et al. 2020, arXiv 2010.02502, eq. 12) becomes
x0 + sigma_down·eps + fresh noise, which is Euler's ancestral step and has no function of its own.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch

from pseudoword.generation.sampling.step import Denoise, Knobs, Noise, ancestral, slope

_ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
_UNIPC_ORDER = 3


def ddim_cfgpp(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """DDIM whose noise is the unguided one (Chung et al. 2024, arXiv 2406.08070, algorithm 2)."""
    for sigma, sigma_next in pairwise(sigmas):
        down, up = ancestral(sigma, sigma_next, knobs.eta)
        denoised = denoise(x, sigma)
        x = denoised + slope(x, denoise.uncond, sigma) * down
        if up > 0:
            x = x + noise(sigma, sigma_next) * knobs.s_noise * up
        yield x


def plms(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Pseudo linear multistep (Liu et al. 2022, arXiv 2202.09778); the first step is an improved Euler's."""
    del noise, knobs
    seen: list[torch.Tensor] = []
    for sigma, sigma_next in pairwise(sigmas):
        eps = slope(x, denoise(x, sigma), sigma)
        seen = [eps, *seen][:4]
        mean = sum((w * own for w, own in zip(_ADAMS[len(seen) - 1], seen, strict=True)), torch.zeros_like(x))
        if len(seen) == 1 and sigma_next > 0:
            ahead = x + eps * (sigma_next - sigma)
            mean = (eps + slope(ahead, denoise(ahead, sigma_next), sigma_next)) / 2
        x = x + mean * (sigma_next - sigma)
        yield x


def unipc(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """UniPC-3 on x0 with B(h) = h (Zhao et al. 2023, arXiv 2302.04867), of lower order at both ends.

    A step predicts (eq. 3), asks the model there, and corrects (eq. 2) with that same answer, which then serves
    the next step: one call a step. The last step is not corrected.
    """
    del noise, knobs
    num_steps = len(sigmas) - 1
    seen, levels = [denoise(x, sigmas[0])], [sigmas[0]]
    for step in range(1, num_steps + 1):
        order = min(_UNIPC_ORDER, step, num_steps + 1 - step)
        x, answer = _unipc_step(denoise, x, seen, [sigmas[step], *levels], order, correct=step < num_steps)
        if answer is not None:
            seen, levels = [answer, *seen][:_UNIPC_ORDER], [sigmas[step], *levels][:_UNIPC_ORDER]
        yield x


def _unipc_step(
    denoise: Denoise, x: torch.Tensor, seen: list[torch.Tensor], levels: list[float], order: int, *, correct: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`levels` are the next sigma, this one, and earlier ones; `seen` the answers at all but the next."""
    lambdas = [-math.log(sigma) for sigma in levels]
    h = lambdas[0] - lambdas[1]
    ratios = [(lambdas[back + 1] - lambdas[1]) / h for back in range(1, order)]
    slopes = [(seen[back] - seen[0]) / ratio for back, ratio in zip(range(1, order), ratios, strict=True)]
    base = levels[0] / levels[1] * x - math.expm1(-h) * seen[0]
    reached = base + h * _weighted(_unipc_weights([*ratios, 1.0], h, num=order - 1), slopes, x)
    if not correct:
        return reached, None
    answer = denoise(reached, levels[0])
    weights = _unipc_weights([*ratios, 1.0], h, num=order)
    return base + h * _weighted(weights, [*slopes, answer - seen[0]], x), answer


def _unipc_weights(ratios: Sequence[float], h: float, *, num: int) -> list[float]:
    """Solve R·rho = b of eq. 5 for the first `num` unknowns; one unknown alone is 1/2, as published."""
    if num <= 1:
        return [0.5] * num
    matrix = [[ratio**power for ratio in ratios[:num]] for power in range(num)]
    right: list[float] = []
    phi = math.expm1(-h) / -h - 1
    for power in range(1, num + 1):
        right.append(phi * math.factorial(power) / -h)
        phi = phi / -h - 1 / math.factorial(power + 1)
    return [float(weight) for weight in np.linalg.solve(np.array(matrix), np.array(right))]


def _weighted(weights: Sequence[float], tensors: Sequence[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    return sum((w * own for w, own in zip(weights, tensors, strict=True)), torch.zeros_like(like))
