"""From the name that a service gives a base model to a model family.

This is for tables alone: what a downloaded file really fits is told by its keys and widths.
"""

import re

_CIVITAI = {
    "SD 1.4": "sd1",
    "SD 1.5": "sd1",
    "SD 1.5 LCM": "sd1",
    "SD 1.5 Hyper": "sd1",
    "SD 2.0": "sd2",
    "SD 2.0 768": "sd2",
    "SD 2.1": "sd2",
    "SD 2.1 768": "sd2",
    "SD 2.1 Unclip": "sd2",
    "SDXL 0.9": "sdxl",
    "SDXL 1.0": "sdxl",
    "SDXL 1.0 LCM": "sdxl",
    "SDXL Distilled": "sdxl",
    "SDXL Turbo": "sdxl",
    "SDXL Lightning": "sdxl",
    "SDXL Hyper": "sdxl",
    "Pony": "sdxl",
    "Illustrious": "sdxl",
    "NoobAI": "sdxl",
    "Flux.1 D": "flux",
    "Flux.1 S": "flux",
    "SD 3": "sd3",
    "SD 3.5": "sd3",
    "SD 3.5 Large": "sd3",
    "SD 3.5 Medium": "sd3",
}
"""Civitai's names for base models, as its site and API write them."""

_HUB = (
    (re.compile(r"stable-?diffusion-?xl|sdxl|\bsd-?xl"), "sdxl"),
    (re.compile(r"stable-?diffusion-?3|\bsd-?3"), "sd3"),
    (re.compile(r"stable-?diffusion-?v?2|\bsd-?2"), "sd2"),
    (re.compile(r"stable-?diffusion-?(v-?)?1|\bsd-?(v-?)?1"), "sd1"),
    (re.compile(r"flux"), "flux"),
)


def family_from_civitai(base_model: str | None) -> str | None:
    """Family of one of Civitai's base models; None for a name that is not known."""
    return _CIVITAI.get(base_model or "")


def family_from_hub(base_model: str | None) -> str | None:
    """Family of a model of the hub by the usual words in its id; None where they are missing."""
    text = (base_model or "").lower().replace("_", "-").replace(".", "-")
    return next((family for pattern, family in _HUB if pattern.search(text)), None)
