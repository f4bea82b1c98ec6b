"""Make a word out of others: parse the expression, fetch what it names, work it out, write the result."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import torch

from pseudoword._version import __version__
from pseudoword.embeddings import Embedding, Provenance, arithmetic, write_embedding
from pseudoword.embeddings.expression import Text, Word, parse, wrong
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.files import read_embeddings
from pseudoword.embeddings.merging import merge
from pseudoword.embeddings.writing import SUFFIXES
from pseudoword.errors import BadFile, BadOption, NameTaken, WrongFamily
from pseudoword.families import describe
from pseudoword.files import check_folder, check_name
from pseudoword.library import Library, Snapshot
from pseudoword.models.vocabulary import Vocabulary, load_vocabulary
from pseudoword.services.merge_options import MergeOptions
from pseudoword.settings import Settings

_CHUNK = 75
"""Vectors that one prompt chunk holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge made."""

    embedding: Embedding
    path: Path
    notes: tuple[str, ...]
    """Things to tell the user, as whole sentences."""


def merge_words(options: MergeOptions, settings: Settings) -> Merged:
    """Work an expression out and write the result, with the expression in its provenance.

    Raises:
        BadOption: a malformed expression (the error names the column) or setting.
        WrongFamily: parts that were made for different model families.
        BadFile, BadModel: a file, word or model that the expression needs is not there or cannot be used.
        NameTaken: the result would replace a file, and `overwrite` is not set.
    """
    _check(options)
    path = _target(options, settings)
    sources = _Sources(Library(settings.embeddings_dir).refresh(), options.model)
    tables = merge(parse(options.expression, sources.names()), sources.vectors)
    if options.truncate is not None:
        tables = arithmetic.truncated(tables, options.truncate)
    if options.rescale or options.norm is not None:
        tables = arithmetic.rescaled(tables, _lengths(tables, options, sources))
    try:
        embedding = Embedding(name=path.stem, vectors=tables, provenance=sources.provenance(options.expression))
    except ValueError as problem:
        raise BadOption(f"the result of the expression: {problem}", next_move="Use smaller factors") from problem
    write_embedding(embedding, path)
    return Merged(embedding=embedding, path=path, notes=(*sources.notes, *_notes(embedding, path)))


def _check(options: MergeOptions) -> None:
    if options.truncate is not None and options.truncate < 1:
        raise BadOption(f"--truncate {options.truncate}", expected="at least 1")
    if options.norm is not None and not (options.norm > 0 and math.isfinite(options.norm)):
        raise BadOption(f"--norm {options.norm}", expected="a length above 0; SD1's vocabulary has about 0.4")
    if options.norm is not None and options.rescale:
        raise BadOption("--rescale and --norm", expected="one of the two")


def _target(options: MergeOptions, settings: Settings) -> Path:
    """A bare name means the embeddings folder."""
    path = Path(options.out).expanduser()
    if path.suffix.lower() not in SUFFIXES:
        check_name(options.out)
        path = settings.embeddings_dir / f"{options.out}.safetensors"
    check_folder(path.parent, "the folder")
    if path.exists() and not options.overwrite:
        raise NameTaken(f"{path} already exists", next_move="Choose another name, or add --overwrite to replace it")
    return path


@dataclass
class _Sources:
    """Gives the words and texts of an expression their vectors, and remembers what was used."""

    snapshot: Snapshot
    model: str
    notes: list[str] = field(default_factory=list[str])
    used: list[Provenance] = field(default_factory=list[Provenance])

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Of the model; loaded at the first text."""
        return load_vocabulary(self.model)

    def names(self) -> set[str]:
        """Every word that the folder has, the skipped ones too, whose reason is then told."""
        return {*self.snapshot.entries, *(skip.path.stem for skip in self.snapshot.skipped)}

    def vectors(self, leaf: Text | Word) -> Mapping[str, torch.Tensor]:
        """Slot → vectors of a leaf of the expression."""
        if isinstance(leaf, Text):
            return self._text(leaf)
        embedding = self._word(leaf)
        self.used.append(embedding.provenance)
        return embedding.vectors

    def provenance(self, expression: str) -> Provenance:
        """Of the result: the model where all parts agree on one, the expression, and when it was made."""
        origins = {(origin.base_model, origin.base_model_hash) for origin in self.used}
        if "vocabulary" in self.__dict__ and not any(name == self.vocabulary.name for name, _ in origins):
            origins.add((self.vocabulary.name, None))
        model, model_hash = origins.pop() if len(origins) == 1 else (None, None)
        return Provenance(
            base_model=model,
            base_model_hash=model_hash,
            expression=expression,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            product=f"pseudoword {__version__}",
        )

    def _text(self, leaf: Text) -> dict[str, torch.Tensor]:
        same = [name for name in self.snapshot.entries if name.lower() == leaf.text.strip().lower()]
        if same:
            note = f"{leaf.text!r} in quotes is plain text; without quotes it would be the learned word {same[0]}."
            self.notes.append(note)
        found: dict[str, torch.Tensor] = {}
        for table in self.vocabulary.tables:
            ids = table.ids(leaf.text)
            if not ids:
                raise wrong(leaf.column, f"the text {leaf.text!r} has no token", expected="at least one word in it")
            found[table.slot] = table.table[torch.tensor(ids)]
        if len({len(rows) for rows in found.values()}) > 1:
            raise wrong(leaf.column, f"the text {leaf.text!r} has a different number of tokens for each text encoder")
        return found

    def _word(self, leaf: Word) -> Embedding:
        entries = self.snapshot.entries
        for name in (leaf.name, *entries):
            if name in entries and name.lower() == leaf.name.lower():
                return entries[name].embedding
        for skip in self.snapshot.skipped:
            if skip.path.stem.lower() == leaf.name.lower():
                raise wrong(leaf.column, f"{leaf.name!r} cannot be used: {skip.reason}")
        path = Path(leaf.name).expanduser()
        if path.suffix.lower() in SUFFIXES or len(path.parts) > 1:
            return _only(read_embeddings(path), path)
        close = get_close_matches(leaf.name, entries, n=1)
        raise wrong(
            leaf.column,
            f"no word {leaf.name!r} in the embeddings folder",
            expected=f"a word such as {close[0]!r}" if close else "a word of the folder or the path of a file",
            next_move="Put plain text in quotes: 'a photo of'",
        )


