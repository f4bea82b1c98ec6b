"""A folder of embeddings that is re-read as it changes.

A refresh compares (path, size, mtime_ns) of every file with what was read before and reads the changed ones
only. The outcome is a new immutable snapshot with the next revision, or, when nothing changed, the very same
object as before. A file whose last change is younger than a file system's clock can tell apart is read again
at the next refresh, since it may change once more under the same fingerprint.
"""

import hashlib
import os
import threading
import time
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pseudoword.embeddings import embedding_from_bytes
from pseudoword.errors import BadFile
from pseudoword.library.snapshot import Entry, Skipped, Snapshot
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
    outcome: Entry | Skipped


class Library:
    """The embeddings of one folder and everything below it.

    Args:
        root: the folder; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._snapshot = Snapshot()
        self._known: dict[str, _Read] = {}
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
            if [*known.items()] == [*self._known.items()]:
                return self._snapshot
            self._known = known
            fresh = _assemble(known, self._snapshot.revision)
            if fresh != self._snapshot:
                self._snapshot = replace(fresh, revision=self._snapshot.revision + 1)
            return self._snapshot

    def _look(self, path: str, state: Fingerprint | str) -> _Read:
        before = self._known.get(path)
        if before is not None and before.fingerprint == state:
            return before
        fresh = _read(Path(path)) if isinstance(state, Fingerprint) else _skip(path, state)
        if before is None or not _same(before, fresh):
            return fresh
        return replace(fresh, outcome=before.outcome)  # touched, not changed


def _same(before: _Read, fresh: _Read) -> bool:
    kinds_match = type(before.outcome) is type(fresh.outcome)
    return kinds_match and bool(fresh.sha256) and before.sha256 == fresh.sha256


def _skip(path: str, reason: str, stamp: Fingerprint | None = None, sha256: str = "") -> _Read:
    return _Read(fingerprint=stamp, sha256=sha256, outcome=Skipped(path=Path(path), reason=reason))


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
        embedding = embedding_from_bytes(content, path.stem, label=path.name)
    except BadFile as problem:
        return _skip(str(path), str(problem), stamp, digest)
    entry = Entry(embedding=embedding, path=path, sha256=digest)
    return _Read(fingerprint=stamp, sha256=digest, outcome=entry)


def _assemble(known: dict[str, _Read], revision: int) -> Snapshot:
    """Entries by trigger; of several files with one trigger the first in the order of paths is taken."""
    entries: dict[str, Entry] = {}
    taken: dict[str, Path] = {}
    skipped: list[Skipped] = []
    for read in known.values():
        outcome = read.outcome
        if isinstance(outcome, Skipped):
            skipped.append(outcome)
            continue
        trigger = outcome.embedding.name
        first = taken.setdefault(_folded(trigger), outcome.path)
        if first == outcome.path:
            entries[trigger] = outcome
        else:
            reason = f"the word {trigger!r} is taken by {first}; rename one of the two"
            skipped.append(Skipped(path=outcome.path, reason=reason, taken_by=first))
    return Snapshot(revision=revision, entries=MappingProxyType(entries), skipped=tuple(skipped))


def _folded(trigger: str) -> str:
    """The trigger as a tokenizer sees it: CLIP's does not tell cases apart."""
    return unicodedata.normalize("NFC", trigger).lower()
