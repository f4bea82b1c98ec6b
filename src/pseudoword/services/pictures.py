"""Pictures on their way into a training: read as the options say, remarked on, encoded."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from pseudoword.events import Event, Warned
from pseudoword.models.protocols import BaseModel
from pseudoword.training.data_options import DataOptions
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.pictures import Picture, Preparation, load_pictures
from pseudoword.training.remarks import remarks
from pseudoword.training.sources import Source


def preparation(options: DataOptions, model: BaseModel, seed: int = 0) -> Preparation:
    """How these options make pictures of files for this model."""
    return Preparation(
        resolution=model.resolution,
        multiple=model.size_multiple,
        crop=options.crop,
        flip=options.flip,
        masks=options.masks,
        seed=seed,
    )


def read_pictures(sources: Sequence[Source], how: Preparation) -> Generator[Event, None, list[Picture]]:
    """The pictures of some folders; what should be said about them comes as `Warned`."""
    for item in load_pictures(sources, how):
        if isinstance(item, list):
            for sentence in remarks(item):
                yield Warned(message=sentence)
            return item
        yield item
    raise AssertionError("load_pictures ends with the pictures")


def read_and_encode(
    model: BaseModel, sources: Sequence[Source], how: Preparation, label: str, cache: Path | None
) -> Generator[Event, None, tuple[list[Picture], Latents]]:
    """Pictures without their pixels, and their latents; see `load_pictures` and `encode_latents`."""
    pictures = yield from read_pictures(sources, how)
    for item in encode_latents(model, pictures, label, cache):
        if isinstance(item, Latents):
            return [replace(picture, pixels=torch.empty(0)) for picture in pictures], item
        yield item
    raise AssertionError("encode_latents ends with the latents")


def called(options: DataOptions, name: str) -> str:
    """What stands for `[name]` in captions: the word, and its class noun behind it."""
    return f"{name} {options.noun}".strip()


def latent_mask(picture: Picture, model: BaseModel) -> torch.Tensor | None:
    """The picture's weights of places, each the mean over one latent's pixels."""
    if picture.mask is None:
        return None
    return torch.nn.functional.avg_pool2d(picture.mask[None, None], model.downscale)[0, 0]
