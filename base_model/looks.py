"""Grounds and looks: how one picture becomes several whose differences the caption can say. Pure functions.

Colour pictures are float tensors of shape (n, 3, h, w) in 0 … 1; alpha is (n, 1, h, w).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

GROUNDS = {
    "white": (255, 255, 255),
    "black": (15, 15, 15),
    "red": (220, 50, 47),
    "green": (60, 160, 80),
    "blue": (50, 100, 220),
    "yellow": (250, 215, 70),
    "pink": (250, 170, 200),
    "gray": (150, 150, 150),
    "orange": (245, 150, 50),
    "purple": (130, 70, 180),
    "sky blue": (150, 205, 250),
    "beige": (240, 225, 195),
}
GROUND_COLOURS = torch.tensor(list(GROUNDS.values()), dtype=torch.float32) / 255  # (12, 3), white first

_LUMA = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)
_SEPIA = torch.tensor((1.07, 0.92, 0.70)).view(1, 3, 1, 1)
_DARK = torch.tensor((0.1, 0.1, 0.45)).view(1, 3, 1, 1)
_LIGHT = torch.tensor((1.0, 0.85, 0.6)).view(1, 3, 1, 1)
_SOBEL = torch.tensor(((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0)))


def split_alpha(rgba: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (n, h, w, 4) → colour (n, 3, h, w) and alpha (n, 1, h, w), both 0 … 1."""
    values = rgba.permute(0, 3, 1, 2).float() / 255
    return values[:, :3], values[:, 3:]


def on_ground(colour: torch.Tensor, alpha: torch.Tensor, grounds: torch.Tensor) -> torch.Tensor:
    """Lay pictures on plain grounds; `grounds` (n) are indices into `GROUNDS`."""
    return colour * alpha + (1 - alpha) * GROUND_COLOURS[grounds][:, :, None, None]


def _grey(picture: torch.Tensor) -> torch.Tensor:
    return (picture * _LUMA).sum(1, keepdim=True)


def outline(picture: torch.Tensor) -> torch.Tensor:
    """Sobel edges of the slightly blurred grey picture, doubled and cut at 1; (n, 1, h, w)."""
    blurred = F.avg_pool2d(F.pad(_grey(picture), (1, 1, 1, 1), mode="replicate"), 3, 1)
    padded = F.pad(blurred, (1, 1, 1, 1), mode="replicate")
    across = F.conv2d(padded, _SOBEL[None, None])
    down = F.conv2d(padded, _SOBEL.T.contiguous()[None, None])
    return 2 * (across.square() + down.square()).sqrt().clamp(0, 1)


def grayscale(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Brightness alone."""
    return _grey(picture).expand(-1, 3, -1, -1)


def sepia(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Brightness in brown."""
    return (_grey(picture) * _SEPIA).clamp(0, 1)


def silhouette(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """The shape in near black on white."""
    return (1 - 0.9 * alpha).expand(-1, 3, -1, -1)


def pixel_art(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Squares of 8 pixels."""
    return F.interpolate(F.avg_pool2d(picture, 8), scale_factor=8, mode="nearest")


def negative(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Every colour turned into its opposite."""
    return 1 - picture


def sketch(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Dark outlines on white."""
    return (1 - 0.85 * outline(picture).clamp(0, 1)).expand(-1, 3, -1, -1)


def neon(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Outlines in their own bright colours on black."""
    bright = picture / (picture.amax(1, keepdim=True) + 0.05) * 0.8 + 0.2
    return (outline(picture).clamp(0, 1) * bright).clamp(0, 1)


def duotone(picture: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """Brightness from dark blue to light orange."""
    return _DARK + (_LIGHT - _DARK) * _grey(picture)


LOOKS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "grayscale": grayscale,
    "sepia": sepia,
    "silhouette": silhouette,
    "pixel art": pixel_art,
    "negative": negative,
    "sketch": sketch,
    "neon": neon,
    "duotone": duotone,
}
LOOK_NAMES = tuple(LOOKS)
