"""Names of pictures by A1111's patterns, `[seed]-[prompt_words]`; pure (reference a1111.md §3.4).

A tag in square brackets is replaced by what the picture's infotext says; arguments stand in angle brackets,
`[datetime<%Y-%m-%d>]`. A tag that means nothing for this picture goes away together with the text before it.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pseudoword.errors import BadOption
from pseudoword.generation.infotext import parse_infotext

DEFAULT_PATTERN = "[seed]"
MAX_PART = 128
"""Characters of one name, as in A1111."""
_MAX_BYTES = 200
"""Of one name in UTF-8: file systems take 255, and number, suffix and temporary names need some."""

_FORBIDDEN = re.compile(r'[#<>:"/\\|?*\n\r\t\x00-\x1f\x7f]')
_PIECE = re.compile(r"(?P<text>[^\[\]]*)(?:\[(?P<tag>\w+)(?P<arguments>(?:<[^<>]*>)*)\]|$)")
_WORDS = 8
_HASH = 8


SUFFIXES: Mapping[str, str] = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "avif": ".avif"}
"""Format → the suffix that we give it."""
_FORMATS = {**{suffix: name for name, suffix in SUFFIXES.items()}, ".jpeg": "jpeg"}


@dataclass(frozen=True, kw_only=True)
class SaveOptions:
    """How pictures are saved."""

    output: Path | None = field(
        default=None,
        metadata={"help": "File of the picture; its suffix is the format. Default: numbered, in the outputs folder."},
    )
    format: str = field(default="png", metadata={"help": f"{' | '.join(SUFFIXES)}, for numbered files."})
    name_pattern: str = field(
        default=DEFAULT_PATTERN,
        metadata={"help": "What stands after the number, by A1111's tags: [seed], [model_name], [prompt_words] …"},
    )

    def __post_init__(self) -> None:
        if self.format not in SUFFIXES:
            raise BadOption(f"--format {self.format}", expected=" or ".join(SUFFIXES))
        check_pattern(self.name_pattern)
        if self.output is not None and not _is_name(self.output):
            raise BadOption(f"--output {self.output}", expected=f"a file name that ends in {', '.join(_FORMATS)}")

    @property
    def suffix(self) -> str:
        """Of all files that are saved."""
        return SUFFIXES[self.format] if self.output is None else self.output.suffix


def format_of(path: Path) -> str | None:
    """The format that a file's suffix asks for; None where it is no suffix of a picture."""
    return _FORMATS.get(path.suffix.lower())


