"""What a picture brings into the sampling: clean latents, a mask in latents, and the way back into the picture.

Without a picture there is none of it, and the sampling starts from noise alone. The autoencoder's mean is taken
where A1111 draws a sample with whatever noise is next; so the same request gives the same picture.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pseudoword.errors import BadFile, BadOption
from pseudoword.generation import masks, resize
from pseudoword.generation.options import Img2ImgOptions
from pseudoword.generation.request import Request, Size
from pseudoword.generation.sampling.denoiser import Mask
from pseudoword.generation.sampling.noise import Seeds
from pseudoword.models.protocols import BaseModel
from pseudoword.rng import picture_stream

FILL, ORIGINAL, LATENT_NOISE, LATENT_NOTHING = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The pictures of a request."""

    init: Image.Image
    mask: Image.Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where img2img starts."""

    latents: torch.Tensor
    """[1, c, h, w], clean."""
    redraw: torch.Tensor | None = None
    """[1, 1, h, w], 1 where to draw anew."""
    content: int = ORIGINAL
    concat: torch.Tensor | None = None
    """[1, 1 + c, h, w] for inpainting models."""
    original: Image.Image | None = None
    region: masks.Region | None = None

    def batch(self, seeds: Seeds) -> torch.Tensor:
        """Clean latents [b, c, h, w] with the masked part as `content` says."""
        count = len(seeds.pictures)
        latents = self.latents.expand(count, -1, -1, -1)
        if self.redraw is None or self.content not in (LATENT_NOISE, LATENT_NOTHING):
            return latents
        latents = latents * (1 - self.redraw)
        if self.content == LATENT_NOTHING:
            return latents
        shape = latents.shape[1:]
        drawn = torch.stack([picture_stream(seed, seeds.source).normal(shape) for seed in seeds.pictures])
        return latents + drawn.to(latents) * self.redraw

    def mask(self, latents: torch.Tensor) -> Mask | None:
        """For the denoiser; what is kept are the latents that the batch starts from."""
        return None if self.redraw is None else Mask(self.redraw, latents)

    def finish(self, image: Image.Image) -> Image.Image:
        """The drawn picture, where masked put into the original."""
        if self.region is None or self.original is None:
            return image
        return masks.laid_over(self.original, image, self.region)


def load_sources(options: Img2ImgOptions) -> Sources | None:
    """The pictures that a request names; None without a picture to start from.

    Raises:
        BadFile: one of them cannot be read.
    """
    if options.init_image is None:
        return None
    return Sources(init=_read(options.init_image), mask=None if options.mask is None else _read(options.mask))


def _read(path: Path) -> Image.Image:
    try:
        with Image.open(path.expanduser()) as image:
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as problem:
        raise BadFile(f"{path} cannot be read as a picture", expected="PNG, JPEG, WebP or the like") from problem


def start_from(request: Request, sources: Sources) -> Start:
    """Resize, mask and encode.

    Raises:
        BadOption: the mask is black everywhere, or it is to be used with a latent upscale of only a part.
    """
    options, model, size = request.options, request.model, request.size
    original = resize.flattened(sources.init)
    if sources.mask is None:
        return Start(latents=_encoded(model, original, size, options.resize_mode_number))
    region, original = _region(options, original, sources.mask, size)
    mode = resize.JUST_RESIZE if region.box else options.resize_mode_number
    image = original.crop(region.box) if region.box else original
    image = resize.resized(image, *size, resize.FILL if region.box else mode) if mode != resize.LATENT else image
    if options.masked_content_number != ORIGINAL and image.size == region.mask.size:
        image = masks.filled(image, region.mask)
    redraw = _latent_mask(region.mask, request.shape(size), model.device)
    return Start(
        latents=_encoded(model, image, size, mode),
        redraw=redraw,
        content=options.masked_content_number,
        concat=_shown(model, image.resize(size), region.mask, redraw) if model.takes_mask else None,
        original=original,
        region=region,
    )


def to_pixels(image: Image.Image) -> torch.Tensor:
    """[1, 3, H, W] in -1 … 1 from an RGB picture."""
    values = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32))
    return values.permute(2, 0, 1).unsqueeze(0) / 127.5 - 1


def to_picture(pixels: torch.Tensor) -> Image.Image:
    """An RGB picture from `pixels` [3, H, W] in -1 … 1, rounded to the nearest of 256 levels."""
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()), "RGB")


def interpolated(latents: torch.Tensor, height: int, width: int, mode: str, *, antialias: bool = False) -> torch.Tensor:
    """Latents [b, c, h, w] of another size."""
    return torch.nn.functional.interpolate(latents, size=(height, width), mode=mode, antialias=antialias)


def _region(
    options: Img2ImgOptions, original: Image.Image, mask: Image.Image, size: Size
) -> tuple[masks.Region, Image.Image]:
    """The region, and the original at the size at which the result will lie over it."""
    soft = masks.soft_mask(mask, invert=options.mask_invert, blur=options.mask_blur)
    if options.only_masked:
        soft = soft if soft.size == original.size else soft.resize(original.size)
        box = masks.box_around(soft, options.mask_padding, size)
        drawn = resize.resized(soft.crop(box), *size, resize.FILL)
        return masks.Region(mask=drawn, overlay=soft, box=box), original
    mode = options.resize_mode_number
    original = resize.resized(original, *size, mode)
    fitted = resize.resized(soft, *size, mode)
    if fitted.getbbox() is None:
        raise BadOption("a mask that is black everywhere", expected="white where to draw anew")
    wide = Image.fromarray((np.asarray(fitted).astype(int) * 2).clip(0, 255).astype(np.uint8))
    return masks.Region(mask=fitted, overlay=wide, box=None), original


def _encoded(model: BaseModel, image: Image.Image, size: Size, mode: int) -> torch.Tensor:
    if mode != resize.LATENT:
        return model.encode_pictures(to_pixels(resize.resized(image, *size, mode)))[0]
    step = model.downscale
    whole = image.resize((max(image.width // step, 1) * step, max(image.height // step, 1) * step))
    latents = model.encode_pictures(to_pixels(whole))[0]
    return interpolated(latents, size[1] // step, size[0] // step, "bilinear")


def _latent_mask(mask: Image.Image, shape: tuple[int, int, int], device: torch.device) -> torch.Tensor:
    small = np.asarray(mask.resize((shape[2], shape[1]), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    return torch.from_numpy(small.round()).to(device).view(1, 1, *shape[1:])


def _shown(model: BaseModel, image: Image.Image, mask: Image.Image, redraw: torch.Tensor) -> torch.Tensor:
    """Mask and masked picture as inpainting models were trained on them: grey where to draw anew."""
    hard = torch.from_numpy((np.asarray(mask) > 127).astype(np.float32)).view(1, 1, *mask.size[::-1])
    grey = model.encode_pictures(to_pixels(image) * (1 - hard))[0]
    small = interpolated(hard.to(redraw.device), redraw.shape[-2], redraw.shape[-1], "nearest")
    return torch.cat([small, grey.to(small)], dim=1)
