"""A run's logs: CSV files that survive a kill, and TensorBoard."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pseudoword.events import Evaluated, StepDone
from pseudoword.files import atomic_write
from pseudoword.training.run import RunFolder

LOSS_HEADER = ("step", "epoch", "loss", "learn_rate", "norm", "cosine", "seconds")
EVALUATION_HEADER = ("step", "loss")


class RunLog:
    """Appends to a run's logs; rows past the state that is continued from are cut off first.

    CSV rows reach the disk with `flush`, which is called before every save of the state, so that the logs
    never lag behind the state that a killed run continues from.
    """

    def __init__(self, folder: RunFolder, step: int, evaluated_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._losses = _open_cut(folder.losses, LOSS_HEADER, step)
        self._evaluations = _open_cut(folder.evaluations, EVALUATION_HEADER, evaluated_step)
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=step + 1 if step else None)

    def step(self, event: StepDone) -> None:
        """One optimiser step."""
        row = (
            event.step,
            event.epoch,
            f"{event.loss:.7f}",
            f"{event.learning_rate:g}",
            f"{event.norm:.5f}",
            f"{event.cosine:.5f}",
            f"{event.seconds:.4f}",
        )
        csv.writer(self._losses, lineterminator="\n").writerow(row)
        self._board.add_scalar("loss/train", event.loss, event.step)
        self._board.add_scalar("learning_rate", event.learning_rate, event.step)
        self._board.add_scalar("rows/mean_norm", event.norm, event.step)
        self._board.add_scalar("rows/cosine_to_initial", event.cosine, event.step)
        self._board.add_scalar("seconds_per_step", event.seconds, event.step)

    def evaluation(self, event: Evaluated) -> None:
        """One loss on the fixed batch."""
        csv.writer(self._evaluations, lineterminator="\n").writerow((event.step, f"{event.loss:.7f}"))
        self._board.add_scalar("loss/fixed_batch", event.loss, event.step)

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._losses.flush()
        self._evaluations.flush()
        self._board.flush()

    def close(self) -> None:
        """Flush and close all files."""
        self._losses.close()
        self._evaluations.close()
        self._board.close()


def read_losses(folder: RunFolder) -> tuple[list[int], list[float], list[tuple[int, float]]]:
    """Steps, losses, and (step, loss) of the evaluations, from a run's CSV files."""
    rows = _read_rows(folder.losses)
    evaluations = _read_rows(folder.evaluations)
    return (
        [int(row[0]) for row in rows],
        [float(row[2]) for row in rows],
        [(int(row[0]), float(row[1])) for row in evaluations],
    )


def _read_rows(path: Path) -> list[list[str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8", errors="replace") as handle:
        lines = [line.replace("\0", "") for line in handle]
    return [row for row in csv.reader(lines) if row and row[0].isdecimal()]


def _open_cut(path: Path, header: Sequence[str], last_step: int) -> TextIO:
    """Open for appending, with nothing but the header and whole rows up to `last_step` in it."""
    kept = [row for row in _read_rows(path) if len(row) == len(header) and int(row[0]) <= last_step]
    lines = [",".join(row) for row in (header, *kept)]
    atomic_write(path, ("\n".join(lines) + "\n").encode())
    return path.open("a", newline="", encoding="utf-8")
