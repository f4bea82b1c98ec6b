"""The icon sets: which ones the model is trained on, under what style word, and which are kept back.

All come from npm packages `@iconify-json/<name>`. Licences are read from each package's `info.json`, never
from here. Invariant: a set in `KEPT_BACK` is never rendered, so nothing can be trained on it or chosen by it;
what the project claims about unseen styles rests on that.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IconSet:
    """One training set; `glued_names` if its names have no dashes (`redapple` for `red-apple`)."""

    name: str
    version: str
    style: str
    glued_names: bool = False


TRAINING_SETS = (
    IconSet(name="noto", version="1.2.9", style="noto"),
    IconSet(name="noto-v1", version="1.2.5", style="blob"),
    IconSet(name="twemoji", version="1.2.5", style="twitter"),
    IconSet(name="fluent-emoji", version="1.2.7", style="fluent 3d"),
    IconSet(name="fluent-emoji-flat", version="1.2.6", style="fluent flat"),
    IconSet(name="emojione", version="1.2.3", style="emojione"),
    IconSet(name="fxemoji", version="1.2.2", style="firefox", glued_names=True),
    IconSet(name="streamline-emojis", version="1.2.4", style="line art"),
)

KEPT_BACK = {
    "fluent-emoji-high-contrast": "the demo's style set",
    "openmoji": "a style that learned words are judged by",
    "emojione-v1": "a style that learned words are judged by",
}

BY_NAME = {icons.name: icons for icons in TRAINING_SETS}
