"""The text that A1111 puts into a picture, both ways; pure (reference a1111.md §3.6).

Prompt, a line `Negative prompt: …`, and one last line of `Key: value` pairs. Writing: keys in A1111's order, what
is None left out, a value with a comma, colon or line break as a JSON string. Reading is a linear scan: a text from
a stranger's picture must not cost more time than it has letters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from pseudoword._version import __version__

Value = str | int | float | bool | tuple[int, int] | None
PRODUCT = "pseudoword"

_FIRST = (
    "Steps", "Sampler", "Schedule type", "CFG scale", "Image CFG scale", "Seed", "Face restoration", "Size",
    "Model hash", "Model", "FP8 weight", "Cache FP16 weight for LoRA", "VAE hash", "VAE", "Variation seed",
    "Variation seed strength", "Seed resize from", "Denoising strength", "Conditional mask weight", "Clip skip", "ENSD",
    "Token merging ratio", "Token merging ratio hr", "Init image hash", "RNG", "Tiling",
)  # fmt: skip
_LAST = ("Version", "User")
_UNSAID: Mapping[str, Value] = {"Clip skip": 1, "RNG": "GPU", "Negative prompt": ""}
"""What A1111 takes when a key is not there, and therefore does not write."""

_NEGATIVE = "Negative prompt:"
_LEAST_PAIRS = 3
_SIZE = re.compile(r"(\d+)x(\d+)", re.ASCII)
_KEY_CHARACTER = re.compile(r"[\w /-]")
_SPACES = re.compile(r"\s*")
_CLOSING_QUOTE = re.compile(r'(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Infotext:
    """What one picture's text says: two prompts, and values by A1111's keys."""

    prompt: str
    negative_prompt: str = ""
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """`{"Steps": 20, "Size": (512, 768), …}`; a tuple is width and height. In any order: A1111's own keys come
    out in A1111's order, all others after them as they stand here, `Version` and `User` last."""

    def with_values(self, values: Mapping[str, Value]) -> "Infotext":
        """The same with some values set; None takes one away."""
        return replace(self, values={**self.values, **values})

    def text(self) -> str:
        """The whole text as it goes into a PNG's `parameters` chunk; `Version` is ours unless it is given."""
        values = {"Version": f"{PRODUCT}-{__version__}", **self.values}
        middle = [key for key in values if key not in _FIRST and key not in _LAST]
        ordered = [key for key in (*_FIRST, *middle, *_LAST) if _is_said(key, values.get(key))]
        last = ", ".join(_pair(key, values[key]) for key in ordered)
        negative = f"{_NEGATIVE} {self.negative_prompt}" if self.negative_prompt else ""
        return "\n".join(line for line in (self.prompt, negative, last) if line)


def _is_said(key: str, value: Value) -> bool:
    return value is not None and value != "" and _UNSAID.get(key) != value


def _pair(key: str, value: Value) -> str:
    plain = _plain(value)
    return key if plain == key else f"{key}: {quote(plain)}"


def _plain(value: Value) -> str:
    """Numbers in the shortest form that reads back as the same number."""
    if isinstance(value, tuple):
        return f"{value[0]}x{value[1]}"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def quote(value: str) -> str:
    """`value` as it stands in a pair: a JSON string if it holds a comma, a colon or a line break."""
    return json.dumps(value, ensure_ascii=False) if any(mark in value for mark in ",:\n") else value


def unquote(value: str) -> str:
    """The inverse of `quote`; what is no JSON string comes back as it is."""
    if not (value.startswith('"') and value.endswith('"')):
        return value
    try:
        return str(json.loads(value)).encode("utf-8", "replace").decode()  # an escape may spell half a character
    except ValueError:
        return value


def hash_list(hashes: Mapping[str, str]) -> str | None:
    """The value of `TI hashes` (and of `Lora hashes`): names with their short hashes, in the order given."""
    cleaned = (f"{name.replace(',', '').replace(':', '')}: {short}" for name, short in hashes.items())
    return ", ".join(cleaned) or None


def read_hash_list(text: str) -> dict[str, str]:
    """The inverse of `hash_list`; items of another shape are left out."""
    items = (item.partition(":") for item in text.split(","))
    return {name.strip(): short.strip().lower() for name, colon, short in items if colon and name.strip()}


def read_infotext(text: str) -> Infotext:
    """An infotext as it stands: values are texts, unquoted and in their order, nothing added."""
    lines = text.strip().split("\n")
    pairs = _scan(lines[-1])
    if len(pairs) < _LEAST_PAIRS:
        pairs = []
    else:
        lines = lines[:-1]
    prompt, negative = _split_prompts(lines)
    return Infotext(prompt=prompt, negative_prompt=negative, values={key: unquote(value) for key, value in pairs})


