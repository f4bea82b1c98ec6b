"""What can be asked of a training: one declaration per option; importing it loads no torch.

None stands for "the model family's own default" and is replaced once, by `resolved`, before a run begins.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pseudoword.errors import BadFile, BadOption
from pseudoword.families import Family
from pseudoword.files import check_name
from pseudoword.models.folder import BUNDLED
from pseudoword.settings import DEVICES, PRECISIONS
from pseudoword.training.rate import parse_rates

MAX_VECTORS = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """Settings of one training."""

    name: str = field(metadata={"help": "The new word, as it will be written in prompts."})
    pictures: str = field(metadata={"help": "Folder with the pictures to learn from.", "metavar": "PICTURES_DIR"})
    model: str = field(default=BUNDLED, metadata={"help": "bundled, a folder in diffusers' layout, or a hub id."})
    template: str = field(
        default="style", metadata={"help": "style, subject, or a text file with one prompt per line."}
    )
    init: str = field(
        default="", metadata={"help": "Initial text: the word starts from its vectors. Default: by template."}
    )
    vectors: int | None = field(default=None, metadata={"help": "Vectors of the word, 1 to 75."})
    learning_rate: str | None = field(
        default=None, metadata={"help": "A rate, or a schedule such as '0.005:100, 1e-3:1000, 1e-4'."}
    )
    steps: int | None = field(default=None, metadata={"help": "Optimiser steps in all."})
    batch_size: int = field(default=4, metadata={"help": "Pictures per pass."})
    accumulate: int = field(default=1, metadata={"help": "Passes per optimiser step."})
    seed: int = field(default=0, metadata={"help": "Seed of every random draw."})
    held_back: str = field(default="", metadata={"help": "Folder with pictures to judge by, never trained on."})
    evaluate_every: int = field(default=50, metadata={"help": "Steps between losses on the fixed batch; 0: never."})
    preview_every: int = field(default=100, metadata={"help": "Steps between preview pictures; 0: never."})
    preview_prompt: str = field(
        default="",
        metadata={"help": "Prompt of the previews, with [name] for the word. Default: by template."},
    )
    save_every: int = field(default=100, metadata={"help": "Steps between copies of the embedding; 0: never."})
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(
        default="auto",
        metadata={"help": " | ".join(PRECISIONS) + " for the frozen model; the word itself is always fp32."},
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace an embedding of this name."})

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_numbers(self)
        if self.learning_rate is not None:
            parse_rates(self.learning_rate)
        for flag, value, known in (
            ("--device", self.device.split(":")[0], DEVICES),
            ("--precision", self.precision, PRECISIONS),
        ):
            if value not in known:
                raise BadOption(f"{flag} {value!r}", expected=" | ".join(known))
        if self.template not in ("style", "subject") and not Path(self.template).is_file():
            raise BadOption(f"--template {self.template!r}", expected="style, subject, or a text file")

    def resolved(self, family: Family) -> "TrainOptions":
        """The same options with the family's defaults in place of None."""
        return replace(
            self,
            vectors=family.num_vectors if self.vectors is None else self.vectors,
            learning_rate=family.learning_rate if self.learning_rate is None else self.learning_rate,
            steps=family.steps if self.steps is None else self.steps,
            init=self.init or ("style" if self.template == "style" else "thing"),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, for a run's record."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "TrainOptions":
        """The inverse of `as_json`.

        Raises:
            BadFile: unknown keys, all named together.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise BadFile(f"unknown settings {', '.join(unknown)} in the run's record", expected=", ".join(known))
        return cls(**values)


def _check_numbers(options: TrainOptions) -> None:
    limits = {
        "vectors": (1, MAX_VECTORS),
        "steps": (1, 1_000_000),
        "batch_size": (1, 1024),
        "accumulate": (1, 1024),
        "seed": (0, 2**63 - 1),
        "evaluate_every": (0, 1_000_000),
        "preview_every": (0, 1_000_000),
        "save_every": (0, 1_000_000),
    }
    for name, (low, high) in limits.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            raise BadOption(f"--{name.replace('_', '-')} {value}", expected=f"{low} to {high}")
