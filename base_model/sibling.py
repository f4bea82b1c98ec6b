"""Beside the road: tune the UNet of the model that ships to a look of its own, kept as a small difference.

The pictures that `render` left go through the look of `night.py` and the shipped autoencoder; captions are those of
the denoiser and never name the look, so the sibling draws everything in it without being asked. Text encoder and
autoencoder stay. Only two thin matrices per weight are trained (LoRA: Hu et al. 2021, arXiv 2106.09685), on the
summed weights: the gradient G of a weight W + up · down gives up the gradient G · downᵀ and down upᵀ · G.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from base_model.captions import caption
from base_model.checkpoint import adam_tensors, restore_adam, save_state
from base_model.denoiser import SHORT_TEXT
from base_model.latents import BATCH
from base_model.looks import GROUND_COLOURS, LOOK_NAMES, LOOKS, on_ground, split_alpha
from base_model.loop import Saved, TrainOptions
from base_model.night import night
from base_model.objective import alphas_cumprod, noised_and_target, timesteps
from base_model.options import option
from base_model.pictures import load_pictures
from base_model.precision import choose_precision
from base_model.sitting import sit
from base_model.sizes import TEXT_LENGTH
from base_model.work import SIBLING, Work
from pseudoword.files import atomic_path
from pseudoword.models.difference import FORMAT
from pseudoword.models.diffusers_model import DiffusersModel
from pseudoword.models.folder import DIFFERENCE
from pseudoword.models.load import load_model

NAME = "bundled-night"
VARIANTS = (20, 6, 6)  # of 32 pictures: on white; on a coloured ground and mirrored; through one of the eight looks


@dataclass(frozen=True, slots=True, kw_only=True)
class SiblingOptions(TrainOptions):
    """Options of `sibling`."""

    minutes: float = option(45.0, "budget in minutes of work, over all sittings", float)
    batch: int = option(48, "pictures in a step", int)
    learning_rate: float = option(2e-3, "highest learning rate", float)
    warmup: int = option(100, "steps until the highest learning rate", int)
    threads: int = option(1, "threads", int)
    rank: int = option(16, "width of the two matrices whose product is added to a weight", int)
    base: str = option("bundled", "the model to begin from: bundled, or a pipeline folder")


@dataclass(frozen=True, slots=True, kw_only=True)
class NightLatents:
    """`values` (n, c, s, s), scaled as the model wants them; `grounds` and `looks` (n) by index."""

    values: torch.Tensor
    grounds: torch.Tensor
    looks: torch.Tensor
    concepts: tuple[str, ...]
    styles: tuple[str, ...]


def run(work: Work, options: SiblingOptions) -> None:
    """Encode what is not encoded yet, then train or continue; every saved state leaves a usable difference."""
    recipe = work.recipe()
    torch.set_num_threads(options.threads)
    dtype = choose_precision(options.precision)
    base = load_model(options.base, device="cpu", precision="fp32", hash_cache=work.root / "hashes.json")
    latents = _night_latents(work, base.vae, dtype)
    trainee = SiblingTrainee(latents, base, options.rank, recipe.seed, dtype)

    def write(saved: Saved) -> None:
        header = {"base": base.hash, "look": "night", "rank": str(options.rank), "steps": str(saved.step)}
        write_difference(difference_path(work), trainee.factors, header)

    facts = {
        "base": base.hash,
        "pictures": len(latents.concepts),
        "concepts": len(set(latents.concepts)),
        "batch": options.batch,
        "rank": options.rank,
    }
    sit(work, SIBLING, trainee, options, facts, write)


def difference_path(work: Work) -> Path:
    """Where the difference lies; its folder is one that `--model` takes."""
    return work.folder(SIBLING) / NAME / DIFFERENCE


def write_difference(path: Path, factors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> None:
    """Write factors in half precision, as `pseudoword.models.difference` reads them."""
    halves = {name: factor.detach().half().contiguous() for name, factor in factors.items()}
    with atomic_path(path) as temporary:
        save_file(halves, temporary, metadata={"format": FORMAT, **header})


def _night_latents(work: Work, vae: Any, dtype: torch.dtype) -> NightLatents:
    """Every picture that has a concept, encoded once, in a variant drawn for it."""
    pictures = load_pictures(work)
    path = work.folder(SIBLING) / "latents.safetensors"
    if not path.is_file():
        draws = np.random.default_rng([work.recipe().seed, len(pictures.learned)])
        save_state(path, _encode(torch.from_numpy(pictures.rgba[list(pictures.learned)]), vae, dtype, draws), {})
        print(f"{SIBLING}: {len(pictures.learned)} pictures encoded", flush=True)
    saved = load_file(path)
    return NightLatents(
        values=saved["values"].float() * vae.config.scaling_factor,
        grounds=saved["grounds"],
        looks=saved["looks"],
        concepts=tuple(concept for concept in pictures.concepts if concept),
        styles=tuple(pictures.styles[index] for index in pictures.learned),
    )


@torch.no_grad()
def _encode(rgba: torch.Tensor, vae: Any, dtype: torch.dtype, draws: np.random.Generator) -> dict[str, torch.Tensor]:
    count = len(rgba)
    variants = torch.from_numpy(draws.choice(len(VARIANTS), size=count, p=np.array(VARIANTS) / sum(VARIANTS)))
    grounds = torch.from_numpy(draws.integers(1, len(GROUND_COLOURS), size=count)).where(variants == 1, 0)
    looks = torch.from_numpy(draws.integers(len(LOOKS), size=count)).where(variants == 2, -1)
    values: list[torch.Tensor] = []
    for part in torch.arange(count).split(BATCH):
        shown = 2 * at_night(rgba[part], grounds[part], looks[part]) - 1
        mirrored = (variants[part] == 1)[:, None, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            values.append(vae.encode(torch.where(mirrored, shown.flip(-1), shown)).latent_dist.mode().half())
    return {"values": torch.cat(values), "grounds": grounds, "looks": looks}


def at_night(rgba: torch.Tensor, grounds: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
    """uint8 pictures (n, h, w, 4), first through their look (-1: none), then in the sibling's; (n, 3, h, w)."""
    colour, alpha = split_alpha(rgba)
    on_white = on_ground(colour, alpha, torch.zeros_like(grounds))
    for index, look in enumerate(looks.tolist()):
        one = slice(index, index + 1)
        if look >= 0:
            colour[one] = LOOKS[LOOK_NAMES[look]](on_white[one], alpha[one])
    return night(colour, alpha, grounds)