def _only(found: tuple[FileEmbedding, ...], path: Path) -> Embedding:
    if len(found) == 1:
        return found[0].embedding
    raise BadFile(
        f"{path} holds {len(found)} words ({', '.join(one.embedding.name for one in found)})",
        expected="a file with one",
        next_move=f"Split it: pseudoword convert {shlex.quote(str(path))} FOLDER/",
    )


def _lengths(tables: arithmetic.Tables, options: MergeOptions, sources: _Sources) -> dict[str, float]:
    if options.norm is not None:
        return dict.fromkeys(tables, options.norm)
    own, model = arithmetic.widths_of(tables), sources.vocabulary.widths()
    if own != model:
        raise WrongFamily(
            f"--rescale with the model {sources.vocabulary.name}, which is {describe(model)}",
            expected=f"the model that the words were made for: {describe(own)}",
            next_move="Name it with --model, or give the length yourself with --norm",
        )
    return sources.vocabulary.median_norms()


def _notes(embedding: Embedding, path: Path) -> list[str]:
    notes: list[str] = []
    if embedding.num_vectors > _CHUNK:
        notes.append(f"{embedding.num_vectors} vectors are more than the {_CHUNK} that a prompt has room for.")
    if any(not bool(row.any()) for table in embedding.vectors.values() for row in table):
        notes.append("Some vectors are zeros: the parts of a sum cancel, or a part was filled up.")
    if path.suffix.lower() == ".bin":
        notes.append("A .bin file has no room for where the word came from; .safetensors has.")
    return notes
