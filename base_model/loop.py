"""The loop that both training stages share: budget, learning rate, draws, saving, stopping, resuming.

A stage hands in a `Trainee` that knows one step. Everything that changes is in `LoopState` and in the
trainee's tensors, so a run that was killed and continued makes the same steps as one that was not: bit for
bit with a budget in steps and the same number of threads; with a budget in minutes the learning rate
follows the clock.
"""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from base_model.checkpoint import load_state, save_state
from base_model.options import option
from base_model.precision import CHOICES
from base_model.work import Refused

FLOOR = 0.02  # the cosine ends at this part of the learning rate
LONGEST_STEP = 30.0  # seconds; what is longer means that the machine slept, and is not counted
SMOOTHING = 0.98
STATE = "state.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Options of both training stages; without `steps` the budget is `minutes`."""

    steps: int | None = option(None, "budget in steps (repeatable bit for bit)", int)
    minutes: float = option(120.0, "budget in minutes of work, over all sittings", float)
    pause_after: float = option(math.inf, "stop after so many seconds, to be continued", float)
    batch: int = option(16, "pictures in a step", int)
    learning_rate: float = option(1e-3, "highest learning rate", float)
    warmup: int = option(200, "steps until the highest learning rate", int)
    save_every: float = option(300.0, "seconds between saved states", float)
    log_every: int = option(100, "steps between log lines", int)
    precision: str = option("auto", "auto measures which is faster", choices=CHOICES)
    threads: int = option(2, "threads; two programs with all threads slow each other tenfold", int)


class Trainee(Protocol):
    """What a stage trains: one step, and the tensors that the step changes."""

    num_pictures: int

    def step(self, picked: list[int], learning_rate: float, step: int, draws: np.random.Generator) -> dict[str, float]:
        """Train on the picked pictures; returns figures for the log, `loss` among them."""
        ...

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that changes."""
        ...

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Continue from saved tensors."""
        ...


@dataclass(slots=True, kw_only=True)
class LoopState:
    """What the loop itself changes; `order` holds the indices still to come in this pass."""

    draws: np.random.Generator
    step: int = 0
    seconds: float = 0.0
    order: list[int]
    loss: float | None = None

    def facts(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "order": self.order,
            "loss": self.loss,
            "draws": self.draws.bit_generator.state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The loop starts, at step 0 or where a saved state left off."""

    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A line for the log."""

    line: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The state is on disk. `finished`: the budget is spent."""

    step: int
    seconds: float
    loss: float | None
    finished: bool


def progress(options: TrainOptions, step: int, seconds: float) -> float:
    """The part of the budget that is spent; 1 and above is all of it."""
    return seconds / (60 * options.minutes) if options.steps is None else step / options.steps


def learning_rate(options: TrainOptions, step: int, spent: float) -> float:
    """Linear warm-up times a cosine over the budget that ends at 2 %."""
    cosine = (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0))) + FLOOR
    return options.learning_rate * min(1.0, (step + 1) / options.warmup) * cosine


def train(trainee: Trainee, options: TrainOptions, folder: Path, seed: int) -> Iterator[Begun | Logged | Saved]:
    """Train until the budget is spent, `pause_after` seconds have passed, or SIGINT or SIGTERM comes.

    Raises:
        Refused: the loss is not a number any more; the last saved state stays.
    """
    state = _start(trainee, folder / STATE, seed)
    yield Begun(step=state.step)
    begun = saved = last = time.monotonic()
    with _stop_asked() as asked:
        while progress(options, state.step, state.seconds) < 1 and not asked:
            figures = _advance(trainee, options, state)
            now = time.monotonic()
            state.seconds += min(LONGEST_STEP, now - last)
            last = now
            if state.step % options.log_every == 0:
                yield Logged(line={**figures, **_line(options, state, trainee.num_pictures)})
            if now - saved > options.save_every:
                yield _save(trainee, options, state, folder)
                saved = time.monotonic()
            if now - begun > options.pause_after:
                break
    yield _save(trainee, options, state, folder)


def _start(trainee: Trainee, path: Path, seed: int) -> LoopState:
    state = LoopState(draws=np.random.default_rng(seed), order=[])
    if path.is_file():
        tensors, facts = load_state(path)
        trainee.restore(tensors)
        state.draws.bit_generator.state = facts["draws"]
        state.step, state.seconds = facts["step"], facts["seconds"]
        state.order, state.loss = facts["order"], facts["loss"]
    return state


def _advance(trainee: Trainee, options: TrainOptions, state: LoopState) -> dict[str, float]:
    while len(state.order) < options.batch:
        state.order += [int(index) for index in state.draws.permutation(trainee.num_pictures)]
    picked, state.order = state.order[: options.batch], state.order[options.batch :]
    rate = learning_rate(options, state.step, progress(options, state.step, state.seconds))
    figures = trainee.step(picked, rate, state.step, state.draws)
    loss = figures["loss"]
    if not math.isfinite(loss):
        raise Refused(f"the loss is {loss} at step {state.step}. Continue with a lower --learning-rate")
    state.loss = loss if state.loss is None else SMOOTHING * state.loss + (1 - SMOOTHING) * loss
    state.step += 1
    return figures


def _line(options: TrainOptions, state: LoopState, num_pictures: int) -> dict[str, Any]:
    return {
        "step": state.step,
        "seconds": round(state.seconds, 1),
        "loss": state.loss,
        "passes": round(state.step * options.batch / num_pictures, 2),
        "samples_per_second": round(state.step * options.batch / max(state.seconds, 1e-9), 1),
    }


def _save(trainee: Trainee, options: TrainOptions, state: LoopState, folder: Path) -> Saved:
    save_state(folder / STATE, trainee.tensors(), state.facts())
    finished = progress(options, state.step, state.seconds) >= 1
    return Saved(step=state.step, seconds=state.seconds, loss=state.loss, finished=finished)


@contextmanager
def _stop_asked() -> Iterator[list[int]]:
    """A list that becomes true when SIGINT or SIGTERM asks to stop; the step at hand is still ended."""
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: asked.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
