"""The hires pass: a finished picture enlarged, with noise laid on, and its details drawn anew.

Enlarged either as latents, by interpolation, or as a picture between two passes of the autoencoder.
"""

from dataclasses import dataclass

import torch
from PIL import Image

from pseudoword.generation.img2img import interpolated, to_picture, to_pixels
from pseudoword.generation.options import LATENT_UPSCALERS, GenerateOptions
from pseudoword.generation.request import Request, Size

_LATENT_MODES = {
    "Latent": ("bilinear", False),
    "Latent (antialiased)": ("bilinear", True),
    "Latent (bicubic)": ("bicubic", False),
    "Latent (bicubic antialiased)": ("bicubic", True),
    "Latent (nearest)": ("nearest", False),
    "Latent (nearest-exact)": ("nearest-exact", False),
}
_PIXEL_MODES = {"Lanczos": Image.Resampling.LANCZOS, "Nearest": Image.Resampling.NEAREST}


@dataclass(frozen=True, slots=True)
class Target:
    """Enlarge to `whole`, then cut the middle of size `size` out; both width and height in pixels."""

    whole: Size
    size: Size


def target_of(options: GenerateOptions, size: Size, step: int) -> Target:
    """By scale, or by width or height with proportions kept, or by both with the overhang cut off.

    Args:
        options: with a hires pass.
        size: of the first pass.
        step: pixels per latent; sizes are rounded down to its multiples.
    """
    width, height = options.hires_width, options.hires_height
    if not (width or height):
        whole = (int(size[0] * options.hires_scale), int(size[1] * options.hires_scale))
        return _floored(whole, whole, step)
    wide = (width, width * size[1] // size[0])
    high = (height * size[0] // size[1], height)
    if not height:
        return _floored(wide, wide, step)
    if not width:
        return _floored(high, high, step)
    return _floored(high if size[0] / size[1] > width / height else wide, (width, height), step)


def enlarged(request: Request, latents: torch.Tensor, target: Target) -> torch.Tensor:
    """Clean latents [b, c, h, w] at the target's size."""
    step = request.model.downscale
    width, height = target.whole[0] // step, target.whole[1] // step
    name = request.options.upscaler
    if name in LATENT_UPSCALERS:
        mode, antialias = _LATENT_MODES[name]
        large = interpolated(latents, height, width, mode, antialias=antialias)
    else:
        large = torch.cat([_by_pixels(request, one, target.whole) for one in latents.split(1)])
    left, top = (width - target.size[0] // step) // 2, (height - target.size[1] // step) // 2
    return large[:, :, top : top + target.size[1] // step, left : left + target.size[0] // step]


def _by_pixels(request: Request, latents: torch.Tensor, size: Size) -> torch.Tensor:
    image = to_picture(request.model.decode_latents(latents)[0])
    image = image.resize(size, _PIXEL_MODES[request.options.upscaler])
    return request.model.encode_pictures(to_pixels(image))[0]


def _floored(whole: Size, size: Size, step: int) -> Target:
    sizes = [(max(w // step, 1) * step, max(h // step, 1) * step) for w, h in (whole, size)]
    return Target(sizes[0], (min(sizes[0][0], sizes[1][0]), min(sizes[0][1], sizes[1][1])))
