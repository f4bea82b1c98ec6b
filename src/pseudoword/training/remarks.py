"""What should be said about a set of pictures before it is trained on: doubles, near-doubles, enlarged ones. Pure.

Two pictures are near-doubles when their difference hashes (signs of the brightness steps from left to right and
from top to bottom, on a 17 × 17 grid) differ in few of 512 places.
"""

from collections.abc import Iterable, Sequence

import torch

from pseudoword.training.pictures import Picture

_GRID = 16
_ALIKE = 20
"""Places of 512 in which the hashes of near-doubles differ at most."""
_ENLARGED = 1.2
_SHOWN = 4


def remarks(pictures: Sequence[Picture]) -> list[str]:
    """Sentences for the user, in the order of importance; mirror images are not counted."""
    own = [picture for picture in pictures if not picture.flipped]
    doubles, near = _doubles(own)
    small = [picture for picture in own if _scale(picture) > _ENLARGED]
    found: list[str] = []
    if doubles:
        found.append(f"the same picture more than once: {_listed(f'{a.name} = {b.name}' for a, b in doubles)}")
    if near:
        found.append(f"nearly the same picture: {_listed(f'{a.name} ~ {b.name}' for a, b in near)}")
    if small:
        sizes = (f"{p.name} ({p.original[0]}x{p.original[1]})" for p in small)
        found.append(f"smaller than the model's pictures, and enlarged: {_listed(sizes)}")
    return found


def _scale(picture: Picture) -> float:
    height, width = picture.pixels.shape[-2:]
    return max(width / picture.original[0], height / picture.original[1])


def _doubles(pictures: Sequence[Picture]) -> tuple[list[tuple[Picture, Picture]], list[tuple[Picture, Picture]]]:
    hashes = [_difference_hash(picture) for picture in pictures]
    doubles: list[tuple[Picture, Picture]] = []
    near: list[tuple[Picture, Picture]] = []
    for i, first in enumerate(pictures):
        for j in range(i + 1, len(pictures)):
            second = pictures[j]
            if first.pixels.shape == second.pixels.shape and torch.equal(first.pixels, second.pixels):
                doubles.append((first, second))
            elif int((hashes[i] ^ hashes[j]).sum()) <= _ALIKE:
                near.append((first, second))
    return doubles, near


def _difference_hash(picture: Picture) -> torch.Tensor:
    grey = picture.pixels.mean(dim=0, keepdim=True).unsqueeze(0)
    small = torch.nn.functional.adaptive_avg_pool2d(grey, _GRID + 1)[0, 0]
    right = small[:_GRID, 1:] > small[:_GRID, :-1]
    down = small[1:, :_GRID] > small[:-1, :_GRID]
    return torch.cat([right.flatten(), down.flatten()])


def _listed(items: Iterable[str]) -> str:
    named = list(items)
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return ", ".join(named[:_SHOWN]) + more
