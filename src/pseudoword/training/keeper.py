"""Brings a run's state and logs to the disk in time, and ends the run where that can no longer be done."""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pseudoword.errors import BadFile, NotSaved, TrainingDiverged
from pseudoword.events import Event, Saved, Warned
from pseudoword.training.logs import RunLog
from pseudoword.training.state import RowOptimizer, TrainState
from pseudoword.training.task import Rows, Task

_T = TypeVar("_T")
SAVE_SECONDS = 5.0
"""The state is written at least so often, besides every `state_every` steps and at every stop: what a kill can cost."""


class Keeper:
    """Brings state and logs to the disk, and the clock into the state."""

    def __init__(self, task: Task, state: TrainState) -> None:
        self._task, self._state = task, state
        self._saved_at, self._saved_step = time.monotonic(), state.step
        self._started_at, self._elapsed_before = self._saved_at, state.elapsed
        self._whole = True  # a second Ctrl-C may end a step half-way: such a state must not reach the disk
        self.log = self._written(lambda: RunLog(task.folder, state.step, state.evaluated_step))
        self.optimizer = RowOptimizer(state, task.conditioner.model.device, task.options)

    @contextmanager
    def changing(self) -> Generator[None]:
        """A block that changes the state, or leaves it as it was where it raises `TrainingDiverged`."""
        self._whole = False
        try:
            yield
        except TrainingDiverged:
            self._whole = True
            raise
        self._whole = True

    def tick(self) -> None:
        """Bring the state's clock up to date."""
        self._state.elapsed = self._elapsed_before + time.monotonic() - self._started_at

    def save_if_due(self) -> Iterator[Event]:
        """Write the state where that is due by steps or by time."""
        steps = self._state.step - self._saved_step
        if steps and (steps >= self._task.options.state_every or time.monotonic() - self._saved_at > SAVE_SECONDS):
            yield from self.save()

    def save(self) -> Iterator[Event]:
        """Write logs and state."""
        self.tick()
        if reason := self._written(self._save):
            yield Warned(message=f"TensorBoard's file is written no more: {reason}")

    def _save(self) -> str | None:
        reason = self.log.flush()
        self.optimizer.remember()
        self._state.save(self._task.folder.state)
        self._saved_at, self._saved_step = time.monotonic(), self._state.step
        return reason

    def best_file(self) -> Iterator[Event]:
        """Bring the best rows of the state to the disk; a kill may have left the file of a later step."""
        state, path = self._state, self._task.folder.best(self._task.options.name)
        if not state.best:
            self._written(lambda: path.unlink(missing_ok=True))
            return
        self.copy(state.best, state.best_step or 0, path)
        yield Saved(path=path, what="copy of the best embedding")

    def copy(self, rows: Rows, step: int, path: Path) -> None:
        """Write an embedding."""
        self._written(lambda: self._task.save_copy(rows, step, path))

    def _written(self, write: Callable[[], _T]) -> _T:
        """What `write` gives back; its failure is that of the run, and the state is not written again."""
        try:
            return write()
        except (BadFile, OSError) as problem:
            told = problem.got if isinstance(problem, BadFile) else str(problem)
            self._whole = False
            raise NotSaved(told, self._saved_step, str(self._task.folder.path)) from problem

    def close(self) -> None:
        """Save what is whole, and close the logs."""
        try:
            if self._whole:
                for _ in self.save():
                    pass
        finally:
            self.log.close()
