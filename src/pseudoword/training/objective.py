"""The denoising loss. Pure: tensors in, tensors out.

x_t = √ᾱ_t · z + √(1-ᾱ_t) · ε (Ho et al. 2020, arXiv 2006.11239, eq. 4); the target is ε, or
v = √ᾱ_t · ε - √(1-ᾱ_t) · z (Salimans & Ho 2022, arXiv 2202.00512, §4). Every noise level weighs the same.
"""

import torch

from pseudoword.models.protocols import NoiseSchedule


def add_noise(
    latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: NoiseSchedule
) -> torch.Tensor:
    """x_t [b, c, h, w] for `latents` and `noise` [b, c, h, w] at integer `timesteps` [b]."""
    signal, spread = _levels(timesteps, schedule)
    return signal * latents + spread * noise


def target(
    latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, schedule: NoiseSchedule
) -> torch.Tensor:
    """What the UNet should have predicted: ε or v, [b, c, h, w]."""
    if schedule.prediction_type == "epsilon":
        return noise
    signal, spread = _levels(timesteps, schedule)
    return signal * noise - spread * latents


def mean_squared_error(prediction: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One loss per picture, [b], in float32."""
    return (prediction.float() - wanted.float()).square().mean(dim=(1, 2, 3))


def _levels(timesteps: torch.Tensor, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    kept = schedule.alphas_cumprod[timesteps.cpu()].view(-1, 1, 1, 1)
    return kept.sqrt(), (1 - kept).sqrt()
