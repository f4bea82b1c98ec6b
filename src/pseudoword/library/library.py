"""A folder of embeddings that is re-read as it changes.

A file may hold several embeddings, two files may hold one (`embeddings.pairs`), and a picture may hold none, which
is no fault.

A refresh compares (path, size, mtime_ns) of every file with what was read before and reads the changed ones
only. The outcome is a new immutable snapshot with the next revision, or, when nothing changed, the very same
object as before. A file whose last change is younger than a file system's clock can tell apart is read again
at the next refresh, since it may change once more under the same fingerprint.
"""

import hashlib
import os
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pseudoword.embeddings import FileEmbedding, embeddings_from_bytes
from pseudoword.embeddings.pairs import first_path, join
from pseudoword.errors import BadFile, PlainPicture
from pseudoword.library.snapshot import Entry, Skipped, Snapshot, arrange
from pseudoword.library.walk import Fingerprint, find_files, fingerprint
from pseudoword.unpickle import MAX_FILE

_CLOCK_NS = 2_000_000_000
"""Coarsest step of a file system's clock (FAT)."""

_CHANGING = "the file is being written; it is read at the next refresh"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """The outcome of reading one file."""

    fingerprint: Fingerprint | None
    """None: read again at the next refresh, whatever the file looks like."""
    sha256: str
    path: Path
    entries: tuple[Entry, ...] = ()
    reason: str = ""
    """Why the file was skipped; with no entries and no reason it is a plain picture."""

    def is_like(self, fresh: "_Read") -> bool:
        """Whether a file that was read again holds what it held before."""
        alike = bool(fresh.sha256) and self.sha256 == fresh.sha256
        return alike and bool(self.entries) == bool(fresh.entries) and self.reason == fresh.reason


@dataclass(frozen=True, slots=True)
class _Pair:
    """What two files gave together, kept so that the same two give the same object."""

    first: tuple[Entry, ...]
    second: tuple[Entry, ...]
    entry: Entry | None


class Library:
    """The embeddings of one folder and everything below it.

    Args:
        root: the folder; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._snapshot = Snapshot()
        self._known: dict[str, _Read] = {}
        self._pairs: dict[str, _Pair] = {}
        self._lock = threading.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """What the last refresh found."""
        return self._snapshot

    def refresh(self) -> Snapshot:
        """Look at the folder and return what it holds now; a file that cannot be read is skipped, by name.

        Returns:
            the same object as the last time if nothing changed, else a new one with the next revision.
        """
        with self._lock:
            found = find_files(str(self.root))
            known = {path: self._look(path, state) for path, state in found.items()}
            if _unchanged(known, self._known):
                return self._snapshot
            self._known = known
            fresh = _assemble(known, self._pair_up(known), self._snapshot.revision)
            if fresh != self._snapshot:
                self._snapshot = replace(fresh, revision=self._snapshot.revision + 1)
            return self._snapshot

    def _look(self, path: str, state: Fingerprint | str) -> _Read:
        before = self._known.get(path)
        if before is not None and before.fingerprint == state:
            return before
        fresh = _read(Path(path)) if isinstance(state, Fingerprint) else _skip(path, state)
        if before is None or not before.is_like(fresh):
            return fresh
        return replace(fresh, entries=before.entries)  # touched, not changed

    def _pair_up(self, known: dict[str, _Read]) -> dict[str, tuple[Entry, ...]]:
        """Path → entries, where two files are one embedding: it is the first file's, and the second has none."""
        entries: dict[str, tuple[Entry, ...]] = {}
        joined: dict[str, _Pair] = {}
        for second_path, second in known.items():
            first = known.get(str(first_path(second.path) or ""))
            if not second.entries or first is None or not first.entries:
                continue
            pair = self._pairs.get(second_path)
            if pair is None or pair.first is not first.entries or pair.second is not second.entries:
                pair = _Pair(first.entries, second.entries, _join(first, second))
            joined[second_path] = pair
            if pair.entry is not None:
                entries |= {str(first.path): (pair.entry,), second_path: ()}
        self._pairs = joined
        return entries


def _unchanged(known: dict[str, _Read], before: dict[str, _Read]) -> bool:
    return len(known) == len(before) and all(before.get(path) is read for path, read in known.items())


def _join(first: _Read, second: _Read) -> Entry | None:
    """The one embedding of two files that are side by side, or None where they are two embeddings."""
    found = join(first.path, _found(first.entries), lambda _: _found(second.entries))
    is_pair = len(found) == 1 and found[0].layout == "sdxl-pair"
    return replace(first.entries[0], found=found[0]) if is_pair else None


def _found(entries: tuple[Entry, ...]) -> tuple[FileEmbedding, ...]:
    return tuple(entry.found for entry in entries)


def _skip(path: str, reason: str, stamp: Fingerprint | None = None, sha256: str = "") -> _Read:
    return _Read(fingerprint=stamp, sha256=sha256, path=Path(path), reason=reason)


def _read(path: Path) -> _Read:
    """Read a file in one go, so that vectors and hash are of the same bytes."""
    started = time.time_ns()
    try:
        with path.open("rb") as handle:
            before = fingerprint(os.fstat(handle.fileno()))
            if before.size > MAX_FILE:
                reason = f"{before.size >> 20} MiB, which is a model rather than an embedding"
                return _skip(str(path), reason, before)
            content = handle.read(MAX_FILE)
        after = fingerprint(path.stat())
    except OSError as problem:
        return _skip(str(path), f"the file cannot be read: {problem.strerror or problem}")
    if before != after or len(content) != before.size:
        return _skip(str(path), _CHANGING)
    stamp = before if abs(started - before.mtime_ns) > _CLOCK_NS else None
    return _parse(path, content, stamp)


def _parse(path: Path, content: bytes, stamp: Fingerprint | None) -> _Read:
    if not content:
        return _skip(str(path), "the file is empty", stamp)
    digest = hashlib.sha256(content).hexdigest()
    try:
        found = embeddings_from_bytes(content, path.stem, label=path.name)
    except PlainPicture:
        return _skip(str(path), "", stamp, digest)
    except BadFile as problem:
        return _skip(str(path), str(problem), stamp, digest)
    entries = tuple(Entry(found=one, path=path, sha256=digest) for one in found)
    return _Read(fingerprint=stamp, sha256=digest, path=path, entries=entries)


def _assemble(known: dict[str, _Read], paired: dict[str, tuple[Entry, ...]], revision: int) -> Snapshot:
    """Entries by trigger; of several embeddings with one trigger the first in the order of paths is taken."""
    everything = [entry for path, read in known.items() for entry in paired.get(path, read.entries)]
    unread = [Skipped(path=read.path, reason=read.reason) for read in known.values() if read.reason]
    return arrange(everything, unread, revision)
