"""Which files of a folder may be embeddings, and what tells that one of them changed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

PICTURES = (".png", ".webp", ".avif", ".jxl")
SUFFIXES = (".safetensors", ".pt", ".bin", ".ckpt", ".pti", *PICTURES)

_PREVIEWS = tuple(f".preview{suffix}" for suffix in PICTURES)
"""Pictures beside an embedding, which A1111 shows and does not read (reference a1111.md §1.1)."""

ORIGIN_SUFFIX = ".origin.json"
"""Of the note beside an embedding that was pulled, of where it came from."""


def is_side_file(name: str) -> bool:
    """Whether a file of this name belongs to an embedding beside it and is none itself."""
    return name.lower().endswith((*_PREVIEWS, ORIGIN_SUFFIX))


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Size and time of change; with the path, what a file is recognised by without reading it."""

    size: int
    mtime_ns: int


def fingerprint(status: os.stat_result) -> Fingerprint:
    """The fingerprint in a file's status."""
    return Fingerprint(status.st_size, status.st_mtime_ns)


_NOTHING = ""
"""State of a picture without a byte, which is passed over in silence."""


def find_files(root: str) -> dict[str, Fingerprint | str]:
    """Every candidate below `root`, in the order of paths: its fingerprint, or why it cannot be looked at.

    Of files that differ in their suffix alone a `.safetensors` comes first: it is the container that has room for
    where the word was trained, and the first file has the word.

    Folders are followed through symbolic links, each real folder once, so that links cannot make a loop.
    Names that begin with a dot (unfinished writes, other systems' side files) are left out, folders' are not.
    A root that is missing has no files.
    """
    found = dict(_walk(root))
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _order(path: str) -> tuple[str, bool, str]:
    stem, _, suffix = path.replace(os.sep, "/").rpartition(".")
    return stem, suffix.lower() != "safetensors", suffix


def _walk(root: str) -> Iterator[tuple[str, Fingerprint | str]]:
    seen: set[tuple[int, int]] = set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            entries = _list_once(folder, seen)
        except FileNotFoundError:
            continue  # never made, or removed since it was listed: there is nothing to report
        except OSError as problem:
            yield folder, f"the folder cannot be read: {problem.strerror or problem}"
            continue
        for entry in entries:
            if _is_folder(entry):
                waiting.append(entry.path)
            elif _is_candidate(entry.name):
                state = _look(entry)
                if state != _NOTHING or not entry.name.lower().endswith(PICTURES):
                    yield entry.path, state


def _is_candidate(name: str) -> bool:
    folded = name.lower()
    return folded.endswith(SUFFIXES) and not folded.endswith(_PREVIEWS) and not name.startswith(".")


def _list_once(folder: str, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """Entries in reverse order of names, so that a stack takes them forwards; none for a known folder."""
    status = os.stat(folder)  # noqa: PTH116  # a Path per folder would slow every re-scan
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return []
    seen.add(identity)
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name, reverse=True)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads nowhere or in a circle; `_look` names it if its suffix counts


def _look(entry: os.DirEntry[str]) -> Fingerprint | str:
    try:
        status = entry.stat()
    except OSError as problem:
        return f"the file cannot be read: {problem.strerror or problem}"
    if not stat.S_ISREG(status.st_mode):
        return "this is no regular file"  # opening a pipe would wait for its writer
    return fingerprint(status) if status.st_size or not entry.name.lower().endswith(PICTURES) else _NOTHING
