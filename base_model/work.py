"""The work folder: one folder per stage, a marker when a stage is finished, the recipe all stages share.

Invariant: a stage's `done.json` is written last and atomically, so a stage with one has everything it
promises. Starting a stage anew removes what the later stages made from it.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pseudoword.files import write_json

STAGES = ("render", "autoencoder", "latents", "denoiser", "export", "card")
SIBLING = "sibling"  # stands beside the road: it needs the pictures, and the model that ships, not the one at work here
REMADE = {
    "render": (*STAGES, SIBLING),
    **{stage: STAGES[number:] for number, stage in enumerate(STAGES) if number},
    SIBLING: (SIBLING,),
}
"""What is removed when a stage is done anew: its own folder and all that was made from it."""
DEFAULT_ROOT = Path.home() / ".cache" / "pseudoword" / "base-model"


class Refused(Exception):
    """A stage cannot run as asked; the message says what was met and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What must be the same in every stage; set by `render`, read by the others."""

    size: str
    seed: int
    sets: tuple[str, ...]
    shared_by: int


@dataclass(frozen=True, slots=True)
class Work:
    """The work folder at `root`."""

    root: Path

    @property
    def icons(self) -> Path:
        """Where `fetch` unpacks the icon sets."""
        return self.root / "icons"

    def folder(self, stage: str) -> Path:
        """The folder of one stage."""
        return self.root / stage

    def is_finished(self, stage: str) -> bool:
        """Whether the stage has written its marker."""
        return (self.folder(stage) / "done.json").is_file()

    def facts(self, stage: str) -> dict[str, Any]:
        """What a finished stage recorded.

        Raises:
            Refused: the stage is not finished.
        """
        if not self.is_finished(stage):
            raise Refused(f"{stage} is not finished in {self.root}. Run `python -m base_model {stage}` first")
        return json.loads((self.folder(stage) / "done.json").read_text("utf-8"))

    def recipe(self) -> Recipe:
        """The recipe that `render` recorded."""
        recorded = self.facts("render")["recipe"]
        return Recipe(**{**recorded, "sets": tuple(recorded["sets"])})

    def restart(self, stage: str) -> None:
        """Remove the stage's folder and those of all that was made from it."""
        for later in REMADE[stage]:
            if self.folder(later).exists():
                shutil.rmtree(self.folder(later))

    def finish(self, stage: str, facts: dict[str, Any]) -> None:
        """Write the stage's marker with the facts that later stages and the model card read."""
        write_json(self.folder(stage) / "done.json", facts)


def recipe_facts(recipe: Recipe) -> dict[str, Any]:
    """The recipe as JSON values."""
    return {**asdict(recipe), "sets": list(recipe.sets)}
