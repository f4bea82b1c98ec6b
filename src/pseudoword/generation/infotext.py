"""The text that A1111 writes into a picture, both ways; pure.

Follows A1111 1.10: the prompt, a line `Negative prompt: …`, and one last line of `Key: value` pairs in a fixed
order, in which a value with a comma, colon or line break is written as a JSON string.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pseudoword._version import __version__

_PAIR = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_NEGATIVE = "Negative prompt:"
_LEAST_PAIRS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Infotext:
    """Everything that one picture's text says."""

    prompt: str
    negative_prompt: str = ""
    steps: int
    sampler: str
    schedule_type: str
    cfg_scale: float
    seed: int
    size: tuple[int, int]
    """Width and height in pixels."""
    model_hash: str
    model: str
    ti_hashes: Mapping[str, str] = field(default_factory=dict[str, str])

    def with_seed(self, seed: int) -> "Infotext":
        """The same text for another seed."""
        return replace(self, seed=seed)

    def text(self) -> str:
        """The whole text as it goes into a PNG's `parameters` chunk."""
        pairs: dict[str, str | None] = {
            "Steps": str(self.steps),
            "Sampler": self.sampler,
            "Schedule type": self.schedule_type,
            "CFG scale": f"{self.cfg_scale:g}",
            "Seed": str(self.seed),
            "Size": f"{self.size[0]}x{self.size[1]}",
            "Model hash": self.model_hash,
            "Model": self.model,
            "RNG": "CPU",
            "TI hashes": _ti_hashes(self.ti_hashes),
            "Version": f"pseudoword-{__version__}",
        }
        last = ", ".join(f"{key}: {quote(value)}" for key, value in pairs.items() if value)
        negative = f"{_NEGATIVE} {self.negative_prompt}" if self.negative_prompt else ""
        return "\n".join(line for line in (self.prompt, negative, last) if line)


def quote(value: str) -> str:
    """`value` as it stands in a pair: a JSON string if it holds a comma, a colon or a line break."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value


def unquote(value: str) -> str:
    """The inverse of `quote`; what is no JSON string comes back as it is."""
    if not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return str(json.loads(value))
    except ValueError:
        return value


def parse_infotext(text: str) -> dict[str, str]:
    """Keys and values of an infotext, with `Prompt` and `Negative prompt` among them.

    The last line counts as parameters only if it holds three pairs or more, else it belongs to the prompt.
    """
    lines = text.strip().split("\n")
    pairs = _PAIR.findall(lines[-1])
    if len(pairs) < _LEAST_PAIRS:
        pairs = []
    else:
        lines = lines[:-1]
    prompt, negative = _split_prompts(lines)
    found = {"Prompt": prompt, "Negative prompt": negative}
    return found | {key: unquote(value.strip()) for key, value in pairs}


def _split_prompts(lines: list[str]) -> tuple[str, str]:
    for number, line in enumerate(lines):
        if line.strip().startswith(_NEGATIVE):
            first = line.strip().removeprefix(_NEGATIVE).strip()
            return "\n".join(lines[:number]).strip(), "\n".join([first, *lines[number + 1 :]]).strip()
    return "\n".join(lines).strip(), ""


def _ti_hashes(hashes: Mapping[str, str]) -> str | None:
    cleaned = (f"{name.replace(',', '').replace(':', '')}: {short}" for name, short in hashes.items())
    return ", ".join(cleaned) or None
