"""Masks for inpainting, as pictures: white is drawn anew (reference a1111.md §3.3 and §5.2); no torch.

Steps: binary → inverted if wanted → soft edge → the whole picture or the region around the mask.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from pseudoword.errors import BadOption

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""
_FILL_PASSES = ((256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1))
"""Radius of the blur, and how often its result is laid over the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """What is drawn, and how it comes back into the original picture."""

    mask: Image.Image
    """L, of the size that is drawn."""
    overlay: Image.Image
    """L, of the original's size: where the drawn part is seen."""
    box: Box | None
    """The part of the original that is drawn; None for all of it."""


def soft_mask(mask: Image.Image, *, invert: bool, blur: float) -> Image.Image:
    """L: what is above half (of the alpha channel, if that says something) is white, then a Gaussian edge."""
    alpha = mask.getchannel("A") if "A" in mask.getbands() else None
    grey = alpha if alpha is not None and alpha.getextrema() != (255, 255) else mask.convert("L")
    binary = Image.fromarray(np.where(np.asarray(grey) > 127, 255, 0).astype(np.uint8))
    if invert:
        binary = ImageOps.invert(binary)
    return Image.fromarray(_gaussian(np.asarray(binary, dtype=np.float64), blur)) if blur > 0 else binary


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Rows, then columns; the kernel reaches 2.5 sigma, the picture is mirrored at its edges."""
    reach = int(2.5 * sigma + 0.5)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if axis == own else (0, 0) for own in (0, 1)]
        wide = np.pad(values, padding, mode="reflect" if values.shape[axis] > 1 else "edge")
        values = np.apply_along_axis(np.convolve, axis, wide, kernel, mode="valid")
    return values.round().clip(0, 255).astype(np.uint8)


def box_around(mask: Image.Image, padding: int, size: tuple[int, int]) -> Box:
    """The region around the mask, padded, with the proportions of `size` where the picture leaves room.

    Raises:
        BadOption: nothing is masked.
    """
    found = mask.getbbox()
    if found is None:
        raise BadOption("a mask that is black everywhere", expected="white where to draw anew")
    left, top = max(found[0] - padding, 0), max(found[1] - padding, 0)
    right, bottom = min(found[2] + padding, mask.width), min(found[3] + padding, mask.height)
    if (right - left) / (bottom - top) > size[0] / size[1]:
        top, bottom = _widened(top, bottom, int((right - left) * size[1] / size[0]), mask.height)
    else:
        left, right = _widened(left, right, int((bottom - top) * size[0] / size[1]), mask.width)
    return left, top, right, bottom


def _widened(start: int, end: int, wanted: int, limit: int) -> tuple[int, int]:
    more = wanted - (end - start)
    start, end = start - more // 2, end + more - more // 2
    if end > limit:
        start, end = start - (end - limit), limit
    return max(start, 0), min(end - min(start, 0), limit)


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The masked part painted over with the colours around it, coarse to fine (masked content `fill`)."""
    kept = Image.new("RGBa", image.size)
    kept.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask.convert("L")))
    result = Image.new("RGBA", image.size)
    for radius, repeats in _FILL_PASSES:
        blurred = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            result.alpha_composite(blurred)
    return result.convert("RGB")


def laid_over(original: Image.Image, drawn: Image.Image, region: Region) -> Image.Image:
    """`drawn` in its place in the original, seen where `region.overlay` is white."""
    box = region.box or (0, 0, *original.size)
    back = drawn.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
    whole = original.copy()
    whole.paste(back, box[:2])
    return Image.composite(whole, original, region.overlay)
