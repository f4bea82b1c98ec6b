"""Further words of one run: how they are written among the options, and their rows among those of the run.

In a `TrainState` the run's own word has tables by slot (`clip_l`), every further word by name and slot
(`other/clip_l`), so that states of runs with one word stay what they were. A name cannot hold a slash.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pseudoword.errors import BadOption
from pseudoword.files import check_name
from pseudoword.training.sources import Source, parse_source

_KEYS = ("init", "vectors", "template", "noun")
_EXPECTED = "NAME=FOLDER:REPEATS:WEIGHT;init=TEXT;vectors=N;template=STYLE;noun=NOUN (all but NAME may be left out)"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherWord:
    """A further word; what is None or empty is as for the run's own word."""

    name: str
    source: Source | None = None
    """Its own pictures; None: it is named in captions of other folders."""
    init: str = ""
    vectors: int | None = None
    template: str = ""
    noun: str = ""


def parse_word(text: str) -> OtherWord:
    """Read `NAME=FOLDER:REPEATS:WEIGHT;init=TEXT;vectors=N;template=STYLE;noun=NOUN`.

    Raises:
        BadOption: it is written differently.
        BadName: the name cannot be one.
    """
    head, *settings = text.split(";")
    name, _, folder = head.partition("=")
    check_name(name.strip())
    given: dict[str, str] = {}
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if key not in _KEYS or not equals or not value or key in given:
            raise BadOption(f"{setting!r} in --and {text!r}", expected=_EXPECTED)
        given[key] = value
    count = given.pop("vectors", None)
    if count is not None and not (count.isascii() and count.isdecimal() and 1 <= int(count) <= 75):
        raise BadOption(f"vectors={count} in --and {text!r}", expected="1 to 75")
    if given.get("init") == "suggest":
        raise BadOption(f"init=suggest in --and {text!r}", expected="a text; pseudoword suggest-init FOLDER names some")
    if given.get("template", "style") not in ("style", "subject") and not Path(given["template"]).is_file():
        raise BadOption(f"template={given['template']} in --and {text!r}", expected="style, subject, or a text file")
    return OtherWord(
        name=name.strip(),
        source=parse_source(folder.strip()) if folder.strip() else None,
        vectors=None if count is None else int(count),
        **given,
    )


def parse_words(texts: Iterable[str], own: str) -> tuple[OtherWord, ...]:
    """All further words beside the word `own`.

    Raises:
        BadOption: one is written wrongly, or a name comes twice.
    """
    words = tuple(parse_word(text) for text in texts)
    names = [name.casefold() for name in (own, *(word.name for word in words))]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadOption(f"--and {twice!r}", expected="a name of its own for every word of a run")
    return words


def with_paths(text: str, folder: Callable[[str], str], template: Callable[[str], str]) -> str:
    """The same word with its folder and its template's file changed."""
    head, *settings = text.split(";")
    name, equals, written = head.partition("=")
    changed = [f"{name}{equals}{folder(written)}" if written.strip() else head]
    for setting in settings:
        key, _, value = setting.partition("=")
        changed.append(f"{key}={template(value.strip())}" if key.strip() == "template" else setting)
    return ";".join(changed)


def table_key(slot: str, name: str = "") -> str:
    """What the table of a word is called in the state; no name for the run's own word."""
    return f"{name}/{slot}" if name else slot


def slot_of(key: str) -> str:
    """The slot of a table."""
    return key.rpartition("/")[2]


def words_of(tables: Mapping[str, _T], own: str) -> dict[str, dict[str, _T]]:
    """Name → slot → rows, the run's own word first."""
    words: dict[str, dict[str, _T]] = {own: {}}
    for key, rows in tables.items():
        name, _, slot = key.rpartition("/")
        words.setdefault(name or own, {})[slot] = rows
    return words
