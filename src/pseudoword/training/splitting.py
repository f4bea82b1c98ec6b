"""Long pictures cut into several, as A1111's preprocessing did ("split oversized images"). Pure."""

import math

from PIL import Image


def pieces(
    size: tuple[int, int], wanted: tuple[int, int], threshold: float = 0.5, overlap: float = 0.2
) -> list[tuple[float, float, float, float]]:
    """Boxes in pixels of the picture that together cover it, or none where it is not long enough to be split.

    The picture is split when its proportions, set against those of `wanted`, are at or below `threshold`; the
    pieces are evenly spaced and overlap by at least `overlap` of their length (reference a1111.md §4.11).
    """
    width, height = size
    portrait = height * wanted[0] > width * wanted[1]
    ratio = width * wanted[1] / (height * wanted[0]) if portrait else height * wanted[0] / (width * wanted[1])
    if not ratio <= threshold:
        return []
    short, target_short, target_long = (width, *wanted) if portrait else (height, *reversed(wanted))
    length = max(size)
    piece = target_long * short / target_short
    count = math.ceil((length - piece * overlap) / (piece * (1 - overlap)))
    starts = [i * (length - piece) / (count - 1) for i in range(count)]
    if portrait:
        return [(0.0, start, float(width), start + piece) for start in starts]
    return [(start, 0.0, start + piece, float(height)) for start in starts]


def split(image: Image.Image, wanted: tuple[int, int]) -> list[Image.Image]:
    """The pieces in the size `wanted`, or the picture itself, untouched."""
    boxes = pieces(image.size, wanted)
    return [image.resize(wanted, Image.Resampling.LANCZOS, box=box) for box in boxes] or [image]
