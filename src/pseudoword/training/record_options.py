"""When a training ends, and what it shows and keeps on its way; importing it loads no torch.

None of these settings changes what a step learns, so nearly all of them may be changed when a run is continued
(`HARMLESS`).
"""

from dataclasses import dataclass, field

from pseudoword.errors import BadOption
from pseudoword.training.data_options import DataOptions

STOPS = ("steps", "auto", "time")
KEEPS = ("best", "last")
HARMLESS = frozenset(
    {
        *("steps", "stop", "max_time", "patience", "settle", "keep", "evaluate_every", "save_every", "state_every"),
        *("preview_every", "preview_prompt", "preview_negative", "preview_steps", "preview_seed", "preview_count"),
        *("memory", "overwrite"),
    }
)
"""Settings that a continued run takes without a word."""
_MAX_PREVIEWS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOptions(DataOptions):
    """The end of a training, its judging, previews and copies."""

    steps: int | None = field(default=None, metadata={"help": "Optimiser steps in all, at most."})
    stop: str = field(
        default="steps",
        metadata={
            "help": "When to end: after --steps | auto: earlier, once the loss on the fixed batch has settled | "
            "time: after --max-time (then not repeatable to the bit)."
        },
    )
    max_time: float | None = field(default=None, metadata={"help": "With --stop time: minutes, over all sessions."})
    patience: int = field(default=4, metadata={"help": "With --stop auto: evaluations that must have gained little."})
    settle: float = field(
        default=0.05, metadata={"help": "With --stop auto: share of all that was gained that counts as little."}
    )
    keep: str = field(
        default="best",
        metadata={"help": "What goes into the embeddings folder: best (lowest loss on the fixed batch) | last."},
    )
    held_back: str = field(default="", metadata={"help": "Folder with pictures to judge by, never trained on."})
    evaluate_every: int | None = field(
        default=None,
        metadata={"help": "Steps between losses on the fixed batch; 0: never. Default: by model, 50 or (bundled) 20."},
    )
    preview_every: int = field(default=100, metadata={"help": "Steps between preview pictures; 0: never."})
    preview_prompt: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "Prompt of the previews, with [name] for the word; may be given several times. "
            "Default: by template."
        },
    )
    preview_negative: str = field(default="", metadata={"help": "Negative prompt of the previews."})
    preview_steps: int = field(default=15, metadata={"help": "Sampling steps of the previews."})
    preview_seed: int = field(default=0, metadata={"help": "Seed of each prompt's first preview."})
    preview_count: int = field(default=4, metadata={"help": "Previews of each prompt, with the seeds that follow."})
    save_every: int = field(default=100, metadata={"help": "Steps between copies of the embedding; 0: never."})
    state_every: int = field(
        default=100,
        metadata={"help": "Steps between saves of the state that a killed run goes on from; every 5 seconds anyway."},
    )

    def check_record(self) -> None:
        """Raises: BadOption: a value that is not known, or two that contradict each other."""
        for name, value, known in (("stop", self.stop, STOPS), ("keep", self.keep, KEEPS)):
            if value not in known:
                raise BadOption(f"--{name} {value!r}", expected=" | ".join(known))
        if (self.stop == "time") != (self.max_time is not None):
            raise BadOption(
                f"--stop {self.stop} with {'no ' if self.max_time is None else ''}--max-time",
                expected="both --stop time and --max-time MINUTES, or neither",
            )
        if self.stop == "auto" and self.evaluate_every == 0:
            raise BadOption("--stop auto with --evaluate-every 0", expected="losses to stop by")
        pictures = max(1, len(self.preview_prompt)) * self.preview_count
        if pictures > _MAX_PREVIEWS:
            raise BadOption(f"{pictures} previews at a time", expected=f"at most {_MAX_PREVIEWS}")


RECORD_LIMITS: dict[str, tuple[float, float]] = {
    "steps": (1, 1_000_000),
    "max_time": (0.001, 1_000_000),
    "patience": (2, 10_000),
    "settle": (0, 1),
    "evaluate_every": (0, 1_000_000),
    "preview_every": (0, 1_000_000),
    "preview_steps": (1, 150),
    "preview_seed": (0, 2**32 - 1 - _MAX_PREVIEWS),
    "preview_count": (1, _MAX_PREVIEWS),
    "save_every": (0, 1_000_000),
    "state_every": (1, 1_000_000),
}
"""Least and most of each number."""
