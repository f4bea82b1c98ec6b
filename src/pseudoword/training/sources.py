"""Folders of pictures with what is said about each: how often, how much it counts, and its captions."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pseudoword.errors import BadFile, BadOption, BadPictures

CAPTIONS_FILE = "metadata.jsonl"
MASK_SUFFIX = "-masklabel"
_WRITTEN = re.compile(r"(?P<folder>.+?):(?P<repeats>\d+)(?::(?P<weight>\d*\.?\d+))?")
_IGNORED = {".txt", ".md", ".json", ".jsonl", ".csv", ".svg", ".ini", ".db", ".pt", ".bin", ".safetensors"}
_MOST_REPEATS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One folder; each of its pictures comes `repeats` times an epoch, and its loss counts `weight`-fold."""

    folder: Path
    repeats: int = 1
    weight: float = 1.0


def parse_source(text: str) -> Source:
    """Read `FOLDER`, `FOLDER:REPEATS` or `FOLDER:REPEATS:WEIGHT`.

    Raises:
        BadOption: repeats or weight are out of range.
    """
    found = None if _is_folder(Path(text)) else _WRITTEN.fullmatch(text)
    if found is None:
        return Source(folder=Path(text))
    repeats, weight = int(found["repeats"]), float(found["weight"] or 1)
    if not 1 <= repeats <= _MOST_REPEATS or not 0 < weight <= 100:
        raise BadOption(
            f"pictures {text!r}", expected=f"FOLDER:REPEATS:WEIGHT with 1 to {_MOST_REPEATS} repeats, a weight to 100"
        )
    return Source(folder=Path(found["folder"]), repeats=repeats, weight=weight)


def check_pictures_folder(folder: Path) -> None:
    """Whether there is such a folder.

    Raises:
        BadPictures: there is none.
    """
    if not _is_folder(folder):
        raise BadPictures(f"no folder {folder}", expected="a folder with pictures", next_move="Check the path")


def candidates(folder: Path) -> list[Path]:
    """Files that may be pictures, in the order of their names; masks, texts, hidden files are left out.

    Raises:
        BadPictures: there is no such folder.
    """
    check_pictures_folder(folder)
    return sorted(
        file
        for file in folder.iterdir()
        if file.is_file()
        and not file.name.startswith(".")
        and file.suffix.lower() not in _IGNORED
        and not file.stem.endswith(MASK_SUFFIX)
    )


def mask_file(picture: Path) -> Path | None:
    """The picture `<stem>-masklabel.<any suffix>` beside it, if there is one."""
    return next(
        (file for file in sorted(picture.parent.glob(f"{_literal(picture.stem)}{MASK_SUFFIX}.*")) if file.is_file()),
        None,
    )


def captions_in(folder: Path) -> Mapping[str, str]:
    """File name → caption from the folder's `metadata.jsonl`, as Hugging Face's image folders have it.

    Each line is an object with `file_name` and `text` (or `caption`). Empty where there is no such file.

    Raises:
        BadFile: a line is no such object; it is named by its number.
    """
    path = folder / CAPTIONS_FILE
    if not path.is_file():
        return {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadFile(f"{path} cannot be read ({problem})", expected="a UTF-8 text file") from problem
    return dict(_caption_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip())


def _caption_line(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        value = cast("object", json.loads(line))
    except (ValueError, RecursionError):
        value = None
    entry = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    name, text = entry.get("file_name"), entry.get("text", entry.get("caption"))
    if not isinstance(name, str) or not isinstance(text, str):
        raise BadFile(f"{path}, line {number}", expected='an object such as {"file_name": "1.png", "text": "a cat"}')
    return name, " ".join(text.split())


def check_sources(sources: Sequence[Source]) -> None:
    """Every folder is there, and none is named twice.

    Raises:
        BadPictures: one is missing or comes twice.
    """
    for source in sources:
        check_pictures_folder(source.folder)
    folders = [source.folder.resolve() for source in sources]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise BadPictures(f"folder {twice} is named twice", next_move="Give FOLDER:REPEATS to show it more often")


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except (OSError, ValueError):  # too long, or with a null character
        return False


def _literal(text: str) -> str:
    """`text` as a glob that matches nothing but itself."""
    return re.sub(r"([*?\[\]])", r"[\1]", text)
