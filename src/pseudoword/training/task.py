"""What stays the same during a run, and when it is over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.training.draws import Drawing, TrainingData
from pseudoword.training.fixed_batch import FixedBatch
from pseudoword.training.options import TrainOptions
from pseudoword.training.rate import RateSchedule
from pseudoword.training.run import RunFolder
from pseudoword.training.state import TrainState
from pseudoword.training.stopping import has_settled, why_over
from pseudoword.training.team import ALONE, Team

Rows = Mapping[str, torch.Tensor]
Near = tuple[tuple[str, tuple[tuple[tuple[str, float], ...], ...]], ...]
"""Text encoder → for each vector words with their cosines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What stays the same during a run."""

    conditioner: Conditioner
    data: TrainingData
    fixed_batch: FixedBatch
    """Of training pictures."""
    held_back_batch: FixedBatch | None = None
    """Of pictures to judge by; where it is there, it decides."""
    options: TrainOptions
    drawing: Drawing
    rates: RateSchedule
    clip_limits: RateSchedule
    num_steps: int
    """Where the run ends at the latest: by the step count or by the schedule, whichever is first."""
    folder: RunFolder
    save_copy: Callable[[Rows, int, Path], None]
    """Writes the embedding after so many steps to a path."""
    draw_preview: Callable[[Rows, int, Path], None]
    """Draws fixed-seed pictures with the rows after so many steps into a path."""
    nearest: Callable[[Rows], Near]
    """The vocabulary's words that the rows are near to."""
    team: Team = ALONE
    """The processes that compute this run."""


def why_ended(task: Task, state: TrainState) -> str | None:
    """Why the run is over after `state`, or None if it is not (stopping.py)."""
    options = task.options
    judged = state.evaluated_step == state.step
    return why_over(
        stop=options.stop,
        step=state.step,
        num_steps=task.num_steps,
        minutes=state.elapsed / 60,
        max_minutes=options.max_time,
        settled=judged and has_settled([one.loss for one in state.history], options.patience, options.settle),
    )