def _is_name(output: Path) -> bool:
    try:
        return format_of(output) is not None and not output.is_dir()
    except (OSError, ValueError):  # too long, or with a null character
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What a name may say that an infotext does not."""

    now: datetime
    index: int = 0
    """Of the picture in its request."""
    batch_size: int = 1
    count: int = 1
    """Batches of the request."""


@dataclass(frozen=True, slots=True)
class _Subject:
    said: Mapping[str, str]
    moment: Moment
    arguments: tuple[str, ...]

    def first(self, default: str = "") -> str:
        return self.arguments[0] if self.arguments else default

    def number(self, default: int) -> int:
        return int(self.first()) if self.first().isdecimal() else default


def _key(key: str) -> Callable[[_Subject], str | None]:
    return lambda subject: subject.said.get(key)


def _words(subject: _Subject) -> str:
    words = [word for word in re.split(r"[^\w'-]+", subject.said["Prompt"]) if word]
    return " ".join(words[: subject.number(_WORDS)])


def _hash(*keys: str) -> Callable[[_Subject], str]:
    def digest(subject: _Subject) -> str:
        text = " ".join(subject.said[key] for key in keys)
        return hashlib.sha256(text.encode()).hexdigest()[: subject.number(_HASH)]

    return digest


def _time(layout: str) -> Callable[[_Subject], str]:
    return lambda subject: subject.moment.now.strftime(subject.first(layout))


def _sampler_scheduler(subject: _Subject) -> str:
    schedule = subject.said["Schedule type"]
    return subject.said.get("Sampler", "") + ("" if schedule == "Automatic" else f" {schedule}")


def _has_prompt(subject: _Subject) -> str:
    """`[hasprompt<cat|none><dog>]`: the words that the prompt has, or what stands after `|`."""
    prompt = subject.said["Prompt"].lower()
    pairs = (argument.partition("|") for argument in subject.arguments)
    return "".join(word if word.lower() in prompt else other for word, _, other in pairs)


def _seed(index: Callable[[Moment], int]) -> Callable[[_Subject], str | None]:
    def seed(subject: _Subject) -> str | None:
        own = subject.said.get("Seed", "")
        if not own.isdecimal():
            return None
        moves = 0 if "Variation seed" in subject.said else index(subject.moment) - subject.moment.index
        return str((int(own) + moves) % (1 << 32))

    return seed


_TAGS: Mapping[str, Callable[[_Subject], str | None]] = {
    "seed": _key("Seed"),
    "seed_first": _seed(lambda moment: 0),
    "seed_last": _seed(lambda moment: moment.batch_size * moment.count - 1),
    "steps": _key("Steps"),
    "cfg": _key("CFG scale"),
    "width": _key("Size-1"),
    "height": _key("Size-2"),
    "sampler": _key("Sampler"),
    "scheduler": _key("Schedule type"),
    "sampler_scheduler": _sampler_scheduler,
    "model_hash": _key("Model hash"),
    "model_name": _key("Model"),
    "clip_skip": _key("Clip skip"),
    "denoising": _key("Denoising strength"),
    "date": lambda subject: subject.moment.now.strftime("%Y-%m-%d"),
    "datetime": _time("%Y%m%d%H%M%S"),
    "job_timestamp": _time("%Y%m%d%H%M%S"),
    "prompt": lambda subject: subject.said["Prompt"].replace(" ", "_"),
    "prompt_spaces": _key("Prompt"),
    "prompt_words": _words,
    "prompt_hash": _hash("Prompt"),
    "negative_prompt_hash": _hash("Negative prompt"),
    "full_prompt_hash": _hash("Prompt", "Negative prompt"),
    "hasprompt": _has_prompt,
    "batch_size": lambda subject: str(subject.moment.batch_size),
    "batch_number": lambda s: str(s.moment.index % s.moment.batch_size + 1) if s.moment.batch_size > 1 else None,
    "generation_number": lambda s: str(s.moment.index + 1) if s.moment.batch_size * s.moment.count > 1 else None,
    "none": lambda subject: None,
}


def check_pattern(pattern: str) -> str:
    """`pattern` if every tag in it is known and its brackets are closed.

    Raises:
        BadOption: it is not; the message lists the tags.
    """
    for match in _pieces(pattern):
        tag = match["tag"]
        if tag is not None and tag.lower() not in _TAGS:
            raise BadOption(f"--name-pattern has [{tag}]", expected=f"one of {', '.join(_TAGS)}")
    return pattern


def file_name(pattern: str, infotext: str, moment: Moment) -> str:
    """The name, without number and suffix, that the pattern gives to the picture of this text; never empty.

    Raises:
        BadOption: as `check_pattern`.
    """
    said = parse_infotext(infotext)
    parts: list[str] = []
    for match in _pieces(check_pattern(pattern)):
        text = match["text"]
        if match["tag"] is None:
            parts.append(text)
            continue
        arguments = tuple(re.findall(r"<([^<>]*)>", match["arguments"]))
        value = _TAGS[match["tag"].lower()](_Subject(said, moment, arguments))
        parts.append("" if value is None else text + value)
    return safe_part("".join(parts)) or "picture"


def safe_part(text: str) -> str:
    """`text` as a part of a file name on every system: forbidden characters become `_`, what is too long is cut."""
    cleaned = _FORBIDDEN.sub("_", text).lstrip(" .")[:MAX_PART]
    cleaned = cleaned.encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore")
    return cleaned.rstrip(" .")


def _pieces(pattern: str) -> list[re.Match[str]]:
    found: list[re.Match[str]] = []
    start = 0
    while start < len(pattern):
        match = _PIECE.match(pattern, start)
        if match is None:
            raise BadOption(
                f"--name-pattern {pattern!r}",
                expected=f"tags in brackets, such as [seed]; there are {', '.join(_TAGS)}",
            )
        found.append(match)
        start = match.end()
    return found
