"""Sizes for pictures of different shapes, so that none is squashed and little is cut off. Pure.

Every size has about the area that the model was trained on, and edges that its network can halve; a picture goes
to the size whose proportions are nearest to its own.
"""

import math
from collections.abc import Sequence

Size = tuple[int, int]
"""Width and height in pixels."""

_LONGEST = 2.0
"""Most elongated shape; what is longer is cut."""


def bucket_sizes(resolution: int, multiple: int) -> tuple[Size, ...]:
    """All sizes of at most `resolution`² pixels whose edges are multiples of `multiple`, from tall to wide."""
    area = resolution * resolution
    found = {(resolution, resolution)}
    for width in range(multiple, resolution + 1, multiple):
        height = area // width // multiple * multiple
        if height <= _LONGEST * width:
            found |= {(width, height), (height, width)}
    return tuple(sorted(found, key=lambda size: (size[0] / size[1], size)))


def nearest_size(width: int, height: int, choices: Sequence[Size]) -> Size:
    """The size whose proportions are nearest to those of `width` × `height`; the larger one of two alike."""
    shape = math.log(width / height)
    return min(choices, key=lambda size: (round(abs(math.log(size[0] / size[1]) - shape), 9), -size[0] * size[1]))
