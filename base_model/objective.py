"""The diffusion objective, v-prediction with uniform weight. Pure functions.

With ᾱ from the scaled-linear schedule of Rombach et al. 2022 and ε standard normal noise:
    x_t = √ᾱ_t · x + √(1 − ᾱ_t) · ε        v_t = √ᾱ_t · ε − √(1 − ᾱ_t) · x        (Salimans & Ho 2022)
Every t counts the same in v-space. Min-SNR weighting gave t > 600 a weight below 0.2, and those are the steps
in which the prompt decides what is drawn: words were hardly learned with it.
"""

import torch

NUM_TIMESTEPS = 1000
BETA_START = 0.00085
BETA_END = 0.012
TIMESTEP_POWER = 0.6  # t = 1000 · u^0.6 draws high t, where words decide, more often than low t


def alphas_cumprod() -> torch.Tensor:
    """ᾱ of all time steps, (1000,)."""
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, NUM_TIMESTEPS).square()
    return torch.cumprod(1 - betas, 0)


def timesteps(uniform: torch.Tensor) -> torch.Tensor:
    """Time steps from uniform draws in [0, 1)."""
    return (NUM_TIMESTEPS * uniform**TIMESTEP_POWER).long().clamp(max=NUM_TIMESTEPS - 1)


def noised_and_target(
    latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, alphas: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """x_t and v_t of the module's docstring; latents and noise (n, c, s, s), timesteps (n,)."""
    alpha = alphas[timesteps].view(-1, 1, 1, 1)
    signal, spread = alpha.sqrt(), (1 - alpha).sqrt()
    return signal * latents + spread * noise, signal * noise - spread * latents
