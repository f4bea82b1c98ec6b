"""Draws events: one progress bar with loss, steps/s and time left; lines above it for what stays."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import singledispatchmethod
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pseudoword import events

_SMOOTHING = 0.9
_NEAREST = 4
"""Vectors whose nearest words are shown."""
_REASONS = {
    "steps": "ended with its last step",
    "settled": "ended because the loss on the fixed batch has settled",
    "time": "ended because its time is over",
}
_CAPTIONS = 12
"""Pictures whose captions are listed."""
_LINE_EVERY = 10.0
"""Seconds between progress lines where no bar can be drawn."""


class Display:
    """Shows events as they come; use as a context manager around the loop."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._label = ""
        self._loss = 0.0
        self._seconds = 0.0
        self._last_line = time.monotonic()
        self.run: Path | None = None
        self.step = 0
        self.ended = False
        self._keep = "last"
        self._best: tuple[int, float] | None = None

    def __enter__(self) -> "Display":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()  # without a terminal it would leave an empty line

    @singledispatchmethod
    def show(self, event: events.Event) -> None:
        """Draw one event; those without a rule are for other fronts."""

    @show.register
    def _(self, event: events.Progress) -> None:
        self._advance(event.label, event.done, event.total, "")

    @show.register
    def _(self, event: events.Warned) -> None:
        self._line(f"[yellow]note:[/] {_plain(event.message)}")

    @show.register
    def _(self, event: events.RunStarted) -> None:
        self.run, self.step, self._keep = event.run, event.step, event.keep
        if event.best_step is not None and event.best_loss is not None:
            self._best = event.best_step, event.best_loss
        ends = {"auto": f"at most {event.num_steps} steps", "time": "until its time is over"}
        steps = ends.get(event.stop, f"{event.num_steps} steps")
        self._line(
            f"{'continuing' if event.step else 'learning'} [bold]{_plain(event.name)}[/] from "
            f"{event.num_pictures} pictures: {event.num_vectors} vectors, {steps}, "
            f"{event.device}, {event.precision}; run folder {_plain(str(event.run))}"
        )

    @show.register
    def _(self, event: events.StepDone) -> None:
        first = self._label != "learning"
        self._loss = event.loss if first else _smooth(self._loss, event.loss)
        self._seconds = event.seconds if first else _smooth(self._seconds, event.seconds)
        self.step = event.step
        detail = f"loss {self._loss:.4f}  {1 / self._seconds:.2f} steps/s"
        self._advance("learning", event.step, event.num_steps, detail)

    @show.register
    def _(self, event: events.Evaluated) -> None:
        if event.best:
            self._best = event.step, event.loss
        best = "  (best so far)" if event.best else ""
        losses = f"{event.loss:.4f}"
        if event.held_back_loss is not None:
            losses = f"{event.held_back_loss:.4f} held back, {event.training_loss:.4f} training"
        near = [vector[0][0] for _, vectors in event.nearest[:1] for vector in vectors if vector]
        words = _plain(f"  near: {', '.join(near[:_NEAREST])}") if near else ""
        self._line(f"  after step {event.step:>5}: fixed-batch loss {losses}{best}{words}")

    @show.register
    def _(self, event: events.Saved) -> None:
        if not event.what.startswith("copy"):
            self._line(f"wrote {_plain(str(event.path))}  ({event.what})")

    @show.register
    def _(self, event: events.Published) -> None:
        self._line(f"published: {_plain(event.url)}")

    @show.register
    def _(self, event: events.Previewed) -> None:
        self._line(f"  after step {event.step:>5}: preview {_plain(str(event.path))}")

    @show.register
    def _(self, event: events.PictureDone) -> None:
        if event.path is not None:
            self._line(f"wrote {_plain(str(event.path))}  (seed {event.seed})")

    @show.register
    def _(self, event: events.RunEnded) -> None:
        self.ended = True
        speed = f", {event.seconds_per_step:.3f} s per step" if event.seconds_per_step else ""
        self._line(f"done: {event.step} steps{speed}; {_REASONS.get(event.reason, event.reason)}")
        if event.best_loss is not None:
            before = f", {event.first_loss:.4f} before training" if event.first_loss is not None else ""
            self._line(f"best: loss {event.best_loss:.4f} on the fixed batch after step {event.best_step}{before}")
        self._line(f"kept: the vectors after step {event.kept_step}")

    def what_is_kept(self) -> str:
        """What a stop leaves in the embeddings folder, and what was best."""
        if self._best is None:
            return f"kept: the vectors after step {self.step}"
        step, loss = self._best
        kept = step if self._keep == "best" else self.step
        return f"kept: the vectors after step {kept}; best: loss {loss:.4f} on the fixed batch after step {step}"

    @show.register
    def _(self, event: events.DatasetDescribed) -> None:
        self._line(f"{event.num_pictures} pictures an epoch")
        for (width, height), count in event.sizes:
            self._line(f"  {width} x {height}: {count}")
        self._line("captions, as some steps will have them:")
        for name, captions in event.captions[:_CAPTIONS]:
            self._line(_plain(f"  {name}: " + " | ".join(captions)))
        if len(event.captions) > _CAPTIONS:
            self._line(f"  … and those of {len(event.captions) - _CAPTIONS} more pictures")

    def _advance(self, label: str, done: int, total: int, detail: str) -> None:
        if label != self._label:
            if self._task is not None:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(label, total=total, completed=done, detail=detail)
            self._label = label
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total, detail=detail)
        if not self._console.is_terminal and time.monotonic() - self._last_line > _LINE_EVERY:
            self._last_line = time.monotonic()
            self._line(f"  {label}: {done}/{total}  {detail}")

    def _line(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def display() -> Iterator[Display]:
    """A display on stdout."""
    with Display(Console()) as shown:
        yield shown


def _smooth(old: float, new: float) -> float:
    return _SMOOTHING * old + (1 - _SMOOTHING) * new


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
