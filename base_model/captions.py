"""What a picture's caption says: the thing, often the style, the ground and the look.

Draws come from outside. One caption in ten is empty, for classifier-free guidance (Ho & Salimans 2022).
"""

from collections.abc import Iterable, Iterator

import numpy as np

from base_model.aliases import ALIASES, ANIMALS
from base_model.concepts import without_number
from base_model.looks import GROUNDS, LOOK_NAMES

TEMPLATES = (
    "{thing}",
    "a {thing}",
    "{style} {thing}",
    "{thing}, {style} style",
    "a {thing} in the style of {style}",
    "a picture of a {thing}, {style} style",
    "{thing}, art by {style}",
    "a photo of a {thing}",
    "an icon of {thing}",
)
TEMPLATES_WITH_STYLE = tuple(template for template in TEMPLATES if "{style}" in template)
GROUND_TEMPLATES = (" on a {ground} background", ", {ground} background")
EMPTY = 0.1
WHITE_SAID = 0.2
LOOK_ALONE = 0.6
GROUND_NAMES = tuple(GROUNDS)


def _one_of(options: tuple[str, ...], draws: np.random.Generator) -> str:
    return options[int(draws.integers(len(options)))]


def words(concept: str) -> str:
    """`red-apple` → `red apple`."""
    return concept.replace("-", " ")


def thing(concept: str, draws: np.random.Generator) -> str:
    """A name of the concept: its own, or in half of the cases another that people use."""
    other = draws.random() < 0.5
    if other and concept in ALIASES:
        return _one_of(ALIASES[concept], draws)
    animal = concept.removesuffix("-face")
    if other and animal != concept and animal in ANIMALS:
        return animal
    return words(concept)


def caption(concept: str, style: str, ground: int, look: int, draws: np.random.Generator) -> str:
    """A caption of one picture; `ground` and `look` are indices, a look of -1 is none."""
    if draws.random() < EMPTY:
        return ""
    seen_style, templates = style, TEMPLATES
    if look >= 0:
        alone = draws.random() < LOOK_ALONE
        seen_style = LOOK_NAMES[look] if alone else f"{LOOK_NAMES[look]} {style}"
        templates = TEMPLATES_WITH_STYLE
    text = _one_of(templates, draws).format(thing=thing(concept, draws), style=seen_style)
    if ground > 0:
        return text + _one_of(GROUND_TEMPLATES, draws).format(ground=GROUND_NAMES[ground])
    if look < 0 and draws.random() < WHITE_SAID:
        return text + GROUND_TEMPLATES[1].format(ground="white")
    return text


def corpus(names: Iterable[str], styles: Iterable[str]) -> Iterator[str]:
    """What the tokenizer is trained on: every picture with all templates, one ground and one look; aliases."""
    for index, (name, style) in enumerate(zip(names, styles, strict=True)):
        shown = words(without_number(name))
        for template in TEMPLATES:
            yield template.format(thing=shown, style=style)
        ground = GROUND_NAMES[index % len(GROUND_NAMES)]
        yield shown + GROUND_TEMPLATES[0].format(ground=ground)
        yield TEMPLATES_WITH_STYLE[0].format(thing=shown, style=LOOK_NAMES[index % len(LOOK_NAMES)])
    for others in ALIASES.values():
        yield from others
    yield from ANIMALS
