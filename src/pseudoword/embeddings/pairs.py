"""Pairs of files for SDXL's two text encoders: `learned_embeds.safetensors` and `learned_embeds_2.safetensors`.

diffusers' trainer for SDXL writes one token's vectors into two files of the same key (reference trainers.md §3,
F3x; in between `learned_embeds-steps-500` and `learned_embeds_2-steps-500`). Each alone looks like a file for
another model; side by side they are one embedding.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pseudoword.embeddings.embedding import Embedding
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.errors import BadFile

FIRST, SECOND = "clip_l", "clip_g"
_WIDTHS = {FIRST: 768, SECOND: 1280}
_LAYOUTS = frozenset({"diffusers", "diffusers-numbered", "emb_params"})
_STEM = re.compile(r"(?P<first>.+?)(?P<second>_2)?(?P<steps>-steps-\d+)?")

Reader = Callable[[Path], tuple[FileEmbedding, ...]]


def second_path(path: Path) -> Path:
    """The second file's path beside the first one's."""
    match = _STEM.fullmatch(path.stem)
    steps = (match and match["steps"]) or ""
    return path.with_name(f"{path.stem.removesuffix(steps)}_2{steps}{path.suffix}")


def first_path(path: Path) -> Path | None:
    """The first file's path beside a second one's, or None for a stem that is not a second one's."""
    match = _STEM.fullmatch(path.stem)
    if not match or not match["second"]:
        return None
    return path.with_name(f"{match['first']}{match['steps'] or ''}{path.suffix}")


def join(path: Path, found: tuple[FileEmbedding, ...], read: Reader) -> tuple[FileEmbedding, ...]:
    """What `path` holds, as one embedding with the other half if it is half of a pair and that lies beside it.

    Args:
        path: the file.
        found: what it holds by itself.
        read: reads another file.
    """
    slot = _half(found)
    if slot is None:
        return found
    other_path = second_path(path) if slot == FIRST else first_path(path)
    if other_path is None or not other_path.is_file():
        return found
    try:
        other = read(other_path)
    except BadFile as problem:
        return _doubtful(found, f"{other_path.name} beside it looks like its other half and cannot be read: {problem}")
    if _half(other) != (SECOND if slot == FIRST else FIRST) or other[0].inner_key != found[0].inner_key:
        return found
    first, second = (found[0], other[0]) if slot == FIRST else (other[0], found[0])
    return _joined(first, second, path if slot == FIRST else other_path, found)


def _half(found: tuple[FileEmbedding, ...]) -> str | None:
    """The slot of which this is a half, or None for what cannot be one."""
    if len(found) != 1 or found[0].layout not in _LAYOUTS:
        return None
    widths = found[0].embedding.widths
    return next((slot for slot, width in _WIDTHS.items() if widths == {slot: width}), None)


def _joined(
    first: FileEmbedding, second: FileEmbedding, path: Path, found: tuple[FileEmbedding, ...]
) -> tuple[FileEmbedding, ...]:
    counts = (first.embedding.num_vectors, second.embedding.num_vectors)
    if counts[0] != counts[1]:
        return _doubtful(found, f"the two files of the pair have {counts[0]} and {counts[1]} vectors")
    vectors = {**first.embedding.vectors, **second.embedding.vectors}
    embedding = Embedding(name=path.stem, vectors=vectors, provenance=first.embedding.provenance)
    joined = replace(
        first,
        embedding=embedding,
        layout="sdxl-pair",
        dtypes={**first.dtypes, **second.dtypes},
        family="sdxl",
        candidates=("sdxl",),
        notes=(*first.notes, *(note for note in second.notes if note not in first.notes)),
    )
    return (joined,)


def _doubtful(found: tuple[FileEmbedding, ...], note: str) -> tuple[FileEmbedding, ...]:
    alone = found[0]
    candidates = tuple(dict.fromkeys((*alone.candidates, "sdxl")))
    return (replace(alone, family="ambiguous", candidates=candidates, notes=(*alone.notes, _sentence(note))),)


def _sentence(note: str) -> str:
    return f"{note[:1].upper()}{note[1:].rstrip('.')}."
