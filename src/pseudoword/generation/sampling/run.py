"""Runs one sampler from its first noise level to its last."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch

from pseudoword.events import Event, Progress
from pseudoword.generation.sampling import dpm_solver, dpmpp, euler, restart, timesteps
from pseudoword.generation.sampling.denoiser import DenoiserState
from pseudoword.generation.sampling.names import Sampler
from pseudoword.generation.sampling.noise import NoiseState
from pseudoword.generation.sampling.step import Algorithm, Knobs
from pseudoword.generation.signals import Signal

ALGORITHMS: dict[str, Algorithm] = {
    function.__name__: function
    for function in (
        euler.euler,
        euler.euler_ancestral,
        euler.heun,
        euler.dpm_2,
        euler.dpm_2_ancestral,
        euler.lms,
        euler.lcm,
        dpmpp.dpmpp_2m,
        dpmpp.dpmpp_2s_ancestral,
        dpmpp.dpmpp_sde,
        dpmpp.dpmpp_2m_sde,
        dpmpp.dpmpp_2m_sde_heun,
        dpmpp.dpmpp_3m_sde,
        dpm_solver.dpm_fast,
        dpm_solver.dpm_adaptive,
        restart.restart,
        timesteps.ddim_cfgpp,
        timesteps.plms,
        timesteps.unipc,
    )
}
"""By `Sampler.algorithm`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the noise is taken away."""

    sampler: Sampler
    sigmas: Sequence[float]
    knobs: Knobs

    @property
    def num_steps(self) -> int:
        """Steps that a bar may count; adaptive samplers take another number."""
        return max(len(self.sigmas) - 1, 0)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many steps of the whole request are done before this sampling, and how many there are."""

    done: int
    total: int


@torch.no_grad()
def sample(
    plan: Plan, denoiser: DenoiserState, noise: NoiseState, start: torch.Tensor | None, tally: Tally
) -> Generator[Event, Signal | None, tuple[torch.Tensor, Signal | None]]:
    """Tell every step; return latents [b, c, h, w] and what the caller sent, if it sent something.

    A caller that sends a signal gets what the model saw last, which is a picture with less detail.

    Args:
        plan: without noise levels, as for img2img of strength 0, nothing happens to `start`.
        denoiser: fresh, for its calls are counted.
        noise: `first` is taken here.
        start: clean latents that the noise is laid on; None draws from noise alone.
        tally: for the progress.
    """
    first = noise.first()
    if not plan.num_steps:
        return (first if start is None else start), None
    x = _noisy(plan, first, start)
    between = noise.brownian(plan.sigmas) if plan.sampler.brownian_noise else noise.between
    steps = ALGORITHMS[plan.sampler.algorithm](denoiser, x, plan.sigmas, between, plan.knobs)
    done = 0
    for x in steps:  # noqa: B007  # the last ones are the result
        done = min(done + 1, plan.num_steps)
        signal = yield Progress(label="sampling", done=tally.done + done, total=tally.total)
        if signal is not None:
            return denoiser.seen, signal
    if done < plan.num_steps:
        yield Progress(label="sampling", done=tally.done + plan.num_steps, total=tally.total)
    return _finished(plan, x), None


def _noisy(plan: Plan, noise: torch.Tensor, start: torch.Tensor | None) -> torch.Tensor:
    """From noise alone the timestep samplers begin with variance 1 at the model's scale, the others with sigma."""
    sigma = plan.sigmas[0]
    if start is not None:
        return start + noise * sigma
    return noise * ((sigma**2 + 1) ** 0.5 if plan.sampler.by_timesteps else sigma)


def _finished(plan: Plan, x: torch.Tensor) -> torch.Tensor:
    """Timestep samplers end with a little noise, at the model's scale."""
    return x / (plan.sigmas[-1] ** 2 + 1) ** 0.5 if plan.sampler.by_timesteps else x
