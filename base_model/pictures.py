"""The rendered pictures of all sets in one array, with each picture's name, style word and concept."""

import json
from dataclasses import dataclass

import numpy as np

from base_model.concepts import concept_of, glued_names, shared_concepts
from base_model.sets import BY_NAME
from base_model.work import Work


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """`rgba` is uint8 (n, p, p, 4); `concepts` holds None where the denoiser does not learn the picture."""

    rgba: np.ndarray
    names: tuple[str, ...]
    styles: tuple[str, ...]
    concepts: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def learned(self) -> tuple[int, ...]:
        """Indices of the pictures that have a concept."""
        return tuple(index for index, concept in enumerate(self.concepts) if concept)


def load_pictures(work: Work) -> Pictures:
    """All pictures that `render` left, in the order of the recipe's sets."""
    recipe = work.recipe()
    folder = work.folder("render")
    names = {name: _names(work, name) for name in recipe.sets}
    concepts = shared_concepts(names, recipe.shared_by)
    glued = glued_names(concepts)
    shown = [
        concept_of(name, concepts, glued if BY_NAME[icons].glued_names else None)
        for icons in recipe.sets
        for name in names[icons]
    ]
    return Pictures(
        rgba=np.concatenate([np.load(folder / f"{name}.npy", mmap_mode="r") for name in recipe.sets]),
        names=tuple(name for icons in recipe.sets for name in names[icons]),
        styles=tuple(BY_NAME[icons].style for icons in recipe.sets for _ in names[icons]),
        concepts=tuple(shown),
    )


def _names(work: Work, icons: str) -> list[str]:
    return json.loads((work.folder("render") / f"{icons}.json").read_text("utf-8"))["names"]
