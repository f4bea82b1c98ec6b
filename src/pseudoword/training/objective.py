"""The denoising loss. Pure: tensors in, tensors out.

x_t = √ᾱ_t · z + √(1-ᾱ_t) · ε (Ho et al. 2020, arXiv 2006.11239, eq. 4); the target is ε, or
v = √ᾱ_t · ε - √(1-ᾱ_t) · z (Salimans & Ho 2022, arXiv 2202.00512, §4). Every noise level weighs the same unless
min-SNR weights are asked for.
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


def mean_squared_error(
    prediction: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """One loss per picture, [b], in float32.

    Args:
        prediction: [b, c, h, w].
        wanted: the same shape.
        mask: weight of every place, [b, 1, h, w]; brought to a mean of 1 for each picture, so that a small
            subject counts as much as a large one. A mask of zeros counts as none.
    """
    squares = (prediction.float() - wanted.float()).square()
    if mask is not None:
        mean = mask.mean(dim=(1, 2, 3), keepdim=True)
        squares = squares * torch.where(mean > 0, mask / mean.clamp(min=1e-12), 1.0)
    return squares.mean(dim=(1, 2, 3))


def min_snr_weights(timesteps: torch.Tensor, schedule: NoiseSchedule, gamma: float) -> torch.Tensor:
    """Weights [b] of the losses at `timesteps` [b]: min(SNR, γ)/SNR, or over SNR + 1 where v is predicted.

    Hang et al. 2023 (arXiv 2303.09556), eq. 7 and §3.4; SNR = ᾱ/(1-ᾱ).
    """
    kept = schedule.alphas_cumprod[timesteps.cpu()]
    snr = kept / (1 - kept).clamp(min=1e-12)
    below = snr if schedule.prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=gamma) / below.clamp(min=1e-12)


def _levels(timesteps: torch.Tensor, schedule: NoiseSchedule) -> tuple[torch.Tensor, torch.Tensor]:
    kept = schedule.alphas_cumprod[timesteps.cpu()].view(-1, 1, 1, 1)
    return kept.sqrt(), (1 - kept).sqrt()
