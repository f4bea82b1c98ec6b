"""From a single-file checkpoint in the original layout to the same modules as a folder in diffusers' layout has.

Each module is made without memory and filled weight by weight from the mapped file, straight in the type that it
will compute in, so that there is never a second copy of all weights. Weights of the training itself are used
before their running average (EMA), as A1111 does; the average is taken where only it is there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from pseudoword.errors import BadModel
from pseudoword.files import HashCache, old_hash
from pseudoword.models.clip_tokenizer import END, VOCABULARY_SIZE, clip_tokenizer
from pseudoword.models.keys import Place, open_clip_place, unet_place, vae_place
from pseudoword.models.kinds import describe, family_key
from pseudoword.models.prediction import scheduler_settings
from pseudoword.models.protocols import ModelHashes, Parts, TextEncoder
from pseudoword.models.shapes import OPEN_CLIP, OPENAI, TextNames, text_config, unet_config, unet_levels, vae_config
from pseudoword.models.weights import Weights, open_weights

_EMA_START = "model_ema.diffusion_model"
_SD2_BASE_SIZE = 64
"""Latent edge of SD2's first models, which predict epsilon; those that predict v were trained on 96."""
_OTHER_USES = {
    5: "a depth-to-image model",
    7: "an upscaling model",
    8: "an InstructPix2Pix model",
}
"""Input channels of the UNet that mean a use which has no place here."""


@dataclass(frozen=True, slots=True)
class Part:
    """The weights of one module: its names in the file are `prefixes`, first found, and a name of the layout."""

    weights: Weights
    prefixes: tuple[str, ...]
    averaged: bool = False
    """Whether the running average's names are meant, which have no dots."""
    used: set[str] = field(default_factory=set[str], repr=False)

    def find(self, name: str) -> str | None:
        """The full name in the file, or None."""
        if self.averaged:
            name = name.replace(".", "")
        full = (prefix + name for prefix in self.prefixes)
        return next((candidate for candidate in full if candidate in self.weights.shapes), None)

    def shape_of(self, name: str) -> tuple[int, ...] | None:
        """Shape by the layout's name."""
        full = self.find(name)
        return None if full is None else self.weights.shapes[full]

    def read(self, place: Place, shape: torch.Size) -> torch.Tensor:
        """The weight at `place` as a view of the file, in `shape`.

        Raises:
            BadModel: it is not there, or of another shape.
        """
        full = self.find(place.name)
        if full is None:
            raise BadModel(
                f"{self.weights.path} lacks {self.prefixes[0]}{place.name}",
                expected="a whole checkpoint",
                next_move="Download or copy it again",
            )
        self.used.add(full)
        value = self.weights.read(full)
        if place.third is not None:
            value = value.chunk(3)[place.third] if len(value) % 3 == 0 else value
        if place.transposed:
            value = value.T
        if value.shape != shape and _without_ones(value.shape) == _without_ones(shape):
            value = value.reshape(shape)  # an attention's 1 × 1 convolution, which is a linear layer
        if value.shape != shape:
            raise BadModel(
                f"{self.weights.path}: {full} is {list(value.shape)}", expected=f"{list(shape)} after the other weights"
            )
        return value

    def unused(self) -> list[str]:
        """Names of this part that no module asked for."""
        return sorted(n for n in self.weights.shapes if n.startswith(self.prefixes) and n not in self.used)


