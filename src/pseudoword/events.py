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
    stop: str
    keep: str
    best_loss: float | None
    """Of earlier sessions."""
    best_step: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone(Event):
    """One optimiser step; `step` counts finished steps, `seconds` is the time this one took."""

    step: int
    num_steps: int
    epoch: int
    epoch_step: int
    """The step's number within its epoch, from 0."""
    loss: float
    learning_rate: float
    seconds: float
    norm: float
    """Mean length of the trained rows over all text encoders."""
    cosine: float
    """Mean cosine between the rows and where they began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated(Event):
    """Losses on the fixed batches after `step` steps; `best` when no earlier one of a trained word was lower."""

    step: int
    loss: float
    """What decides: the held-back pictures' where there are any, else the training pictures'."""
    training_loss: float
    held_back_loss: float | None
    best: bool
    nearest: tuple[tuple[str, tuple[tuple[tuple[str, float], ...], ...]], ...]
    """Text encoder → for each vector the nearest words of the vocabulary with their cosines."""


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
    """A training ended well."""

    run: Path
    step: int
    reason: str
    """Why it ended: `steps`, `settled` or `time` (training/stopping.py)."""
    kept_step: int
    """The step whose rows are in the embeddings folder."""
    loss: float | None
    first_loss: float | None
    """Before any training."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredWord(Event):
    """A word of the vocabulary in place of the one to learn; `loss` is the mean over `num_samples` samples."""

    word: str
    loss: float
    num_samples: int
    held_back_loss: float | None = None
    only_compared: bool = False
    """Scored because somebody would have started there, not because it is among the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordsScored(Event):
    """The best words so far, the best first, then those that are only compared; `final` with all samples."""

    words: tuple[ScoredWord, ...]
    final: bool
