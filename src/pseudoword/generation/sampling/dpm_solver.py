"""DPM-Solver (Lu et al. 2022, arXiv 2206.00927) in its fast and its adaptive form, in lambda = -log sigma.

Both choose their own levels between the first and the last positive sigma, and end at the last, not at zero.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from pseudoword.generation.sampling.step import Denoise, Knobs, Noise, ancestral, slope

_RELATIVE, _ABSOLUTE = 0.05, 0.0078
"""What the two solutions of one step may differ by: of the value, and in all."""
_FIRST_STEP = 0.05
_ACCEPTED = 0.81


def dpm_fast(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """As many calls of the model as there are steps, in steps of order three (§3.4, "DPM-Solver-fast")."""
    calls = len(sigmas) - 1
    start, end = _ends(sigmas)
    orders = [3] * (calls // 3) + ([calls % 3] if calls % 3 else [])
    if calls % 3 == 0:
        orders[-1:] = [2, 1]
    for number, order in enumerate(orders):
        here = start + (end - start) * number / len(orders)
        there = start + (end - start) * (number + 1) / len(orders)
        target, up = _ancestral_target(here, there, end, knobs.eta)
        x = _Step(denoise, x, here, target - here).of_order(order)
        x = x + noise(math.exp(-here), math.exp(-there)) * knobs.s_noise * up
        yield x


def dpm_adaptive(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float], noise: Noise, knobs: Knobs
) -> Iterator[torch.Tensor]:
    """Steps of order three as long as the solution of order two agrees with them (§3.4, appendix C)."""
    here, end = _ends(sigmas)
    length = _FIRST_STEP
    power = 1 / (1.5 if knobs.eta else 3)
    before = x
    while here < end - 1e-5:
        there = min(end, here + length)
        target, up = _ancestral_target(here, there, end, knobs.eta)
        step = _Step(denoise, x, here, target - here)
        low, high = step.second(1 / 3), step.third()
        allowed = torch.clamp(_RELATIVE * torch.maximum(low.abs(), before.abs()), min=_ABSOLUTE)
        error = float(torch.linalg.vector_norm((low - high) / allowed)) / math.sqrt(x.numel())
        factor = 1 + math.atan((1 / (error + 1e-8)) ** power - 1)
        length *= factor
        if factor >= _ACCEPTED:
            before = low
            x = high + noise(math.exp(-here), math.exp(-there)) * knobs.s_noise * up
            here = there
            yield x


@dataclass(slots=True)
class _Step:
    """One step from `here` of length `h`; the noise seen in the middle is asked for once (algorithms 1 and 2)."""

    denoise: Denoise
    x: torch.Tensor
    here: float
    h: float
    _seen: dict[float, torch.Tensor] = field(default_factory=dict[float, torch.Tensor])

    def of_order(self, order: int) -> torch.Tensor:
        if order == 1:
            return self._line(self.h)
        return self.second(1 / 2) if order == 2 else self.third()

    def second(self, r: float) -> torch.Tensor:
        return self._line(self.h) - self._scale(self.h) / (2 * r) * (self._middle(r) - self._eps(0.0, self.x))

    def third(self) -> torch.Tensor:
        r1, r2 = 1 / 3, 2 / 3
        first = self._eps(0.0, self.x)
        bend = math.expm1(r2 * self.h) / (r2 * self.h) - 1
        at_r2 = self._line(r2 * self.h) - self._sigma(r2 * self.h) * (r2 / r1) * bend * (self._middle(r1) - first)
        bend = math.expm1(self.h) / self.h - 1
        return self._line(self.h) - self._sigma(self.h) / r2 * bend * (self._eps(r2, at_r2) - first)

    def _middle(self, r: float) -> torch.Tensor:
        return self._eps(r, self._line(r * self.h))

    def _line(self, length: float) -> torch.Tensor:
        return self.x - self._scale(length) * self._eps(0.0, self.x)

    def _scale(self, length: float) -> float:
        return self._sigma(length) * math.expm1(length)

    def _sigma(self, length: float) -> float:
        return math.exp(-self.here - length)

    def _eps(self, r: float, x: torch.Tensor) -> torch.Tensor:
        if r not in self._seen:
            sigma = self._sigma(r * self.h)
            self._seen[r] = slope(x, self.denoise(x, sigma), sigma)
        return self._seen[r]


def _ancestral_target(here: float, there: float, end: float, eta: float) -> tuple[float, float]:
    """Where to go before noise is added, and how much noise; never beyond the end."""
    if eta == 0:
        return there, 0.0
    down, _ = ancestral(math.exp(-here), math.exp(-there), eta)
    target = min(end, -math.log(down)) if down > 0 else end
    return target, math.sqrt(max(math.exp(-2 * there) - math.exp(-2 * target), 0.0))


def _ends(sigmas: Sequence[float]) -> tuple[float, float]:
    return -math.log(sigmas[0]), -math.log(min(sigma for sigma in sigmas if sigma > 0))