def parse_infotext(text: str) -> dict[str, str]:
    """Keys and values as A1111 hands them to its fields and to its REST API.

    `Prompt` and `Negative prompt` are among them; `Size: 512x768` becomes `Size-1` and `Size-2`; what an older
    version meant by leaving a key out is filled in.
    """
    read = read_infotext(text)
    found = {"Prompt": read.prompt, "Negative prompt": read.negative_prompt}
    for key, value in read.values.items():
        size = _SIZE.fullmatch(str(value))
        found |= {f"{key}-1": size[1], f"{key}-2": size[2]} if size else {key: str(value)}
    return {**found, **_absent(found)}


def _absent(found: Mapping[str, str]) -> dict[str, str]:
    filled = {**_DEFAULTS, **_emphasis(found), **_by_version(found)}
    return {key: value for key, value in filled.items() if key not in found}


_DEFAULTS: Mapping[str, str] = MappingProxyType(
    {
        "Clip skip": "1",
        "Hires resize-1": "0",
        "Hires resize-2": "0",
        "Hires sampler": "Use same sampler",
        "Hires schedule type": "Use same scheduler",
        "Hires checkpoint": "Use same checkpoint",
        "Hires prompt": "",
        "Hires negative prompt": "",
        "Mask mode": "Inpaint masked",
        "Masked content": "original",
        "Inpaint area": "Whole picture",
        "Masked area padding": "32",
        "RNG": "GPU",
        "Schedule type": "Automatic",
        "Schedule max sigma": "0",
        "Schedule min sigma": "0",
        "Schedule rho": "0",
        "VAE Encoder": "Full",
        "VAE Decoder": "Full",
        "FP8 weight": "Disable",
        "Refiner switch by sampling steps": "False",
    }
)


def _emphasis(found: Mapping[str, str]) -> dict[str, str]:
    prompts = found["Prompt"] + found["Negative prompt"]
    return {"Emphasis": "Original"} if any(mark in prompts for mark in "([") else {}


def _by_version(found: Mapping[str, str]) -> dict[str, str]:
    """What A1111 did differently when it wrote this text; other programs' versions say nothing about it."""
    version = a1111_version(found.get("Version", ""))
    if version is None:
        return {}
    rules = {
        "Old prompt editing timelines": version < (1, 6, 0, 0) and "[" in found["Prompt"],
        "Pad conds v0": version < (1, 6, 0, 0) and found.get("Sampler") in ("DDIM", "PLMS"),
        "Downcast alphas_cumprod": version < (1, 7, 0, 225),
        "Refiner switch by sampling steps": version < (1, 8, 0, 0) and bool(found.get("Refiner")),
    }
    return {key: "True" for key, holds in rules.items() if holds}


_A1111_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:-(\d{1,6})(?:-.*)?)?", re.ASCII)


def a1111_version(text: str) -> tuple[int, int, int, int] | None:
    """`v1.7.0-225-g0f3a5b6c` as (1, 7, 0, 225), the last number being commits since; None for all other texts."""
    match = _A1111_VERSION.fullmatch(text.strip())
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]), int(match[4] or 0))


def _scan(line: str) -> list[tuple[str, str]]:
    """All pairs of a line: the run of key characters before a colon, and a value up to a comma."""
    pairs: list[tuple[str, str]] = []
    start = 0
    while (colon := line.find(":", start)) >= 0:
        key = _key_before(line, start, colon)
        if key is None:
            start = colon + 1
            continue
        value, start = _value_after(line, colon + 1)
        pairs.append((key, value))
    return pairs


def _key_before(line: str, start: int, colon: int) -> str | None:
    """Two characters at least, the first a letter, digit or `_`; more may be spaces, `-` and `/`."""
    first = colon
    while first > start and _KEY_CHARACTER.fullmatch(line[first - 1]):
        first -= 1
    key = line[first:colon].lstrip(" -/")
    return key if len(key) > 1 else None


def _value_after(line: str, start: int) -> tuple[str, int]:
    """The value, still quoted, and where the next pair begins."""
    spaces = _SPACES.match(line, start)
    first = spaces.end() if spaces else start
    if line.startswith('"', first) and (closed := _CLOSING_QUOTE.match(line, first + 1)):
        end = closed.end()
        if end == len(line) or line[end] == ",":
            return line[first:end], end + 1
    comma = line.find(",", start)
    end = len(line) if comma < 0 else comma
    return line[start:end].strip(), end + 1


def _split_prompts(lines: list[str]) -> tuple[str, str]:
    for number, line in enumerate(lines):
        if line.strip().startswith(_NEGATIVE):
            first = line.strip().removeprefix(_NEGATIVE).strip()
            return "\n".join(lines[:number]).strip(), "\n".join([first, *lines[number + 1 :]]).strip()
    return "\n".join(lines).strip(), ""
