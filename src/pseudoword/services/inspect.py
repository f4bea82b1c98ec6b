"""Say everything about embedding files: what they are, whom they were made for, who reads them, what they are near.

`as_plain` is the shape that `pseudoword inspect --json` prints; other programs read it, so keys and words change
with a new version only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pseudoword.conditioning.nearest import nearest_rows
from pseudoword.embeddings.checksums import a1111_checksum, vectors_sha256
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.files import read_embeddings
from pseudoword.embeddings.readers import Reading, readings
from pseudoword.families import FAMILIES
from pseudoword.files import sha256
from pseudoword.library.walk import is_side_file
from pseudoword.models.vocabulary import Vocabulary

_SHORT = 12
NEAREST = 5
"""Words per vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What is known of the vectors for one text encoder."""

    num_vectors: int
    width: int
    dtype: str
    """As stored."""
    sha256: str
    """Over the float32 values."""
    norm_min: float
    norm_max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One embedding of a file with what can be said of it."""

    file: Path
    """As the user called it."""
    found: FileEmbedding
    sha256: str
    """Of the whole file."""
    a1111: str | None
    """A1111's checksum of four digits, where it has one."""
    tables: Mapping[str, TableFacts]
    readings: tuple[Reading, ...]


def without_side_files(files: Sequence[Path]) -> list[Path]:
    """The files but those that merely lie beside embeddings, as `embeddings/*` names them; a file alone is meant."""
    return [file for file in files if len(files) == 1 or not is_side_file(file.name)]


def inspect_file(path: Path) -> tuple[Inspected, ...]:
    """Every embedding of a file.

    Raises:
        BadFile: the file cannot be read, or holds no embedding; UnsafePickle among them.
    """
    everything = read_embeddings(path)
    digest = sha256(path)
    return tuple(_inspected(path, found, digest, several=len(everything) > 1) for found in everything)


def _inspected(path: Path, found: FileEmbedding, digest: str, *, several: bool) -> Inspected:
    vectors = found.embedding.vectors
    norms = found.embedding.norms()
    return Inspected(
        file=path,
        found=found,
        sha256=digest,
        a1111=a1111_checksum(vectors),
        tables={
            slot: TableFacts(
                num_vectors=len(table),
                width=table.shape[1],
                dtype=found.dtypes.get(slot, "float32"),
                sha256=vectors_sha256(table),
                norm_min=float(norms[slot].min()),
                norm_max=float(norms[slot].max()),
            )
            for slot, table in vectors.items()
        },
        readings=readings(found, path, several=several),
    )


def as_plain(one: Inspected) -> dict[str, object]:
    """One embedding as JSON values; what is not known is None."""
    embedding = one.found.embedding
    origin = embedding.provenance
    known_model = origin.base_model is not None or origin.base_model_hash is not None
    return {
        "file": str(one.file),
        "name": one.found.own_name or embedding.name,
        "trigger": embedding.name,
        "inner_key": one.found.inner_key,
        "container": one.found.container,
        "layout": one.found.layout,
        "family": one.found.family,
        "candidates": list(one.found.candidates),
        "step": origin.step,
        "base_model": {"name": origin.base_model, "hash": origin.base_model_hash} if known_model else None,
        "hash": {"a1111": one.a1111, "sha256": one.sha256, "short": one.sha256[:_SHORT]},
        "vectors": {
            slot: {
                "num_vectors": facts.num_vectors,
                "width": facts.width,
                "dtype": facts.dtype,
                "sha256": facts.sha256,
                "norm_min": facts.norm_min,
                "norm_max": facts.norm_max,
            }
            for slot, facts in one.tables.items()
        },
    }


def usual_norms(one: Inspected, vocabulary: Vocabulary | None) -> dict[str, float]:
    """Slot → median length of the vocabulary's own vectors: of the model given, else of the family where known."""
    known = [FAMILIES[key].vocabulary_norms for key in one.found.candidates if key in FAMILIES]
    usual = {slot: norm for norms in known for slot, norm in norms.items() if slot in one.tables}
    if vocabulary is None:
        return usual
    own, medians = vocabulary.widths(), vocabulary.median_norms()
    return {**usual, **{slot: medians[slot] for slot, facts in one.tables.items() if own.get(slot) == facts.width}}


Near = list[list[tuple[str, float]]]
"""For each vector words with their cosines, the nearest first."""


def nearest_words(one: Inspected, vocabulary: Vocabulary, number: int = NEAREST) -> dict[str, Near]:
    """Slot → the nearest words of the vocabulary for each vector; slots of another width are left out."""
    found: dict[str, Near] = {}
    for table in vocabulary.tables:
        rows = one.found.embedding.vectors.get(table.slot)
        if rows is None or rows.shape[1] != table.table.shape[1]:
            continue
        near = nearest_rows(rows, table.table, number, table.special_ids())
        found[table.slot] = [[(table.word(index), cosine) for index, cosine in of_row] for of_row in near]
    return found
