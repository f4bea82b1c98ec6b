"""When to end: by steps, by time, or when the loss on the fixed batch has settled. Pure.

As DVAR (Voronov et al. 2023, arXiv 2302.04841) this looks at losses of one fixed batch, which do not swing with the
drawn noise. DVAR stops when the variance of the last losses is small against that of all; a loss that falls along a
straight line fulfils that too, once the line is long enough. What is asked here is the gain: a training has settled
when the lowest of the last `patience` losses lies below the lowest before by less than a share `settle` of all that
was gained since the first one.
"""

from collections.abc import Sequence

STEPS, SETTLED, TIME = "steps", "settled", "time"


def has_settled(losses: Sequence[float], patience: int, settle: float) -> bool:
    """Whether the last `patience` of these losses, the first of which is that before any training, gained little.

    The first `patience` losses after the one before training are never enough to tell.
    """
    if len(losses) < 2 * patience + 1:
        return False
    before, recent = min(losses[:-patience]), min(losses[-patience:])
    gained = losses[0] - min(before, recent)
    return before - recent <= settle * max(gained, 0.0)


def why_over(
    *,
    stop: str,
    step: int,
    num_steps: int,
    minutes: float,
    max_minutes: float | None,
    settled: bool,
) -> str | None:
    """The reason for a training to be over after `step` steps and so many minutes, or None if it goes on."""
    if step >= num_steps:
        return STEPS
    if stop == "auto" and settled:
        return SETTLED
    if stop == "time" and max_minutes is not None and minutes >= max_minutes:
        return TIME
    return None
