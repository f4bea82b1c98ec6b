"""A run's directory: its record, the state to continue from, logs, previews and copies of the embedding.

runs/NAME/
├─ run.json            what was asked, on which model, from which pictures (with digests)
├─ state.safetensors   everything that changes (state.py)
├─ loss.csv            one row per optimiser step
├─ evaluations.csv     one row per loss on the fixed batch
├─ tensorboard/
├─ previews/           NAME-<step>.png
└─ embeddings/         NAME-<step>.safetensors
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pseudoword._version import __version__
from pseudoword.errors import BadFile
from pseudoword.files import write_json
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Picture

FORMAT = "pseudoword-run-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """What `run.json` holds: all that must be the same when the run is continued."""

    options: TrainOptions
    model_name: str
    model_hash: str
    vae_hash: str = ""
    """Of the autoencoder, where it is not the model's own."""
    device: str
    precision: str
    num_threads: int
    """Threads that torch computes with: sums are split by it, so the last bits depend on it."""
    pictures: tuple[tuple[str, str], ...]
    """File name of every training picture and a digest of file and words, in order."""
    held_back: tuple[tuple[str, str], ...]
    created: str
    templates: tuple[str, ...]
    """The prompt lines themselves: a file of them may change."""
    target: str
    """Where the finished embedding goes."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "format": FORMAT,
            "product": f"pseudoword {__version__}",
            "created": self.created,
            "options": self.options.as_json(),
            "model": {"name": self.model_name, "hash": self.model_hash, "vae": self.vae_hash},
            "device": self.device,
            "precision": self.precision,
            "num_threads": self.num_threads,
            "target": self.target,
            "templates": list(self.templates),
            "pictures": [list(pair) for pair in self.pictures],
            "held_back": [list(pair) for pair in self.held_back],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunRecord":
        """The inverse of `as_json`."""
        return cls(
            options=TrainOptions.from_json(values["options"]),
            model_name=values["model"]["name"],
            model_hash=values["model"]["hash"],
            vae_hash=str(values["model"].get("vae", "")),
            device=str(values["device"]),
            precision=str(values["precision"]),
            num_threads=max(1, int(values["num_threads"])),
            pictures=_pairs(values["pictures"]),
            held_back=_pairs(values["held_back"]),
            created=values["created"],
            templates=tuple(str(line) for line in values["templates"]),
            target=str(values["target"]),
        )


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(name), str(digest)) for name, digest in values)


def digests(pictures: Sequence[Picture]) -> tuple[tuple[str, str], ...]:
    """Name of each picture, and its digest; a mirror image has those of its original."""
    return tuple((picture.name, picture.sha256) for picture in pictures if not picture.flipped)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def losses(self) -> Path:
        return self.path / "loss.csv"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations.csv"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    def preview(self, name: str, step: int) -> Path:
        """Where the preview after `step` steps goes."""
        return self.path / "previews" / f"{name}-{step}.png"

    def copy(self, name: str, step: int) -> Path:
        """Where the copy of the embedding after `step` steps goes."""
        return self.path / "embeddings" / f"{name}-{step}.safetensors"

    def write_record(self, record: RunRecord) -> None:
        """Write `run.json`."""
        write_json(self.record, record.as_json())

    def read_record(self) -> RunRecord:
        """Read `run.json`.

        Raises:
            BadFile: it is missing, damaged or of another kind.
        """
        expected = "a run's folder, with run.json and state.safetensors in it"
        try:
            values = json.loads(self.record.read_text("utf-8"))
            if values.get("format") != FORMAT:
                raise BadFile(f"{self.record} is no record of a run", expected=FORMAT)
            return RunRecord.from_json(values)
        except OSError as problem:
            raise BadFile(f"no run in {self.path}", expected=expected, next_move="Check the name") from problem
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadFile(f"{self.record} is damaged ({problem!r})", expected=expected) from problem


def new_run_folder(runs_dir: Path, name: str) -> RunFolder:
    """The first of runs/NAME, runs/NAME-2, … that does not exist; nothing is made yet."""
    path, number = runs_dir / name, 1
    while path.exists():
        number += 1
        path = runs_dir / f"{name}-{number}"
    return RunFolder(path)


def find_run(given: str, runs_dir: Path) -> RunFolder:
    """The run that the user means: a path, or a name below `runs_dir`."""
    path = RunFolder(Path(given))
    try:
        is_run = path.record.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        is_run = False
    return path if is_run else RunFolder(runs_dir / given)
