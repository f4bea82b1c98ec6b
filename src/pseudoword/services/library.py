"""Look through the embeddings folder: what is loaded, what is not and why, whose names or vectors are the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pseudoword.embeddings import Embedding
from pseudoword.embeddings.checksums import vectors_sha256
from pseudoword.embeddings.embedding import folded
from pseudoword.embeddings.files import read_embeddings
from pseudoword.errors import BadFile
from pseudoword.families import describe, family_of
from pseudoword.library import Entry, Library, Skipped, Snapshot
from pseudoword.models.vocabulary import read_widths
from pseudoword.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """Files that want the same word; CLIP does not tell cases apart."""

    trigger: str
    used: Path
    """The file whose vectors the word has."""
    others: tuple[Path, ...]
    same_vectors: bool
    """Whether all of them hold the same vectors, so that nothing is lost by deleting the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Everything in an embeddings folder, as one model sees it."""

    folder: Path
    model: str | None
    """Name of the model that the words are compared with; None: with none."""
    widths: Mapping[str, int]
    """The model's slots and widths."""
    loaded: tuple[Entry, ...]
    skipped: tuple[Skipped, ...]
    collisions: tuple[Collision, ...]
    duplicates: tuple[tuple[Entry, ...], ...]
    """Words of different names with bit for bit the same vectors."""


def look_through(settings: Settings, model: str | None = None) -> Shelf:
    """The embeddings folder at this moment.

    Args:
        settings: for the folder.
        model: compare the words with it, by its configuration; its weights are not read.

    Raises:
        BadFile: the folder is a file.
        BadModel: there is no such model.
    """
    folder = settings.embeddings_dir
    if folder.exists() and not folder.is_dir():
        raise BadFile(f"{folder} is a file", expected="the folder of the embeddings")
    name, widths = (None, {}) if model is None else read_widths(model)
    snapshot = Library(folder).refresh()
    if name is not None:
        snapshot = snapshot.for_model(lambda embedding: embedding.widths == widths)
    fits = {word: name is None or entry.embedding.widths == widths for word, entry in snapshot.entries.items()}
    misfits = [entry for word, entry in snapshot.entries.items() if not fits[word]]
    wrong = tuple(Skipped(path=entry.path, reason=misfit_reason(entry.embedding, widths)) for entry in misfits)
    loaded = tuple(entry for word, entry in snapshot.entries.items() if fits[word])
    return Shelf(
        folder=folder,
        model=name,
        widths=widths,
        loaded=loaded,
        skipped=tuple(sorted((*map(_plainly, snapshot.skipped), *wrong), key=lambda skip: str(skip.path))),
        collisions=_collisions(snapshot),
        duplicates=_duplicates(snapshot.entries.values()),
    )


def _plainly(skip: Skipped) -> Skipped:
    """The reason without the file's name before it, since both are shown side by side."""
    return replace(skip, reason=skip.reason.removeprefix(f"{skip.path.name}: "))


def misfit_reason(embedding: Embedding, widths: Mapping[str, int]) -> str:
    """Why a model of these widths cannot use an embedding."""
    return f"made for {describe(embedding.widths)}, the model is {describe(widths)}"


def as_plain(shelf: Shelf) -> dict[str, object]:
    """The folder as JSON values."""
    family = family_of(shelf.widths)
    known = family.key if family else "unknown"
    model = shelf.model and {"name": shelf.model, "family": known, "widths": dict(shelf.widths)}
    return {
        "folder": str(shelf.folder),
        "model": model,
        "loaded": [
            {
                "trigger": entry.embedding.name,
                "file": str(entry.path),
                "family": entry.found.family,
                "num_vectors": entry.embedding.num_vectors,
                "widths": dict(entry.embedding.widths),
                "sha256": entry.sha256,
                "short": entry.short,
            }
            for entry in shelf.loaded
        ],
        "skipped": [{"file": str(skip.path), "reason": skip.reason} for skip in shelf.skipped],
        "collisions": [
            {
                "trigger": one.trigger,
                "used": str(one.used),
                "others": [str(other) for other in one.others],
                "same_vectors": one.same_vectors,
            }
            for one in shelf.collisions
        ],
        "duplicates": [
            [{"trigger": entry.embedding.name, "file": str(entry.path)} for entry in group]
            for group in shelf.duplicates
        ],
    }


def _collisions(snapshot: Snapshot) -> tuple[Collision, ...]:
    by_word: dict[str, list[Path]] = {}
    for skip in snapshot.skipped:
        if skip.taken_by is not None:
            by_word.setdefault(str(skip.taken_by), []).append(skip.path)
    entries = {str(entry.path): entry for entry in snapshot.entries.values()}
    return tuple(
        Collision(
            trigger=entries[used].embedding.name,
            used=entries[used].path,
            others=tuple(others),
            same_vectors=all(_holds(other, entries[used].embedding) for other in others),
        )
        for used, others in by_word.items()
    )


def _holds(path: Path, embedding: Embedding) -> bool:
    """Whether a file holds these very vectors for the same word."""
    try:
        found = read_embeddings(path)
    except BadFile:
        return False  # changed or removed since it was listed
    return any(
        one.embedding.same_vectors(embedding) for one in found if folded(one.embedding.name) == folded(embedding.name)
    )


def _duplicates(entries: Iterable[Entry]) -> tuple[tuple[Entry, ...], ...]:
    groups: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in entries:
        key = tuple((slot, vectors_sha256(table)) for slot, table in entry.embedding.vectors.items())
        groups.setdefault(key, []).append(entry)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)