def _without_ones(shape: torch.Size) -> list[int]:
    return [length for length in shape if length != 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """An opened checkpoint of a known family; its modules are made by the functions below."""

    weights: Weights
    family: str

    @property
    def has_vae(self) -> bool:
        """Whether there is an autoencoder in it."""
        return _vae_part(self.weights).find("decoder.conv_in.weight") is not None


def open_checkpoint(path: Path) -> Checkpoint:
    """Open the file and tell its family.

    Raises:
        BadModel: it is no whole checkpoint; the message names what it is.
        UnsafePickle: its pickle names something that is not on the allow-list.
    """
    weights = open_weights(path)
    return Checkpoint(weights=weights, family=family_key(weights))


def read_checkpoint(path: Path, dtype: torch.dtype, cache: HashCache) -> Parts:
    """All parts on the CPU: the autoencoder in float32 (None if there is none), the others in `dtype`.

    Raises:
        BadModel: it is no whole checkpoint of SD1, SD2 or SDXL.
        UnsafePickle: its pickle names something that is not on the allow-list.
    """
    checkpoint = open_checkpoint(path)
    weights, family = checkpoint.weights, checkpoint.family
    return Parts(
        name=path.stem,
        path=path,
        encoders=make_encoders(checkpoint, dtype),
        unet=make_unet(checkpoint, dtype),
        vae=make_vae(weights, family) if checkpoint.has_vae else None,
        scheduler_config=scheduler_settings(weights, family),
        zeros_for_empty=family == "sdxl",
        hashes=ModelHashes(sha256=cache.sha256(path), old=old_hash(path)),
        epsilon_size=_SD2_BASE_SIZE if family == "sd2" else None,
    )


def make_unet(checkpoint: Checkpoint, dtype: torch.dtype) -> Any:
    """The UNet on the CPU, in `dtype`."""
    from diffusers import UNet2DConditionModel

    part = _unet_part(checkpoint.weights)
    projection = _second_part(checkpoint.weights).shape_of("text_projection") if checkpoint.family == "sdxl" else None
    config = unet_config(part.shape_of, checkpoint.family, projection[1] if projection else None)
    if use := _OTHER_USES.get(config["in_channels"]):
        raise BadModel(f"{checkpoint.weights.path} is {use}", expected="a text-to-image or inpainting model")
    layers, attention = config["layers_per_block"], tuple(level.depth > 0 for level in unet_levels(part.shape_of))
    unet = _filled(
        lambda: UNet2DConditionModel(**config), part, lambda name: unet_place(name, layers, attention), dtype
    )
    if unused := part.unused():
        raise BadModel(
            f"{checkpoint.weights.path}: a UNet with weights that no model of its family has ({unused[0]} …)",
            expected="the UNet of SD1, SD2 or SDXL",
        )
    return unet


def make_vae(weights: Weights, family: str) -> Any:
    """The autoencoder in float32; `weights` is a checkpoint or a file of its own, in either layout of names.

    Raises:
        BadModel: there is no autoencoder in it.
    """
    from diffusers import AutoencoderKL

    part = _vae_part(weights)
    if part.find("decoder.conv_in.weight") is None:
        raise BadModel(f"{weights.path} is {describe(weights)}", expected="a VAE (autoencoder)")
    config = vae_config(part.shape_of, family)
    num_levels = len(config["block_out_channels"])
    return _filled(lambda: AutoencoderKL(**config), part, lambda name: vae_place(name, num_levels), torch.float32)


def make_encoders(checkpoint: Checkpoint, dtype: torch.dtype) -> tuple[TextEncoder, ...]:
    """The text encoders on the CPU, with their tokenizers."""
    parts = text_parts(checkpoint)
    return tuple(_encoder(slot, part, names, dtype, checkpoint.family) for slot, part, names in parts)


def text_parts(checkpoint: Checkpoint) -> list[tuple[str, Part, TextNames]]:
    """Slot, weights and names of each text encoder, in their order."""
    weights = checkpoint.weights
    if checkpoint.family == "sd2":
        return [("clip_h", Part(weights, ("cond_stage_model.model.",)), OPEN_CLIP)]
    if checkpoint.family == "sd1":
        start = "cond_stage_model.transformer."  # early checkpoints lack the next word
        return [("clip_l", Part(weights, (f"{start}text_model.", start)), OPENAI)]
    first = Part(weights, ("conditioner.embedders.0.transformer.text_model.",))
    return [("clip_l", first, OPENAI), ("clip_g", _second_part(weights), OPEN_CLIP)]


def _encoder(slot: str, part: Part, names: TextNames, dtype: torch.dtype, family: str) -> TextEncoder:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(**text_config(part.shape_of, names, family))
    if config.vocab_size != VOCABULARY_SIZE:
        raise BadModel(f"{part.weights.path}: a text encoder of {config.vocab_size} tokens", expected="CLIP's 49408")
    pools = slot == "clip_g"
    kind = CLIPTextModelWithProjection if pools else CLIPTextModel

    def place(name: str) -> Place:
        name = name.removeprefix("text_model.")
        return open_clip_place(name) if names is OPEN_CLIP else Place(name)

    return TextEncoder(
        slot=slot,
        module=_filled(lambda: kind(config), part, place, dtype),
        tokenizer=tokenizer_of(slot),
        width=config.hidden_size,
        vocabulary_size=config.vocab_size,
        num_positions=config.max_position_embeddings,
        penultimate=family == "sdxl",
        pools=pools,
    )


def tokenizer_of(slot: str) -> Any:
    """A fresh tokenizer for a text encoder; OpenCLIP's pad with another token."""
    return clip_tokenizer(END if slot == "clip_l" else "!")


def _unet_part(weights: Weights) -> Part:
    part = Part(weights, ("model.diffusion_model.",))
    return part if part.find("input_blocks.0.0.weight") else Part(weights, (_EMA_START,), averaged=True)


def _second_part(weights: Weights) -> Part:
    return Part(weights, ("conditioner.embedders.1.model.",))


def _vae_part(weights: Weights) -> Part:
    return Part(weights, ("first_stage_model.", "vae.", ""))


def _filled(make: Callable[[], Any], part: Part, place: Callable[[str], Place], dtype: torch.dtype) -> Any:
    """The module that `make` makes, built without memory and given each weight once, in `dtype`."""
    with torch.device("meta"):
        module = make()
    state = {
        name: part.read(place(name), target.shape).to(dtype, copy=True).contiguous()
        for name, target in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)
    for name, buffer in list(module.named_buffers()):
        if buffer.is_meta:  # CLIP's position_ids, the only one that is not saved
            owner = module.get_submodule(name.rpartition(".")[0])
            setattr(owner, name.rpartition(".")[2], torch.arange(buffer.shape[-1])[None])
    return module
