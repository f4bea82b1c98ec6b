"""Which part of a picture is shown: the largest part of the wanted proportions, placed by one of three rules. Pure.

`focal` looks for what a viewer looks at, as A1111's preprocessing does, by its rules for edges and for the part
with most information; its search for faces needs a network of its own and is left out.
"""

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
"""Left, top, right and bottom in pixels of the picture."""

_EDGE_WEIGHT, _ENTROPY_WEIGHT = 0.5, 0.15
_LOOKED_AT = 96
"""Edge of the small copy in which the focal point is looked for."""
_WINDOW = 16
_LEVELS = 16


def crop_box(size: tuple[int, int], wanted: tuple[int, int], centre: tuple[float, float]) -> Box:
    """The largest part of a picture of `size` that has the proportions of `wanted`.

    Args:
        size: width and height of the picture.
        wanted: width and height whose proportions it gets.
        centre: where its middle should lie, each 0 to 1; it is moved as far as the frame demands.
    """
    scale = min(size[0] / wanted[0], size[1] / wanted[1])
    width, height = wanted[0] * scale, wanted[1] * scale
    left = min(max(centre[0] * size[0] - width / 2, 0.0), size[0] - width)
    top = min(max(centre[1] * size[1] - height / 2, 0.0), size[1] - height)
    return left, top, left + width, top + height


def focal_point(image: Image.Image) -> tuple[float, float]:
    """Where the eye goes, each 0 to 1: between the middle of the strong edges and the part with most information."""
    small = image.convert("L")
    small.thumbnail((_LOOKED_AT, _LOOKED_AT))
    grey = np.asarray(small, dtype=np.float32)
    if min(grey.shape) < 3 or float(grey.max() - grey.min()) < 1:
        return 0.5, 0.5
    edges, information = _middle_of_edges(grey), _most_informative(grey)
    total = _EDGE_WEIGHT + _ENTROPY_WEIGHT
    x, y = ((e * _EDGE_WEIGHT + i * _ENTROPY_WEIGHT) / total for e, i in zip(edges, information, strict=True))
    return x, y


def _middle_of_edges(grey: np.ndarray) -> tuple[float, float]:
    down, right = np.gradient(grey)
    strength = np.hypot(down, right)
    strong = strength * (strength >= np.quantile(strength, 0.9))
    rows, columns = np.indices(grey.shape)
    weight = float(strong.sum())
    return (
        float((columns * strong).sum()) / weight / max(1, grey.shape[1] - 1),
        float((rows * strong).sum()) / weight / max(1, grey.shape[0] - 1),
    )


def _most_informative(grey: np.ndarray) -> tuple[float, float]:
    """Middle of the window whose grey levels have the highest entropy."""
    levels = (grey / 256 * _LEVELS).astype(np.int64)
    window = min(_WINDOW, *grey.shape)
    best, place = -1.0, (0.5, 0.5)
    for top in range(0, grey.shape[0] - window + 1, 4):
        for left in range(0, grey.shape[1] - window + 1, 4):
            entropy = _entropy(levels[top : top + window, left : left + window])
            if entropy > best + 1e-9:
                best = entropy
                place = ((left + window / 2) / grey.shape[1], (top + window / 2) / grey.shape[0])
    return place


def _entropy(levels: np.ndarray) -> float:
    shares = np.bincount(levels.ravel(), minlength=_LEVELS) / levels.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
