"""Pictures whose edges meet: every convolution reads beyond an edge what is at the opposite one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from pseudoword.models.protocols import BaseModel


@contextmanager
def tiled(model: BaseModel, *, on: bool) -> Iterator[None]:
    """UNet and autoencoder wrap around while this is open; the model is as before when it closes."""
    if not on:
        yield
        return
    parts: list[Any] = [part for part in (getattr(model, "unet", None), getattr(model, "vae", None)) if part]
    wrapped = [
        module
        for part in parts
        for module in part.modules()
        if isinstance(module, torch.nn.Conv2d) and module.padding_mode == "zeros" and module.padding != (0, 0)
    ]
    for module in wrapped:
        module.padding_mode = "circular"
    try:
        yield
    finally:
        for module in wrapped:
            module.padding_mode = "zeros"
