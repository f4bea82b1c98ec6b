"""Styles: prompts with names, in a `styles.csv` as A1111 keeps it, merged into a prompt before it is read."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pseudoword.errors import BadFile, BadOption

_PLACE = "{prompt}"
_NO_STYLE = "None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """A named pair of prompts; `{prompt}` in one of them is where the user's own goes."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def read_styles(path: Path) -> dict[str, Style]:
    """Styles of a file by name; a file that is not there has none.

    Raises:
        BadFile: it cannot be read, or lacks the columns `name` and `prompt`.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise BadFile(f"styles file {path} cannot be read ({problem})", expected="a UTF-8 CSV file") from problem
    return parse_styles(text, str(path))


def parse_styles(text: str, label: str) -> dict[str, Style]:
    """As `read_styles`, from the text of a file. Old files call the column of the prompt `text`."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        columns = reader.fieldnames or ()
        column = "prompt" if "prompt" in columns else "text"
        if columns and not {"name", column} <= set(columns):
            raise BadFile(f"styles file {label} has the columns {', '.join(columns)}", expected="name, prompt")
        rows = list(reader)
    except csv.Error as problem:
        raise BadFile(f"styles file {label}, line {reader.line_num}: {problem}", expected="a CSV file") from problem
    return {
        row["name"]: Style(name=row["name"], prompt=row[column] or "", negative_prompt=row.get("negative_prompt") or "")
        for row in rows
        if row["name"]
    }


def apply_styles(
    prompt: str, negative_prompt: str, names: Iterable[str], styles: Mapping[str, Style]
) -> tuple[str, str]:
    """Both prompts with the named styles merged in, one after the other; the style `None` does nothing.

    Raises:
        BadOption: there is no style of that name.
    """
    for name in names:
        if name == _NO_STYLE and name not in styles:
            continue
        if name not in styles:
            known = ", ".join(styles) if styles else "one of the styles file, which has none"
            raise BadOption(f"style {name!r}", expected=known)
        prompt = _merged(prompt, styles[name].prompt)
        negative_prompt = _merged(negative_prompt, styles[name].negative_prompt)
    return prompt, negative_prompt


def _merged(prompt: str, style: str) -> str:
    if _PLACE in style:
        return style.replace(_PLACE, prompt)
    return ", ".join(filter(None, (prompt.strip(), style.strip())))
