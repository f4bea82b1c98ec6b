"""Noise levels: the model's own, and every schedule that picks some of them (reference a1111.md §3.1).

A list of sigmas runs from noise to picture. Sources: Karras et al. 2022 (arXiv 2206.00364) eq. 5; Align Your Steps
(Sabour et al. 2024, arXiv 2404.14507), whose table and theorem 3.1 give `Align Your Steps` and `KL Optimal`; Beta
Sampling is All You Need (Lee et al. 2024, arXiv 2407.12173), in A1111's form, which spreads sigmas, not timesteps.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pseudoword.errors import BadOption
from pseudoword.generation.sampling.names import Sampler, Schedule
from pseudoword.models.protocols import NoiseSchedule

_LEAST_ALPHA = 2.0**-24
"""Of `alphas_cumprod` for models trained to zero terminal signal, where sigma would be infinite (as diffusers)."""
_BETA = 0.6
_ALIGNED = {
    "sd": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}
_ENDS_ONLY = ("dpm_fast", "dpm_adaptive")
"""They look at the highest and the lowest level only, and never go to zero."""
_LCM_TIMESTEPS = 50
"""How many timesteps latent consistency models are distilled at (Luo et al. 2023, arXiv 2310.04378)."""


@dataclass(frozen=True, slots=True)
class NoiseLevels:
    """A model's sigmas [T], rising, with log-linear interpolation between timesteps, as k-diffusion has it."""

    sigmas: np.ndarray

    @classmethod
    def of(cls, schedule: NoiseSchedule) -> "NoiseLevels":
        """sigma² = (1 - ᾱ) / ᾱ."""
        alphas = np.clip(schedule.alphas_cumprod.double().numpy(), _LEAST_ALPHA, 1 - 1e-12)
        return cls(np.sqrt((1 - alphas) / alphas))

    @property
    def low(self) -> float:
        """The least noise that the model knows, about 0.029 for Stable Diffusion."""
        return float(self.sigmas[0])

    @property
    def high(self) -> float:
        """The most, about 14.6."""
        return float(self.sigmas[-1])

    def sigma(self, timestep: float) -> float:
        """The noise at a timestep, which may be a fraction."""
        return float(np.exp(np.interp(timestep, np.arange(len(self.sigmas)), np.log(self.sigmas))))

    def timestep(self, sigma: float) -> float:
        """The inverse of `sigma`; beyond either end it is the end."""
        return float(np.interp(math.log(sigma), np.log(self.sigmas), np.arange(len(self.sigmas))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleKnobs:
    """What A1111's settings page lets one change about a schedule; None is the model's or the schedule's own."""

    sigma_min: float | None = None
    sigma_max: float | None = None
    rho: float | None = None


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float
    rho: float
    aligned: str


def sigmas_for(
    sampler: Sampler,
    schedule: Schedule,
    levels: NoiseLevels,
    num_steps: int,
    knobs: ScheduleKnobs | None = None,
    *,
    sdxl: bool = False,
) -> list[float]:
    """From the most noise to the picture; one number more than there are steps, the last one mostly 0.

    In single precision, as upstream: Brownian noise is rough enough for the difference to be seen.

    Args:
        sampler: those with timesteps of their own do not look at the schedule.
        schedule: already resolved by `names.effective`.
        levels: the model's.
        num_steps: as the user counts them.
        knobs: other ends and curvature.
        sdxl: which of the two tables `Align Your Steps` uses.

    Raises:
        BadOption: the knobs leave no range.
    """
    if sampler.by_timesteps:
        sigmas = _by_timesteps(sampler, levels, num_steps)
    elif sampler.algorithm == "lcm" and schedule.name == "automatic":
        sigmas = _lcm(num_steps, levels)
    else:
        span = _range(levels, schedule, knobs or ScheduleKnobs(), sdxl=sdxl)
        sigmas = _LAYOUTS[schedule.name](num_steps + sampler.discards_next_to_last, span, levels)
    if sampler.discards_next_to_last:
        sigmas = sigmas[:-2] + sigmas[-1:]
    if sampler.algorithm in _ENDS_ONLY:
        sigmas = [*sigmas[:-1], levels.low]
    return [float(np.float32(sigma)) for sigma in sigmas]


def partial(
    sampler: Sampler, sigmas_of: Callable[[int], list[float]], num_steps: int, strength: float, *, exact: bool
) -> list[float]:
    """The tail of the noise levels that img2img runs (reference a1111.md §3.3).

    ⌊min(strength, 0.999) · steps⌋ steps, and for all but the timestep samplers one more; with `exact` (the hires
    pass) the whole schedule is made longer so that exactly `num_steps` remain.
    """
    strength = min(strength, 0.999)
    if strength <= 0:
        return []
    count = num_steps - 1 if exact else int(strength * num_steps)
    calls = max(count, int(exact)) if sampler.by_timesteps else count + 1
    sigmas = sigmas_of(int(num_steps / strength) if exact else num_steps)
    return sigmas[-calls - 1 :] if calls else []


def karras(num: int, low: float, high: float, rho: float = 7.0) -> list[float]:
    """Karras et al. 2022, eq. 5, without the zero at the end."""
    ramp = np.linspace(0, 1, num)
    top, bottom = high ** (1 / rho), low ** (1 / rho)
    return [float(sigma) for sigma in (top + ramp * (bottom - top)) ** rho]


def _range(levels: NoiseLevels, schedule: Schedule, knobs: ScheduleKnobs, *, sdxl: bool) -> _Range:
    low, high = knobs.sigma_min or levels.low, knobs.sigma_max or levels.high
    if not 0 < low < high:
        raise BadOption(f"noise from {high:g} down to {low:g}", expected="--sigma-min above 0 and below --sigma-max")
    return _Range(low, high, knobs.rho or schedule.rho or 0.0, "sdxl" if sdxl else "sd")


def _with_zero(sigmas: Sequence[float] | np.ndarray) -> list[float]:
    return [float(sigma) for sigma in sigmas] + [0.0]


def _at(levels: NoiseLevels, timesteps: np.ndarray) -> list[float]:
    return _with_zero([levels.sigma(t) for t in timesteps])


def _uniform(num: int, _: _Range, levels: NoiseLevels) -> list[float]:
    return _at(levels, np.linspace(len(levels.sigmas) - 1, 0, num))


def _normal(num: int, span: _Range, levels: NoiseLevels) -> list[float]:
    return _at(levels, np.linspace(levels.timestep(span.high), levels.timestep(span.low), num))


def _sgm_uniform(num: int, span: _Range, levels: NoiseLevels) -> list[float]:
    return _at(levels, np.linspace(levels.timestep(span.high), levels.timestep(span.low), num + 1)[:-1])


def _karras(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    return _with_zero(karras(num, span.low, span.high, span.rho))


def _exponential(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    return _with_zero(np.geomspace(span.high, span.low, num))


def _polyexponential(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    ramp = np.linspace(1, 0, num) ** span.rho
    return _with_zero(span.low * (span.high / span.low) ** ramp)


def _kl_optimal(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    """Ends at the least noise and not at none: so it is upstream, so it is here."""
    share = np.linspace(0, 1, num + 1)
    return [float(s) for s in np.tan(share * math.atan(span.low) + (1 - share) * math.atan(span.high))]


def _align_your_steps(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    table = _ALIGNED[span.aligned]
    places = np.linspace(0, len(table) - 1, num) if num > 1 else np.zeros(1)
    return _with_zero(np.exp(np.interp(places, np.arange(len(table)), np.log(table))))


def _simple(num: int, _: _Range, levels: NoiseLevels) -> list[float]:
    stride = len(levels.sigmas) / num
    return _with_zero([levels.sigmas[-(1 + int(step * stride))] for step in range(num)])


def _ddim(num: int, _: _Range, levels: NoiseLevels) -> list[float]:
    return _with_zero(levels.sigmas[1 :: max(len(levels.sigmas) // num, 1)][::-1])


def _beta(num: int, span: _Range, _: NoiseLevels) -> list[float]:
    from scipy.stats import beta

    places = beta.ppf(1 - np.linspace(0, 1, num), _BETA, _BETA)
    return _with_zero(span.low + places * (span.high - span.low))


_LAYOUTS: dict[str, Callable[[int, _Range, NoiseLevels], list[float]]] = {
    "automatic": _uniform,
    "uniform": _uniform,
    "karras": _karras,
    "exponential": _exponential,
    "polyexponential": _polyexponential,
    "sgm_uniform": _sgm_uniform,
    "kl_optimal": _kl_optimal,
    "align_your_steps": _align_your_steps,
    "simple": _simple,
    "normal": _normal,
    "ddim": _ddim,
    "beta": _beta,
}


def _lcm(num: int, levels: NoiseLevels) -> list[float]:
    stride = len(levels.sigmas) // _LCM_TIMESTEPS
    places = np.round(np.linspace(_LCM_TIMESTEPS - 1, 0, num)).astype(int)
    return _with_zero(levels.sigmas[places * stride + stride - 1])


def _by_timesteps(sampler: Sampler, levels: NoiseLevels, num: int) -> list[float]:
    """Every ⌊T / steps⌋th timestep, plus 1; the lowest one is where they end, and no step leaves it.

    So DDIM of 20 steps asks the model 19 times and ends at timestep 1, as upstream. UniPC spreads its steps
    evenly over the whole of time, down to timestep 0.
    """
    last = len(levels.sigmas) - 1
    if sampler.algorithm == "unipc":
        return [levels.sigma(t) for t in np.linspace(last, 0, num + 1)]
    timesteps = np.clip(np.arange(0, last + 1, (last + 1) // num) + 1, 0, last)
    if len(timesteps) == 1:  # of one step upstream makes none
        timesteps = np.array([timesteps[0], last])
    return [levels.sigma(t) for t in timesteps[::-1]]
