"""A run's logs: CSV files that survive a kill, and TensorBoard."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from pseudoword.errors import BadFile
from pseudoword.events import Evaluated, StepDone
from pseudoword.files import AppendFile, atomic_write
from pseudoword.training.board import Board
from pseudoword.training.run import RunFolder

LOSS_HEADER = ("step", "epoch", "loss", "learn_rate", "norm", "cosine", "seconds")
EVALUATION_HEADER = ("step", "loss", "training_loss", "held_back_loss")
A1111_HEADER = ("step", "epoch", "epoch_step", "loss", "learn_rate")
NEAREST_HEADER = ("step", "text_encoder", "vector", "words")


class RunLog:
    """Appends to a run's logs; rows past the state that is continued from are cut off first.

    Rows reach the disk with `flush`, which is called before every save of the state, so that the logs never lag
    behind the state that a killed run continues from. The CSV files hold what cannot be made again, and a run ends
    where they cannot be written; TensorBoard's file is a copy, and a run goes on without it.
    """

    def __init__(self, folder: RunFolder, step: int, evaluated_step: int) -> None:
        self._losses = _Table(folder.losses, LOSS_HEADER, step)
        self._theirs = _Table(folder.a1111_losses, A1111_HEADER, step)
        self._evaluations = _Table(folder.evaluations, EVALUATION_HEADER, evaluated_step)
        self._nearest = _Table(folder.nearest, NEAREST_HEADER, evaluated_step)
        self._tables = (self._losses, self._theirs, self._evaluations, self._nearest)
        self._board: Board | None = Board(folder.tensorboard, step + 1 if step else None)

    def step(self, event: StepDone) -> None:
        """One optimiser step."""
        loss, rate = f"{event.loss:.7f}", f"{event.learning_rate:g}"
        figures = f"{event.norm:.5f}", f"{event.cosine:.5f}", f"{event.seconds:.4f}"
        self._losses.add(event.step, event.epoch, loss, rate, *figures)
        self._theirs.add(event.step, event.epoch, event.epoch_step, loss, rate)
        if self._board is not None:
            self._board.number("loss/train", event.loss, event.step)
            self._board.number("learning_rate", event.learning_rate, event.step)
            self._board.number("rows/mean_norm", event.norm, event.step)
            self._board.number("rows/cosine_to_initial", event.cosine, event.step)
            self._board.number("seconds_per_step", event.seconds, event.step)

    def evaluation(self, event: Evaluated) -> None:
        """Losses on the fixed batches, and the nearest words."""
        held_back = "" if event.held_back_loss is None else f"{event.held_back_loss:.7f}"
        self._evaluations.add(event.step, f"{event.loss:.7f}", f"{event.training_loss:.7f}", held_back)
        lines: list[str] = []
        for slot, vectors in event.nearest:
            for number, near in enumerate(vectors):
                words = ", ".join(f"{word} {cosine:.3f}" for word, cosine in near)
                self._nearest.add(event.step, slot, number, words)
                lines.append(f"- {slot} {number}: {words}")
        if self._board is not None:
            self._board.number("loss/fixed_batch", event.training_loss, event.step)
            if event.held_back_loss is not None:
                self._board.number("loss/fixed_batch_held_back", event.held_back_loss, event.step)
            self._board.text("nearest_words", "\n".join(lines), event.step)

    def preview(self, step: int, path: Path) -> None:
        """Pictures that were drawn."""
        if self._board is not None:
            self._board.picture("previews", path, step)

    def flush(self) -> str | None:
        """Write everything; the text says why TensorBoard's file is written no more, if that has just happened.

        Raises:
            BadFile: a CSV file cannot be written.
        """
        for table in self._tables:
            table.flush()
        if self._board is not None:
            try:
                self._board.flush()
            except BadFile as problem:
                self._board.close()
                self._board = None
                return problem.got
        return None

    def close(self) -> None:
        """Close all files."""
        for table in self._tables:
            table.close()
        if self._board is not None:
            self._board.close()


class _Table:
    """A CSV file with nothing but the header and whole rows up to a step in it when it is opened."""

    def __init__(self, path: Path, header: Sequence[str], last_step: int) -> None:
        rows = [_widened(row, header) for row in read_rows(path) if int(row[0]) <= last_step]
        kept = [row for row in rows if len(row) == len(header)]
        atomic_write(path, "".join(_line(row) for row in (header, *kept)).encode())
        self._file = AppendFile(path)
        self.flush, self.close = self._file.flush, self._file.close

    def add(self, *values: object) -> None:
        self._file.add(_line(values).encode())


def _widened(row: list[str], header: Sequence[str]) -> list[str]:
    """Evaluations of runs that began before there were two losses have one."""
    return [*row, row[1], ""] if header == EVALUATION_HEADER and len(row) == 2 else row


def _line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def read_losses(folder: RunFolder) -> tuple[list[int], list[float], list[tuple[int, float]]]:
    """Steps, losses, and (step, loss) of the evaluations, from a run's CSV files."""
    rows = read_rows(folder.losses)
    evaluations = read_rows(folder.evaluations)
    return (
        [int(row[0]) for row in rows],
        [float(row[2]) for row in rows],
        [(int(row[0]), float(row[1])) for row in evaluations],
    )


def read_rows(path: Path) -> list[list[str]]:
    """The rows of a CSV file that begin with a step, none where it is missing."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        lines = [line.replace("\0", "") for line in handle]
    return [row for row in csv.reader(lines) if row and row[0].isdecimal()]
