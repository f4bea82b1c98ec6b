"""What a sampler is told at each of its model calls, and the options that decide it; importing it loads no torch.

A prompt may change while a picture is drawn (prompt editing, alternation), and it may have several parts (`AND`),
so a request is encoded once into a bank of rows, and every call picks its rows from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pseudoword.errors import BadOption

if TYPE_CHECKING:
    from pseudoword.models.protocols import Conditioning

EMPHASIS: Final = ("Original", "No norm", "Ignore", "None")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """How prompts are read and encoded; the same in a request (`GenerateOptions`)."""

    emphasis: str = field(
        default="Original", metadata={"help": "What weights in prompts do: Original, No norm, Ignore or None."}
    )
    clip_skip: int = field(
        default=1, metadata={"help": "Take the text encoder's state so many layers from its end, 1 to 12; SD1 only."}
    )
    comma_backtrack: int = field(
        default=20, metadata={"help": "Tokens a chunk may give up to end at a comma, 0 to 74; 0 never does."}
    )

    def __post_init__(self) -> None:
        if self.emphasis not in EMPHASIS:
            raise BadOption(f"--emphasis {self.emphasis!r}", expected=", ".join(EMPHASIS[:-1]) + " or None")
        for name, value, low, high in (
            ("clip-skip", self.clip_skip, 1, 12),
            ("comma-backtrack", self.comma_backtrack, 0, 74),
        ):
            if not low <= value <= high:
                raise BadOption(f"--{name} {value}", expected=f"{low} to {high}")


@dataclass(frozen=True, slots=True)
class Course:
    """The rows of one prompt over time: (last call that takes it, row of the bank), in rising order."""

    stretches: tuple[tuple[int, int], ...]

    def at(self, call: int) -> int:
        """The row for this call; after the last stretch it stays as it was."""
        return next((row for end, row in self.stretches if call <= end), self.stretches[-1][1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass of a sampler (base or hires), encoded."""

    bank: Conditioning
    """Every distinct row that some call takes; all with the same number of chunks."""
    courses: tuple[Course, ...]
    """Of the negative prompt, then of the prompt's parts."""
    padded: bool
    """Whether some were shorter than others and got empty chunks (`Pad conds` in an infotext)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """One request, encoded."""

    words: tuple[str, ...]
    """Learned words that are used: those of the prompt in order of appearance, then the negative prompt's."""
    warnings: tuple[str, ...]
    weights: tuple[float, ...]
    """Of the prompt's parts, for uncond + Σ wᵢ·cfg·(condᵢ - uncond)."""
    base: Pass
    hires: Pass | None = None

    @property
    def padded(self) -> bool:
        """Whether prompts of different lengths were made alike with empty chunks (`Pad conds` in an infotext)."""
        return self.base.padded or (self.hires is not None and self.hires.padded)

    def at(self, call: int, *, hires: bool = False) -> tuple[Conditioning, tuple[float, ...]]:
        """What model call number `call` (from 0) is told, and the weights of the parts.

        Returns:
            a batch whose row 0 is the negative prompt and whose further rows are the parts; weights of the parts.
        """
        chosen = self.hires if hires else self.base
        assert chosen is not None, "guidance was made without calls of the hires pass"
        return chosen.bank.select([course.at(call) for course in chosen.courses]), self.weights
