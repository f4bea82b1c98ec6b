"""Stage 4: train the tokenizer, then text encoder and UNet together, from nothing, on latents and captions.

Order of passes, variants, captions, time steps and noise come from one generator that is part of the saved
state. Captions are cut to 32 tokens in three of four steps: at 77 the text encoder is a third of a step, and
hardly a caption has more than 20. What is exported is the exponential moving average of the weights.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from base_model.captions import caption, corpus
from base_model.checkpoint import adam_tensors, load_group, restore_adam
from base_model.latents import VARIANTS, Latents, load_latents
from base_model.loop import STATE, TrainOptions
from base_model.objective import alphas_cumprod, noised_and_target, timesteps
from base_model.options import option
from base_model.pictures import load_pictures
from base_model.precision import MasterWeights, choose_precision
from base_model.sitting import sit
from base_model.sizes import SIZES, TEXT_LENGTH, ModelSize, build_text_encoder, build_unet
from base_model.tokenizer import load_tokenizer, write_tokenizer
from base_model.work import Work

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

SHORT_TEXT = 32
EMA_EVERY = 8
EMA_DECAY = 0.9995
SHARES = np.array([variant.share for variant in VARIANTS]) / sum(variant.share for variant in VARIANTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class DenoiserOptions(TrainOptions):
    """Options of `denoiser`."""

    batch: int = option(48, "pictures in a step", int)
    warmup: int = option(300, "steps until the highest learning rate", int)
    save_every: float = option(500.0, "seconds between saved states", float)


def run(work: Work, options: DenoiserOptions) -> None:
    """Train, or continue training, text encoder and UNet; the tokenizer is trained once."""
    torch.set_num_threads(options.threads)
    recipe = work.recipe()
    size = SIZES[recipe.size]
    latents = load_latents(work)
    tokenizer = _tokenizer(work, size)
    trainee = DenoiserTrainee(latents, tokenizer, size, recipe.seed, choose_precision(options.precision))
    facts = {"pictures": len(latents.concepts), "batch": options.batch, "vocabulary": len(tokenizer)}
    sit(work, "denoiser", trainee, options, facts)


def tokenizer_folder(work: Work) -> Path:
    """Where the trained tokenizer lies."""
    return work.folder("denoiser") / "tokenizer"


def load_denoiser(work: Work) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Text encoder and UNet with the averaged weights, in fp32."""
    size = SIZES[work.recipe().size]
    averaged = load_group(work.folder("denoiser") / STATE, "ema/")
    text_encoder = build_text_encoder(size, len(load_tokenizer(tokenizer_folder(work))))
    unet = build_unet(size)
    for prefix, network in (("text_encoder.", text_encoder), ("unet.", unet)):
        own = {name.removeprefix(prefix): value for name, value in averaged.items() if name.startswith(prefix)}
        network.load_state_dict(own)
    return text_encoder.eval().requires_grad_(False), unet.eval().requires_grad_(False)


def ema_keep(step: int) -> float:
    """What is kept of the average at an update: a short memory at first, 0.9995 a step later."""
    return min(EMA_DECAY, (1 + step) / (10 + step)) ** EMA_EVERY


def _tokenizer(work: Work, size: ModelSize) -> "CLIPTokenizer":
    folder = tokenizer_folder(work)
    if not (folder / "vocab.json").is_file():
        pictures = load_pictures(work)
        write_tokenizer(folder, corpus(pictures.names, pictures.styles), size.vocabulary)
    return load_tokenizer(folder)


class DenoiserTrainee:
    """Text encoder, UNet, their fp32 weights and averages, the optimiser and the latents."""

    def __init__(
        self, latents: Latents, tokenizer: "CLIPTokenizer", size: ModelSize, seed: int, dtype: torch.dtype
    ) -> None:
        self.num_pictures = len(latents.concepts)
        self._latents = latents
        self._tokenizer = tokenizer
        self._dtype = dtype
        self._alphas = alphas_cumprod()
        self._text_encoder = build_text_encoder(size, len(tokenizer), seed)
        self._unet = build_unet(size, seed)
        networks = {"unet": self._unet, "text_encoder": self._text_encoder}
        self._master = MasterWeights(networks, dtype)
        self._ema = {name: weight.detach().clone() for name, weight in self._master.weights.items()}
        weights = list(self._master.weights.values())
        self._adam = torch.optim.AdamW(weights, betas=(0.9, 0.99), weight_decay=0.01, fused=True)

    def step(self, picked: list[int], learning_rate: float, step: int, draws: np.random.Generator) -> dict[str, float]:
        """One step; see `Trainee`."""
        self._adam.param_groups[0]["lr"] = learning_rate
        variants = draws.choice(len(VARIANTS), size=len(picked), p=SHARES)
        ids = self._ids(picked, variants, TEXT_LENGTH if step % 4 == 3 else SHORT_TEXT, draws)
        loss = self._loss(self._latents.values[variants, picked], ids, draws)
        loss.backward()
        self._update()
        if (step + 1) % EMA_EVERY == 0:
            self._average(ema_keep(step + 1))
        return {"loss": loss.item()}

    def _ids(self, picked: list[int], variants: np.ndarray, length: int, draws: np.random.Generator) -> torch.Tensor:
        seen = self._latents
        texts = [
            caption(
                seen.concepts[index],
                seen.styles[index],
                int(seen.grounds[variant, index]),
                int(seen.looks[variant, index]),
                draws,
            )
            for index, variant in zip(picked, variants.tolist(), strict=True)
        ]
        padding = {"padding": "max_length", "truncation": True, "max_length": length}
        return self._tokenizer(texts, **padding, return_tensors="pt").input_ids

    def _loss(self, latents: torch.Tensor, ids: torch.Tensor, draws: np.random.Generator) -> torch.Tensor:
        count = len(latents)
        at = timesteps(torch.from_numpy(draws.random(count)))
        noise = torch.from_numpy(draws.standard_normal(latents.shape, dtype=np.float32))
        noised, target = noised_and_target(latents, noise, at, self._alphas)
        states = self._text_encoder(ids).last_hidden_state
        predicted = self._unet(noised.to(self._dtype), at, states).sample
        return (predicted.float() - target).square().mean()

    def _update(self) -> None:
        self._master.gather_gradients()
        torch.nn.utils.clip_grad_norm_(self._master.weights.values(), 1.0)
        self._adam.step()
        self._adam.zero_grad()
        self._master.publish()

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        for name, weight in self._master.weights.items():
            self._ema[name].lerp_(weight, 1 - keep)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See `Trainee`."""
        averaged = {f"ema/{name}": weight for name, weight in self._ema.items()}
        return {**self._master.tensors("master/"), **averaged, **adam_tensors(self._adam)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """See `Trainee`."""
        self._master.restore(tensors, "master/")
        self._ema = {name: tensors[f"ema/{name}"] for name in self._ema}
        restore_adam(self._adam, tensors)
