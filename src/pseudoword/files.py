"""Atomic writes, content hashes and safe names; knows no file format.

Invariant: a reader sees the old file or the new one, never half of either. A write goes to a temporary
name in the same folder, is flushed to disk and then renamed over the target.
"""

import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from pseudoword.errors import BadFile, BadOption

_BLOCK = 1 << 20
_NAME = re.compile(r"[^\W_][\w .-]*", re.UNICODE)
_MAX_NAME = 150
"""Bytes in UTF-8; file systems take 255, and run folders and temporary names add to it."""

_RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
}


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` when the block ends well.

    The temporary name keeps the suffix, for writers that choose a format by it. The folder is made.

    Raises:
        BadFile: the operating system does not let it be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{threading.get_ident()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("r+b") as handle:  # Windows flushes only what is open for writing
                os.fsync(handle.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as problem:
        raise _cannot_write(path, problem) from problem


def _cannot_write(path: Path, problem: OSError) -> BadFile:
    reason = problem.strerror or type(problem).__name__
    return BadFile(f"{path} cannot be written ({reason})", next_move="Choose another place")


def clear_leftovers(folder: Path, stem: str = "*") -> None:
    """Remove temporary files of writes that a kill cut short, in `folder` itself; of one file where a stem is given."""
    for path in folder.glob(f".{stem}.*-*.tmp*"):
        path.unlink(missing_ok=True)


def atomic_write(path: Path, content: bytes) -> None:
    """Replace `path` by `content` so that no reader ever sees a part of it."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON, atomically."""
    atomic_write(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


class AppendFile:
    """A file that grows: what is added reaches it with `flush`, in one piece or not at all.

    A reader, and whoever comes after a kill, sees whole entries only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending: list[bytes] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as problem:
            raise _cannot_write(path, problem) from problem

    def add(self, content: bytes) -> None:
        """Keep an entry for the next `flush`."""
        self._pending.append(content)

    def flush(self) -> None:
        """Write what was added.

        Raises:
            BadFile: it cannot be written; the file is as it was before, and the entries wait for another try.
        """
        content = b"".join(self._pending)
        if not content:
            return
        size = os.fstat(self._file.fileno()).st_size
        try:
            self._write_all(content)
            os.fsync(self._file.fileno())
        except OSError as problem:
            self._file.truncate(size)
            raise _cannot_write(self._path, problem) from problem
        self._pending.clear()

    def _write_all(self, content: bytes) -> None:
        view = memoryview(content)
        while view:  # a full disk takes a part first and refuses the rest
            view = view[self._file.write(view) or 0 :]

    def close(self) -> None:
        """Close the file; what was not flushed is dropped."""
        self._file.close()


@contextmanager
def held_alone(path: Path, what: str) -> Generator[None]:
    """Keep other processes out of the same block; the system lets go when this process ends, however it ends.

    Raises:
        BadFile: another process is in it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.open("ab")
    except OSError as problem:
        raise _cannot_write(path, problem) from problem
    with handle:
        try:
            _lock(handle.fileno())
        except OSError as problem:
            raise BadFile(f"{what} is in use by another process", next_move="Wait for it, or stop it") from problem
        yield


def _lock(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def sha256(path: Path) -> str:
    """Hex digest of the whole file, read in blocks of one MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def old_hash(path: Path) -> str:
    """A1111's first model hash: eight digits of the sha256 of 65,536 bytes from byte 1,048,576 on."""
    with path.open("rb") as handle:
        handle.seek(1 << 20)
        return hashlib.sha256(handle.read(1 << 16)).hexdigest()[:8]


class HashCache:
    """sha256 by (path, size, mtime_ns), kept in a JSON file so that large files are hashed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = _read_known(path)

    def sha256(self, file: Path) -> str:
        """Hex digest of `file`, from the cache when the file has not changed since."""
        stat = file.stat()
        key = str(file.resolve())
        stamp = f"{stat.st_size}:{stat.st_mtime_ns}"
        known = self._known.get(key)
        if known is not None and known[0] == stamp:
            return known[1]
        digest = sha256(file)
        self._known[key] = [stamp, digest]
        try:
            write_json(self.path, self._known)
        except BadFile:
            return digest  # a cache that cannot be written costs time at the next start, nothing else
        return digest


def _read_known(path: Path) -> dict[str, list[str]]:
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # a lost or damaged cache costs time, never correctness
    if not isinstance(loaded, dict):
        return {}
    entries = cast("dict[str, object]", loaded)
    return {key: cast("list[str]", value) for key, value in entries.items() if _is_entry(value)}


def _is_entry(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(cast("list[object]", value)) == 2
        and all(isinstance(part, str) for part in cast("list[object]", value))
    )


def check_folder(path: Path, what: str) -> None:
    """Make sure that files can be put below `path`, which need not be there yet.

    Raises:
        BadFile: it, or a folder above it, is a file or is closed to us.
    """
    try:
        nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        usable = nearest.is_dir() and os.access(nearest, os.W_OK)
    except (OSError, ValueError):
        usable = False
    if not usable:
        raise BadFile(f"{what} {path} cannot be written to", expected="a folder", next_move="Choose another one")


def check_name(name: str) -> str:
    """Return `name` if it can be a file's stem on every system and a word in a prompt.

    Raises:
        BadOption: the name is empty, too long, starts with punctuation or holds anything but letters,
            digits, `.`, `_`, `-` and spaces.
    """
    fits = _NAME.fullmatch(name) and len(name.encode()) <= _MAX_NAME and not name.endswith((" ", "."))
    if not fits or name.split(".")[0].rstrip().lower() in _RESERVED:
        raise BadOption(
            f"name {name!r}",
            expected="letters, digits, '.', '_', '-' or spaces, beginning with a letter or digit "
            f"(at most {_MAX_NAME} bytes)",
            next_move="Choose another name",
        )
    return name
