"""Stage 2: train the autoencoder on square crops of half the pictures' width, on white and coloured grounds.

Loss: |r − x| + (r − x)² + |∇r − ∇x| + 1e-4 · KL (Kingma & Welling 2014; the gradient term keeps outlines).
No attention in the middle block, so what is learned on crops holds for whole pictures. The networks' weights
stay fp32; where bf16 is fast, the products are done in it (autocast).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from base_model.checkpoint import adam_tensors, load_group, restore_adam
from base_model.looks import GROUND_COLOURS, on_ground, split_alpha
from base_model.loop import STATE, TrainOptions
from base_model.options import option
from base_model.pictures import Pictures, load_pictures
from base_model.precision import choose_precision
from base_model.sitting import sit
from base_model.sizes import SIZES, ModelSize, build_vae
from base_model.work import Work

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

KL_WEIGHT = 1e-4
WHITE = 0.4  # part of the pictures that lie on white; the others on any of the grounds


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderOptions(TrainOptions):
    """Options of `autoencoder`."""

    minutes: float = option(60.0, "budget in minutes of work, over all sittings", float)


def run(work: Work, options: AutoencoderOptions) -> None:
    """Train, or continue training, the autoencoder."""
    torch.set_num_threads(options.threads)
    size = SIZES[work.recipe().size]
    pictures = load_pictures(work)
    trainee = AutoencoderTrainee(pictures, size, work.recipe().seed, choose_precision(options.precision))
    sit(work, "autoencoder", trainee, options, {"pictures": len(pictures), "batch": options.batch})


def load_vae(work: Work) -> "AutoencoderKL":
    """The trained autoencoder in fp32."""
    vae = build_vae(SIZES[work.recipe().size])
    vae.load_state_dict(load_group(work.folder("autoencoder") / STATE, "vae/"))
    return vae.eval().requires_grad_(False)


def edges(picture: torch.Tensor) -> torch.Tensor:
    """Differences of neighbours across and down, (n, everything)."""
    across = picture[..., 1:] - picture[..., :-1]
    down = picture[..., 1:, :] - picture[..., :-1, :]
    return torch.cat([across.flatten(1), down.flatten(1)], 1)


def autoencoder_loss(
    made: torch.Tensor, picture: torch.Tensor, mean: torch.Tensor, logvar: torch.Tensor
) -> torch.Tensor:
    """The loss of the module's docstring; pictures in -1 … 1."""
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
    difference = made - picture
    outline = (edges(made) - edges(picture)).abs().mean()
    return difference.abs().mean() + difference.square().mean() + outline + KL_WEIGHT * kl


def psnr(made: torch.Tensor, picture: torch.Tensor) -> float:
    """Peak signal to noise in dB of pictures in -1 … 1."""
    error = (made.clamp(-1, 1) - picture).square().mean().item() / 4
    return -10 * math.log10(max(error, 1e-12))


class AutoencoderTrainee:
    """The autoencoder, its optimiser and its pictures."""

    def __init__(self, pictures: Pictures, size: ModelSize, seed: int, dtype: torch.dtype) -> None:
        self.num_pictures = len(pictures)
        self._rgba = torch.from_numpy(pictures.rgba)
        self._crop = size.pixels // 2
        self._dtype = dtype
        self._vae: Any = build_vae(size, seed)
        self._adam = torch.optim.AdamW(self._vae.parameters(), betas=(0.9, 0.99), weight_decay=1e-3)

    def step(self, picked: list[int], learning_rate: float, step: int, draws: np.random.Generator) -> dict[str, float]:
        """One step; see `Trainee`."""
        self._adam.param_groups[0]["lr"] = learning_rate
        picture = self._batch(picked, draws)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            seen = self._vae.encode(picture).latent_dist
            noise = draws.standard_normal(seen.mean.shape, dtype=np.float32)
            made = self._vae.decode(seen.mean + seen.std * torch.from_numpy(noise)).sample
        made = made.float()
        loss = autoencoder_loss(made, picture, seen.mean.float(), seen.logvar.float())
        self._adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._vae.parameters(), 1.0)
        self._adam.step()
        return {"loss": loss.item(), "psnr": psnr(made.detach(), picture)}

    def _batch(self, picked: list[int], draws: np.random.Generator) -> torch.Tensor:
        """Random grounds, half of the pictures mirrored, one crop each; (n, 3, c, c) in -1 … 1."""
        colour, alpha = split_alpha(self._rgba[picked])
        count = len(picked)
        grounds = draws.integers(len(GROUND_COLOURS), size=count)
        grounds[draws.random(count) < WHITE] = 0
        picture = 2 * on_ground(colour, alpha, torch.from_numpy(grounds)) - 1
        mirrored = torch.from_numpy(draws.random(count) < 0.5)
        picture[mirrored] = picture[mirrored].flip(-1)
        corners = draws.integers(picture.shape[-1] - self._crop + 1, size=(count, 2)).tolist()
        crops = [
            one[:, top : top + self._crop, left : left + self._crop]
            for one, (top, left) in zip(picture, corners, strict=True)
        ]
        return torch.stack(crops)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See `Trainee`."""
        weights = {f"vae/{name}": weight for name, weight in self._vae.state_dict().items()}
        return {**weights, **adam_tensors(self._adam)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """See `Trainee`."""
        weights = {name[4:]: weight for name, weight in tensors.items() if name.startswith("vae/")}
        self._vae.load_state_dict(weights)
        restore_adam(self._adam, tensors)
