"""What a picture is called while training: templates with `[name]` and `[filewords]`. Pure but for one file read.

`[filewords]` is replaced first, then `[name]`, so that a caption may itself hold `[name]`, as in A1111.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pseudoword.errors import BadFile, BadOption

NAME, WORDS = "[name]", "[filewords]"

STYLE_TEMPLATES = (
    "[filewords], [name] style",
    "a [filewords] in the style of [name]",
    "[filewords], art by [name]",
    "a picture of a [filewords], [name] style",
    "[name] [filewords]",
    "art by [name]",
    "a picture in the style of [name]",
    "[name] style",
    "an icon, [name] style",
)
SUBJECT_TEMPLATES = (
    "a [name] [filewords]",
    "a picture of a [name] [filewords]",
    "an icon of a [name] [filewords]",
    "a photo of a [name] [filewords]",
    "[name] [filewords]",
    "a [name]",
    "a picture of a [name]",
    "the [name]",
    "an icon of a [name]",
)
_SHIPPED = {"style": STYLE_TEMPLATES, "subject": SUBJECT_TEMPLATES}
_ALONE = re.compile(r"(?:^|[\s,])\[name\](?:$|[\s,])")
_LEADING_NUMBERS = re.compile(r"^[\d\W_]+")


@dataclass(frozen=True, slots=True)
class Templates:
    """Prompt lines, those with a place for the picture's words apart from those without."""

    with_words: tuple[str, ...]
    without_words: tuple[str, ...]

    def lines_for(self, words: str) -> tuple[str, ...]:
        """The lines that suit a picture with these words: with a place for them whenever there are any."""
        if words and self.with_words:
            return self.with_words
        return self.without_words or self.with_words

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines, those with words first."""
        return self.with_words + self.without_words

    def fill(self, line: str, words: str, name: str) -> str:
        """A prompt; punctuation left over by missing words is cleared away."""
        text = line.replace(WORDS, words).replace(NAME, name)
        return re.sub(r"\s+", " ", text).strip(" ,")


def load_templates(template: str) -> Templates:
    """The shipped `style` or `subject` lines, or those of a text file (blank ones are passed over).

    Raises:
        BadFile: the file cannot be read as UTF-8 text.
        BadOption: there is no such file, or it has no line, or a line that can never hold the word.
    """
    shipped = _SHIPPED.get(template)
    if shipped is None and not Path(template).is_file():
        raise BadOption(f"--template {template!r}", expected="style, subject, or a text file")
    return make_templates(shipped if shipped else _read_lines(Path(template)))


def make_templates(lines: Sequence[str]) -> Templates:
    """Sort lines into those with and without `[filewords]`; that place may bring `[name]` from the captions."""
    if not lines:
        raise BadOption("a template without a line", expected=f"prompts, one a line, each with {NAME}")
    if nameless := [line for line in lines if NAME not in line and WORDS not in line]:
        raise BadOption(
            f"template line {nameless[0]!r}",
            expected=f"{NAME} in every line: without it nothing can be learned",
        )
    return Templates(tuple(line for line in lines if WORDS in line), tuple(line for line in lines if WORDS not in line))


def stands_alone(line: str) -> bool:
    """Whether the word has a place of its own in a template line, whatever the picture's words are."""
    return _ALONE.search(line) is not None


def words_for(picture: Path, caption: str | None = None) -> str:
    """The text beside the picture (`<stem>.txt`) if there is one, else `caption`, else the words of the file's name.

    Leading numbers and punctuation are dropped from a name, and `_` counts as a space:
    `0001-a man in suit.png` gives `a man in suit`.
    """
    beside = picture.with_suffix(".txt")
    if beside.is_file():
        return " ".join(beside.read_text("utf-8", errors="replace").split())
    if caption is not None:
        return caption
    name = picture.stem.encode(errors="replace").decode()
    return " ".join(_LEADING_NUMBERS.sub("", name).replace("_", " ").split())


def rearranged(words: str, order: Sequence[int], kept: Sequence[bool]) -> str:
    """The comma-separated tags of `words` in this order, less those not kept; never none at all.

    Args:
        words: a caption.
        order: a permutation of its tags' numbers.
        kept: for each tag, by its number in `words`, whether it stays.
    """
    tags = tags_of(words)
    chosen = [tags[i] for i in order if kept[i]]
    return ", ".join(chosen or tags[:1])


def tags_of(words: str) -> list[str]:
    """What stands between the commas of a caption."""
    return [tag.strip() for tag in words.split(",") if tag.strip()]


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadFile(f"template {path} cannot be read ({problem})", expected="a UTF-8 text file") from problem
    return [line.strip() for line in text.splitlines() if line.strip()]
