"""What the loops say while they run: frozen values, yielded by generators; the caller decides what to draw.

Pictures are `PIL.Image.Image` objects and paths are absolute or as the caller gave them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Root of all events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress(Event):
    """`done` of `total` units of the work named by `label`."""

    label: str
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned(Event):
    """Something that the user should know and that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """A training is about to take its first step (of this session)."""

    run: Path
    name: str
    step: int
    num_steps: int
    num_pictures: int
    num_vectors: int
    device: str
    precision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """One optimiser step; `step` counts finished steps, `seconds` is the time this one took."""

    step: int
    num_steps: int
    epoch: int
    loss: float
    learning_rate: float
    seconds: float
    norm: float
    """Mean length of the trained rows over all text encoders."""
    cosine: float
    """Mean cosine between the rows and where they began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    """Loss on the fixed batch after `step` steps; `best` when no earlier one was lower."""

    step: int
    loss: float
    best: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed(Event):
    """Fixed-seed pictures drawn with the rows as they are after `step` steps."""

    step: int
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved(Event):
    """A file is on disk, whole."""

    path: Path
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Event):
    """What was shared can be seen at this address."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded(Event):
    """A training ended well: all its steps are done."""

    run: Path
    step: int
    loss: float | None
    best_loss: float | None
    best_step: int | None
    seconds_per_step: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDone(Event):
    """A finished picture with everything needed to draw it again; `path` once it is on disk."""

    index: int
    seed: int
    image: Image
    infotext: str
    path: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDescribed(Event):
    """What a training would learn from."""

    num_pictures: int
    """Pictures of one epoch, with mirror images and repeats."""
    sizes: tuple[tuple[tuple[int, int], int], ...]
    """Width and height, and how many pictures an epoch shows in it."""
    captions: tuple[tuple[str, tuple[str, ...]], ...]
    """Name of each picture, and some captions that it will be fed with."""
