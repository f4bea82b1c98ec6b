"""The pixel payload of A1111's picture cards, decoded and encoded exactly (reference a1111.md §1.4).

Bytes are deflated JSON. Their low nibbles fill a block of columns left of the picture, their high nibbles one to
its right, each parted from it by a black column; the lower four bits of every channel carry them, mixed with
those of a fixed linear congruential generator, and the upper four bits are decoration. Pure: arrays in, arrays out.
"""

import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

_FACTOR, _SUMMAND = 1664525, 1013904223
_CHANNELS = 3
_SEPARATORS = 2
_DISC = 6
"""Pixels of a disc of the decoration."""


def mask(count: int) -> "Pixels":
    """The first `count` lower nibbles of the generator s ← (1664525·s + 1013904223) mod 2³², s mod 255, from 0."""
    import numpy as np

    powers = np.full(count, _FACTOR, np.uint32)
    powers[:1] = 1
    sums = np.cumsum(np.cumprod(powers, dtype=np.uint32), dtype=np.uint32)
    states = sums * np.uint32(_SUMMAND)
    return (states % np.uint32(255)).astype(np.uint8) & np.uint8(15)


def extract(pixels: "Pixels", limit: int) -> bytes | None:
    """The inflated payload of a picture [height, width, 3], or None for a picture without one.

    Args:
        pixels: the whole picture in RGB.
        limit: bytes that it may inflate to.
    """
    import numpy as np

    lit = pixels.min(axis=2)
    rows, columns = np.flatnonzero(lit.max(axis=1)), np.flatnonzero(lit.max(axis=0))
    if not len(rows):
        return None
    low = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] & np.uint8(15)
    black = np.flatnonzero(low.max(axis=(0, 2)) == 0)
    if len(black) < _SEPARATORS:
        return None
    left, right = low[:, : black[0]], low[:, black[-1] + 1 :]
    if left.shape != right.shape or not left.size:
        return None
    mixed = mask(left.size)
    content = ((right.reshape(-1) ^ mixed) << 4) | (left.reshape(-1) ^ mixed)
    return _inflate(content.tobytes(), limit)


def _inflate(content: bytes, limit: int) -> bytes | None:
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(content, limit + 1)
    except zlib.error:
        return None  # a picture with black columns of its own
    return text if inflating.eof or len(text) > limit else None


def insert(pixels: "Pixels", text: bytes, decoration: "Sequence[float]") -> "Pixels":
    """The picture [height, width, 3] between its two blocks.

    Args:
        pixels: the picture in RGB.
        text: what is to be carried.
        decoration: numbers that shade the blocks' discs; they carry nothing.
    """
    import numpy as np

    height = len(pixels)
    content = np.frombuffer(zlib.compress(text, level=9), np.uint8)
    size = len(content) + height - len(content) % height
    size += _CHANNELS * height - size % (_CHANNELS * height)
    black = np.zeros((height, 1, _CHANNELS), np.uint8)
    four = np.uint8(4)
    nibbles = (content & np.uint8(15), content >> four)
    low, high = (_block(np.resize(half, size), height, decoration) for half in nibbles)
    return np.concatenate([low, black, pixels, black, high], axis=1)


def _block(nibbles: "Pixels", height: int, decoration: "Sequence[float]") -> "Pixels":
    mixed = (nibbles ^ mask(len(nibbles))).reshape(height, -1, _CHANNELS)
    return mixed | _decorate(height, mixed.shape[1], decoration)


def _decorate(height: int, width: int, decoration: "Sequence[float]") -> "Pixels":
    """Upper nibbles: discs in rows, shaded by numbers; nowhere zero, so that no border is taken for black."""
    import numpy as np

    sizes = np.abs(np.asarray(decoration, np.float32))
    shades = (1 + 14 * sizes / max(float(sizes.max()), 1e-12)).astype(np.uint8)
    row, column = np.arange(height)[:, None], np.arange(width)[None, :]
    disc = row // _DISC * -(-width // _DISC) + column // _DISC
    middle = (_DISC - 1) / 2
    inside = (row % _DISC - middle) ** 2 + (column % _DISC - middle) ** 2 <= middle**2 + 0.5
    upper = np.where(inside, shades[disc % len(shades)], 1).astype(np.uint8)
    return np.repeat((upper << np.uint8(4))[:, :, None], _CHANNELS, axis=2)
