"""Pictures whose edges meet: every convolution reads beyond an edge what is at the opposite one.

The wish belongs to whoever asks, not to the model: it is a context variable, so that of two threads that draw with one
model only the one that asked for it gets edges that meet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch

from pseudoword.models.protocols import BaseModel

_ON: ContextVar[bool] = ContextVar("tiling", default=False)


@contextmanager
def tiled(model: BaseModel, *, on: bool) -> Iterator[None]:
    """UNet and autoencoder wrap around while this is open, in this thread (or task) alone."""
    if not on:
        yield
        return
    _prepare(model)
    before = _ON.set(True)
    try:
        yield
    finally:
        _ON.reset(before)


def _prepare(model: BaseModel) -> None:
    """Let each convolution look at the wish. Doing it again, or in two threads at once, changes nothing."""
    parts: list[Any] = [part for part in (getattr(model, "unet", None), getattr(model, "vae", None)) if part]
    for part in parts:
        for module in part.modules():
            if isinstance(module, torch.nn.Conv2d) and module.padding_mode == "zeros" and module.padding != (0, 0):
                module._conv_forward = partial(_convolved, module)  # pyright: ignore[reportAttributeAccessIssue]


def _convolved(
    module: torch.nn.Conv2d, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    if not _ON.get():
        return torch.nn.Conv2d._conv_forward(module, x, weight, bias)
    wide = torch.nn.functional.pad(x, module._reversed_padding_repeated_twice, mode="circular")
    return torch.nn.functional.conv2d(wide, weight, bias, module.stride, 0, module.dilation, module.groups)
