"""A run's directory: its record, the state to continue from, logs, previews and copies of the embedding.

runs/NAME/
├─ run.json                    what was asked, on which model, from which pictures (with digests)
├─ config.toml                 the same settings for people, and for `pseudoword train --config`
├─ state.safetensors           everything that changes (state.py)
├─ loss.csv                    one row per optimiser step
├─ textual_inversion_loss.csv  the same in A1111's columns
├─ evaluations.csv             one row per evaluation: losses on the fixed batches
├─ nearest_words.csv           what the vectors were near to then
├─ tensorboard/
├─ previews/                   NAME-<step>.png
├─ progress.png                all previews side by side
├─ report.html                 the whole in one page
└─ embeddings/                 NAME-<step>.safetensors and NAME-best.safetensors

The folder may be moved: nothing in it names a place inside it.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pseudoword._version import __version__
from pseudoword.errors import BadFile
from pseudoword.files import write_json
from pseudoword.training.options import TrainOptions
from pseudoword.training.other_words import with_paths
from pseudoword.training.pictures import Picture
from pseudoword.training.sources import parse_source

FORMAT = "pseudoword-run-2"
_FIRST_FORMAT = "pseudoword-run-1"
"""Had one preview prompt, and the place where the folder was made was not noted."""


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
    folder: str = ""
    """Where the run was when this was written."""

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
            "folder": self.folder,
            "templates": list(self.templates),
            "pictures": [list(pair) for pair in self.pictures],
            "held_back": [list(pair) for pair in self.held_back],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunRecord":
        """The inverse of `as_json`; runs of the first format kept the last rows, there being no best ones."""
        before = {"keep": "last"} if values.get("format") == _FIRST_FORMAT else {}
        return cls(
            options=TrainOptions.from_json(before | values["options"]),
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
            folder=str(values.get("folder", "")),
        )

    def moved_to(self, folder: Path) -> "RunRecord":
        """The record of the same run in another place: what is no longer where it was is looked for beside it.

        A project's folder that was moved or mounted elsewhere as a whole keeps the ways from one of its folders to
        the other.
        """
        here = str(folder.resolve())
        if not self.folder or here == self.folder:
            return self

        def found(text: str) -> str:
            path = Path(text)
            beside = Path(os.path.normpath(Path(here) / os.path.relpath(path, self.folder)))
            return str(beside) if path.is_absolute() and not path.exists() and beside.exists() else text

        def found_source(text: str) -> str:
            path = str(parse_source(text).folder)
            return found(path) + text.removeprefix(path)

        options = self.options
        target = Path(self.target)
        return replace(
            self,
            options=replace(
                options,
                **{name: found(getattr(options, name)) for name in _PLACES if getattr(options, name)},
                pictures=found_source(options.pictures),
                more_pictures=tuple(found_source(text) for text in options.more_pictures),
                other_words=tuple(with_paths(text, found_source, found) for text in options.other_words),
            ),
            target=str(Path(found(str(target.parent))) / target.name),
        )


_PLACES = ("template", "init_from", "model", "vae", "held_back")
"""Options that may name a file or a folder."""


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
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def state(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @property
    def losses(self) -> Path:
        return self.path / "loss.csv"

    @property
    def a1111_losses(self) -> Path:
        return self.path / "textual_inversion_loss.csv"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations.csv"

    @property
    def nearest(self) -> Path:
        return self.path / "nearest_words.csv"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def progress(self) -> Path:
        return self.path / "progress.png"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def preview(self, name: str, step: int) -> Path:
        """Where the preview after `step` steps goes."""
        return self.path / "previews" / f"{name}-{step}.png"

    def copy(self, name: str, step: int) -> Path:
        """Where the copy of the embedding after `step` steps goes."""
        return self.path / "embeddings" / f"{name}-{step}.safetensors"

    def best(self, name: str) -> Path:
        """Where the embedding with the lowest loss on the fixed batch is kept."""
        return self.path / "embeddings" / f"{name}-best.safetensors"

    def write_record(self, record: RunRecord) -> None:
        """Write `run.json`."""
        write_json(self.record, replace(record, folder=str(self.path.resolve())).as_json())

    def read_record(self) -> RunRecord:
        """Read `run.json`.

        Raises:
            BadFile: it is missing, damaged or of another kind.
        """
        expected = "a run's folder, with run.json and state.safetensors in it"
        try:
            values = json.loads(self.record.read_text("utf-8"))
            if values.get("format") not in (FORMAT, _FIRST_FORMAT):
                found = values.get("format", "it names none")
                raise BadFile(
                    f"{self.record} is no record of a run of a known format ({found})",
                    expected=f"{FORMAT} or {_FIRST_FORMAT}",
                    next_move="Continue it with the version of pseudoword that wrote it",
                )
            return RunRecord.from_json(values).moved_to(self.path)
        except OSError as problem:
            raise BadFile(f"no run in {self.path}", expected=expected, next_move="Check the name") from problem
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BadFile(f"{self.record} is damaged ({problem!r})", expected=expected) from problem


def new_run_folder(runs_dir: Path, name: str) -> RunFolder:
    """Make the first of runs/NAME, runs/NAME-2, … that does not exist.

    Raises:
        BadFile: it cannot be made.
    """
    path, number = runs_dir / name, 1
    while True:
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
            path = runs_dir / f"{name}-{number}"
        except OSError as problem:
            raise BadFile(f"the run folder {path} cannot be made ({problem.strerror})") from problem
        else:
            return RunFolder(path)


def find_run(given: str, runs_dir: Path) -> RunFolder:
    """The run that the user means: a path, or a name below `runs_dir`."""
    path = RunFolder(Path(given))
    try:
        is_run = path.record.is_file()
    except (OSError, ValueError):  # too long, or with a null character
        is_run = False
    return path if is_run else RunFolder(runs_dir / given)