def begin_factors(unet: torch.nn.Module, rank: int, seed: int) -> dict[str, torch.Tensor]:
    """Factors whose sum changes nothing yet: `up` and `add` are zero; low rank only where that is smaller."""
    generator = torch.Generator().manual_seed(seed)
    factors: dict[str, torch.Tensor] = {}
    for name, weight in unet.named_parameters():
        rows, columns = len(weight), weight[0].numel()
        if weight.ndim > 1 and rank * (rows + columns) < rows * columns:
            factors[f"{name}.up"] = torch.zeros(rows, rank)
            factors[f"{name}.down"] = torch.randn(rank, columns, generator=generator) / math.sqrt(columns)
        else:
            factors[f"{name}.add"] = torch.zeros(weight.shape)
    return factors


def factor_gradients(gradient: torch.Tensor, up: torch.Tensor, down: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of up (o, r) and down (r, i) from that of W + up · down, (o, i)."""
    return gradient @ down.T, up.T @ gradient


class SiblingTrainee:
    """The UNet with factors beside its weights, their optimiser, the frozen text encoder and the latents."""

    def __init__(self, latents: NightLatents, base: DiffusersModel, rank: int, seed: int, dtype: torch.dtype) -> None:
        self.num_pictures = len(latents.concepts)
        self._latents = latents
        self._tokenizer = base.encoders[0].tokenizer
        self._dtype = dtype
        self._alphas = alphas_cumprod()
        self._unet = base.unet.to(dtype=torch.float32, memory_format=torch.contiguous_format).requires_grad_(True)
        self._text_encoder = base.encoders[0].module.to(dtype)
        self.factors = begin_factors(self._unet, rank, seed)
        self._base = {name: weight.detach().clone() for name, weight in self._unet.named_parameters()}
        self._unet.to(dtype).train()
        self._adam = torch.optim.AdamW(list(self.factors.values()), betas=(0.9, 0.99), weight_decay=0.0)

    def step(self, picked: list[int], learning_rate: float, step: int, draws: np.random.Generator) -> dict[str, float]:
        """One step; see `Trainee`."""
        self._adam.param_groups[0]["lr"] = learning_rate
        states = self._states(picked, TEXT_LENGTH if step % 4 == 3 else SHORT_TEXT, draws)
        clean = self._latents.values[picked]
        at = timesteps(torch.from_numpy(draws.random(len(clean))))
        noise = torch.from_numpy(draws.standard_normal(clean.shape, dtype=np.float32))
        noised, target = noised_and_target(clean, noise, at, self._alphas)
        predicted = self._unet(noised.to(self._dtype), at, states).sample
        loss = (predicted.float() - target).square().mean()
        loss.backward()
        self._update()
        return {"loss": loss.item()}

    @torch.no_grad()
    def _states(self, picked: list[int], length: int, draws: np.random.Generator) -> torch.Tensor:
        seen = self._latents
        grounds, looks = seen.grounds[picked].tolist(), seen.looks[picked].tolist()
        texts = [
            caption(seen.concepts[index], seen.styles[index], ground, look, draws)
            for index, ground, look in zip(picked, grounds, looks, strict=True)
        ]
        padding = {"padding": "max_length", "truncation": True, "max_length": length}
        return self._text_encoder(self._tokenizer(texts, **padding, return_tensors="pt").input_ids).last_hidden_state

    @torch.no_grad()
    def _update(self) -> None:
        for name, weight in self._unet.named_parameters():
            gradient = weight.grad.float()
            weight.grad = None
            if f"{name}.add" in self.factors:
                self.factors[f"{name}.add"].grad = gradient
                continue
            up, down = self.factors[f"{name}.up"], self.factors[f"{name}.down"]
            up.grad, down.grad = factor_gradients(gradient.flatten(1), up, down)
        torch.nn.utils.clip_grad_norm_(self.factors.values(), 1.0)
        self._adam.step()
        self._publish()

    @torch.no_grad()
    def _publish(self) -> None:
        for name, weight in self._unet.named_parameters():
            added = self.factors.get(f"{name}.add")
            if added is None:
                added = self.factors[f"{name}.up"] @ self.factors[f"{name}.down"]
            weight.copy_(self._base[name] + added.view_as(weight))

    def tensors(self) -> dict[str, torch.Tensor]:
        """See `Trainee`."""
        return {**{f"factor/{name}": factor for name, factor in self.factors.items()}, **adam_tensors(self._adam)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """See `Trainee`."""
        with torch.no_grad():
            for name, factor in self.factors.items():
                factor.copy_(tensors[f"factor/{name}"])
        restore_adam(self._adam, tensors)
        self._publish()
