"""One frozen row per model family: its text encoders' slots and widths, and good training defaults.

Widths: CLIP ViT-L/14 768, OpenCLIP ViT-H/14 1024, OpenCLIP ViT-bigG/14 1280, the bundled model 256. Learning
rates: A1111's 0.005 for the published families (the working window of trainers is 1e-3 to 1e-2), measured
for the bundled model, whose vocabulary rows are three times as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What is common to all checkpoints of one architecture."""

    key: str
    label: str
    """How users call it, for messages."""
    widths: Mapping[str, int] = field(default_factory=dict[str, int])
    """Slot to width of a token embedding, in the order of the text encoders."""
    resolution: int
    """Edge of the pictures it was trained on, in pixels."""
    learning_rate: str
    num_vectors: int
    steps: int
    guidance_scale: float
    vocabulary_norms: Mapping[str, float] = field(default_factory=dict[str, float])
    """Slot to median length of the vocabulary's own vectors, where it is known (reference trainers.md §1b: CLIP-L
    about 0.4; the bundled model's is measured)."""


FAMILIES: Mapping[str, Family] = {
    family.key: family
    for family in (
        Family(
            key="bundled",
            label="the bundled model",
            widths={"clip_l": 256},
            resolution=128,
            learning_rate="1e-2",
            num_vectors=2,
            steps=200,
            guidance_scale=4.0,
            vocabulary_norms={"clip_l": 0.3},
        ),
        Family(
            key="sd1",
            label="SD1.x",
            widths={"clip_l": 768},
            resolution=512,
            learning_rate="0.005",
            num_vectors=4,
            steps=1000,
            guidance_scale=7.0,
            vocabulary_norms={"clip_l": 0.4},
        ),
        Family(
            key="sd2",
            label="SD2.x",
            widths={"clip_h": 1024},
            resolution=768,
            learning_rate="0.005",
            num_vectors=4,
            steps=1000,
            guidance_scale=7.0,
        ),
        Family(
            key="sdxl",
            label="SDXL",
            widths={"clip_l": 768, "clip_g": 1280},
            resolution=1024,
            learning_rate="0.005",
            num_vectors=4,
            steps=1000,
            guidance_scale=7.0,
            vocabulary_norms={"clip_l": 0.4},
        ),
    )
}


_FILES: Mapping[str, Mapping[str, int]] = {
    **{key: family.widths for key, family in FAMILIES.items()},
    "sd3": {"clip_l": 768, "clip_g": 1280, "t5xxl": 4096},
    "flux": {"clip_l": 768, "t5xxl": 4096},
    "ldm": {"bert": 1280},
}
"""Families that embedding files exist for, loadable here or not → slots and widths."""

SLOTS: tuple[str, ...] = ("clip_l", "clip_h", "clip_g", "bert", "t5xxl", *(f"clip_l.{layer}" for layer in range(16)))
"""Names of the text encoders that a table can belong to; `clip_l.<layer>` are P+'s tables per UNet layer."""

AMBIGUOUS, UNKNOWN = "ambiguous", "unknown"


def family_of_file(widths: Mapping[str, int], *, bare: bool = False) -> tuple[str, tuple[str, ...]]:
    """Family and candidates for the slots and widths of a file.

    Args:
        widths: slot → width.
        bare: nothing but the width says which text encoder the table belongs to; 1280 is then LDM's BERT or
            the second file of an SDXL pair.

    Returns:
        (family, candidates): one family and itself, `ambiguous` with several, or `unknown` with none.
    """
    found = dict(widths)
    if found == {"clip_g": 1280}:
        return (AMBIGUOUS, ("ldm", "sdxl")) if bare else ("sdxl", ("sdxl",))
    if found == {"t5xxl": 4096}:
        return AMBIGUOUS, ("flux", "sd3")
    if found and all(slot.startswith("clip_l.") and width == 768 for slot, width in found.items()):
        return "sd1", ("sd1",)
    key = next((key for key, known in _FILES.items() if dict(known) == found), None)
    return (key, (key,)) if key else (UNKNOWN, ())


def family_of(widths: Mapping[str, int]) -> Family | None:
    """The family whose slots and widths are exactly these, or None where no row of the table has them."""
    return next((family for family in FAMILIES.values() if dict(family.widths) == dict(widths)), None)


def describe(widths: Mapping[str, int]) -> str:
    """Words for a set of slots and widths: `SD2.x (1024)`, `SDXL (768 + 1280)`, `an unknown model (32)`."""
    family = family_of(widths)
    return f"{family.label if family else 'an unknown model'} ({' + '.join(str(w) for w in widths.values())})"
