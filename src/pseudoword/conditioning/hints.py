"""Names that are loaded, and hints for names that are nearly so. Pure."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SUFFIXES = (".safetensors", ".pt", ".bin")
_LONGEST_NAME = 200
_RUN = re.compile(r"[^\s,;:()\[\]|<>\"“”!?/&+*]+")
_POSSESSIVE = re.compile(r"['’]\w{0,2}")


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Loaded words with their numbers of vectors; made by `Lexicon.of`."""

    places: Mapping[str, int]
    folded: Mapping[str, str]
    """Name without case → name; of two that differ by case only the first loaded counts."""

    @classmethod
    def of(cls, places: Mapping[str, int]) -> "Lexicon":
        """Words by name."""
        return cls(places, {name.casefold(): name for name in reversed(list(places))})

    def find(self, written: str) -> str | None:
        """The loaded name that an explicit spelling means: case, folder and file suffix do not matter."""
        wanted = written.strip().casefold()
        candidates = (wanted, _base(wanted), _without_suffix(_base(wanted)))
        return next((self.folded[candidate] for candidate in candidates if candidate in self.folded), None)

    def missing(self, written: str) -> str:
        """What to say about a name that is not loaded."""
        base, colon, weight = written.rpartition(":")
        if colon and self.find(base) is not None:
            return f"{written!r} is not loaded; a weight goes around it: (<embedding:{base}>:{weight})"
        near = self.near(_without_suffix(_base(written)))
        return f"{written!r} is not loaded and left out" + (f"; did you mean {near!r}?" if near else "")

    def near(self, written: str, but: str | None = None) -> str | None:
        """The most similar loaded name, other than `but`."""
        if len(written) > _LONGEST_NAME:
            return None
        found = difflib.get_close_matches(written.casefold(), self.folded, n=2, cutoff=0.6)
        return next((name for near in found if (name := self.folded[near]) != but), None)


def glued_names(text: str, words: Sequence[str], lexicon: Lexicon) -> list[str]:
    """Hints for loaded names that were found inside a longer one: `foo` in `foo-100`, the rest read as text.

    CLIP's tokenizer ends a word at every digit and sign, so the longer name calls the shorter word.
    """
    hints: list[str] = []
    runs = dict.fromkeys(match[0].rstrip(".") for match in _RUN.finditer(text)) if words else ()
    for whole in runs:
        for word in words:
            if word.casefold() in whole.casefold() and lexicon.find(whole) is None and _is_glued(whole, word):
                near = lexicon.near(whole, but=word)
                hints.append(
                    f"{whole!r} is not loaded, so its part {word!r} is used and the rest is text"
                    + (f"; did you mean {near!r}?" if near else "")
                )
    return hints


def _is_glued(whole: str, word: str) -> bool:
    at = whole.casefold().find(word.casefold())
    before, after = whole[:at], whole[at + len(word) :]
    if at < 0 or _POSSESSIVE.fullmatch(before + after):
        return False
    joined = _same_class(before[-1:], word[0]) or _same_class(word[-1], after[:1])
    return not joined and any(character.isalnum() for character in before + after)


def _same_class(left: str, right: str) -> bool:
    """Whether CLIP's tokenizer reads these neighbours as one word: letters with letters, signs with signs."""
    if not left or not right or left.isnumeric() or right.isnumeric():
        return False
    return left.isalpha() == right.isalpha()


def _base(written: str) -> str:
    return re.split(r"[/\\]", written)[-1]


def _without_suffix(written: str) -> str:
    for suffix in _SUFFIXES:
        written = written.removesuffix(suffix)
    return written
