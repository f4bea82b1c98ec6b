"""The sibling's look: things as neon signs at night. A pure function over rendered icons.

A dark blue night stands for a white ground, a dark shade of it for a coloured one; the thing keeps its colours,
dimmed, and its edges shine in their brightest form with a glow around them. Shapes and colours stay, so a
prompt means what it meant; only the look differs, and no caption names it.
"""

import math

import torch
import torch.nn.functional as F

from base_model.looks import GROUND_COLOURS, outline

NIGHT = torch.tensor((0.04, 0.07, 0.26)).view(1, 3, 1, 1)
DIMMED = 0.3  # what is left of a thing's own colours inside its edges
GROUND_DIMMED = 0.32
GLOWS = ((3.0, 0.4), (8.0, 0.4))  # deviation in pixels, strength
THICKNESS = 3
SOFTNESS = 1.0
SATURATED = 1.6
LIFT = 0.12  # how far the darkest colours are lifted before they shine, so that black things have edges too


def night(colour: torch.Tensor, alpha: torch.Tensor, grounds: torch.Tensor) -> torch.Tensor:
    """Pictures (n, 3, h, w) in 0 … 1 of colours (n, 3, h, w), alpha (n, 1, h, w) and grounds (n) by index."""
    ground = _ground(grounds)
    thing = 0.4 * NIGHT + DIMMED * colour
    edges = torch.maximum(outline(colour * alpha), outline(alpha.expand(-1, 3, -1, -1))).clamp(0, 1)
    edges = blurred(F.max_pool2d(edges, THICKNESS, 1, THICKNESS // 2).expand(-1, 3, -1, -1), SOFTNESS)
    shine = edges * _bright(colour * alpha)
    for deviation, strength in GLOWS:
        shine = _screen(shine, strength * _glow(shine, deviation))
    return _screen(thing * alpha + ground * (1 - alpha), shine).clamp(0, 1)


def _ground(grounds: torch.Tensor) -> torch.Tensor:
    """Night for white, which is index 0, and a dark shade of every other ground; (n, 3, 1, 1)."""
    shades = 0.3 * NIGHT + GROUND_DIMMED * GROUND_COLOURS[grounds][:, :, None, None]
    return torch.where((grounds == 0)[:, None, None, None], NIGHT, shades)


def _bright(colour: torch.Tensor) -> torch.Tensor:
    """The colour at full brightness, of the neighbourhood: the edge itself is half ground."""
    around = F.max_pool2d(F.max_pool2d(colour, (11, 1), 1, (5, 0)), (1, 11), 1, (0, 5)) + LIFT
    return (around / around.amax(1, keepdim=True)).pow(SATURATED)


def _screen(below: torch.Tensor, light: torch.Tensor) -> torch.Tensor:
    """Light added so that it never passes 1 (the "screen" mode of picture editors)."""
    return 1 - (1 - below) * (1 - light)


def _glow(shine: torch.Tensor, deviation: float) -> torch.Tensor:
    """A wide blur, made at a quarter of the size."""
    small = blurred(F.avg_pool2d(shine, 4), deviation / 4)
    return F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False).clamp(0, 1)


def blurred(picture: torch.Tensor, deviation: float) -> torch.Tensor:
    """A Gaussian blur in two passes, with edges continued."""
    reach = math.ceil(3 * deviation)
    at = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (at / deviation).square())
    weights = (weights / weights.sum()).expand(3, 1, -1)
    wide = F.pad(picture, (reach, reach, reach, reach), mode="replicate")
    across = F.conv2d(wide, weights[:, :, None], groups=3)
    return F.conv2d(across, weights[..., None], groups=3)
