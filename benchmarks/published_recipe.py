"""The loop that diffusers publishes for textual inversion, written plainly, as what ours is measured against.

As in `examples/textual_inversion/textual_inversion.py` with the README's settings: pictures go through the autoencoder
at every pass; UNet and autoencoder in the chosen precision, the text encoder in float32 with autocast around it; the
whole token table is AdamW's parameter (weight decay 0.01, constant rate), and after every pass all its other rows are
copied back; batch 1, 4 passes accumulated. The README's rate is 5e-4, scaled by batch and accumulation to 2e-3.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

RATE = 2e-3
ACCUMULATE = 4


@dataclass(slots=True, kw_only=True)
class Recipe:
    """The loop's parts and where it is."""

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler: Any
    optimizer: torch.optim.Optimizer
    placeholder: str
    new_ids: list[int]
    original: torch.Tensor
    dtype: torch.dtype
    generator: torch.Generator
    passes: int = 0

    def one_pass(self, pixels: torch.Tensor, caption: str) -> float:
        """One picture [1, 3, H, W] through everything; at every fourth an update. The loss."""
        latents = self.vae.encode(pixels.to(self.dtype)).latent_dist.sample(self.generator).detach()
        latents = latents * self.vae.config.scaling_factor
        noise = torch.randn(latents.shape, generator=self.generator).to(self.dtype)
        times = torch.randint(self.scheduler.config.num_train_timesteps, (1,), generator=self.generator)
        noisy = self.scheduler.add_noise(latents, noise, times)
        ids = self.tokenizer(
            caption, padding="max_length", truncation=True, max_length=77, return_tensors="pt"
        ).input_ids
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            hidden = self.text_encoder(ids)[0]
        prediction = self.unet(noisy, times, hidden.to(self.dtype)).sample
        if self.scheduler.config.prediction_type == "v_prediction":
            noise = self.scheduler.get_velocity(latents, noise, times)
        loss = torch.nn.functional.mse_loss(prediction.float(), noise.float())
        (loss / ACCUMULATE).backward()
        self.passes += 1
        if self.passes % ACCUMULATE == 0:
            self.optimizer.step()
            self.optimizer.zero_grad()
        table = self.text_encoder.get_input_embeddings().weight
        others = torch.ones(len(table), dtype=torch.bool)
        others[self.new_ids] = False
        with torch.no_grad():
            table[others] = self.original[others]
        return float(loss.detach())

    def rows(self) -> torch.Tensor:
        """The learned vectors [n, width]."""
        return self.text_encoder.get_input_embeddings().weight[self.new_ids].detach().clone()


def make_recipe(
    folder: Path, *, dtype: torch.dtype, word: str, initial: str, vectors: int = 1, rate: float = RATE, seed: int = 0
) -> Recipe:
    """Load everything and put the word into the tokenizer and the table."""
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=dtype)
    placeholders = [word, *(f"{word}_{i}" for i in range(1, vectors))]
    tokenizer.add_tokens(placeholders)
    new_ids: list[int] = tokenizer.convert_tokens_to_ids(placeholders)
    [initial_id] = tokenizer.encode(initial, add_special_tokens=False)
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for module in (unet, vae, text_encoder):
        module.requires_grad_(False)
    table = text_encoder.get_input_embeddings().weight
    with torch.no_grad():
        for new in new_ids:
            table[new] = table[initial_id].clone()
    table.requires_grad_(True)
    return Recipe(
        tokenizer=tokenizer,
        text_encoder=text_encoder.train(),
        unet=unet,
        vae=vae,
        scheduler=DDPMScheduler.from_pretrained(folder / "scheduler"),
        optimizer=torch.optim.AdamW([table], lr=rate, weight_decay=1e-2),
        placeholder=" ".join(placeholders),
        new_ids=new_ids,
        original=table.detach().clone(),
        dtype=dtype,
        generator=torch.Generator().manual_seed(seed),
    )


def captions(lines: Sequence[str], placeholder: str) -> list[str]:
    """Template lines with the word in them."""
    return [line.replace("[name]", placeholder).replace("[filewords]", "").strip() for line in lines]
