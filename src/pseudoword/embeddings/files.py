"""Reading and writing embedding files: container → raw mapping → layout → Embedding, and the same road back.

Reading looks at content alone; writing chooses container and layout by the suffix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from pseudoword.embeddings._provenance import from_fields, from_header, header_fields
from pseudoword.embeddings.containers import Raw, container_of, safetensors_file, torch_zip
from pseudoword.embeddings.embedding import Embedding, Provenance
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.layouts import A1111, DIFFUSERS, EMB_PARAMS, SDXL, Layout, layout_of
from pseudoword.errors import BadFile, BadOption, NameTaken
from pseudoword.families import family_of_file
from pseudoword.files import atomic_write
from pseudoword.unpickle import MAX_FILE

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"RIFF", "a WebP picture or a sound"),
    (b"version https://git-lfs", "a Git LFS pointer, in place of the file itself"),
    (b"<", "a web page, in place of the file itself"),
    (b"{", "JSON"),
    (b"[", "JSON"),
)


def read_embedding(path: Path) -> Embedding:
    """Read the one embedding of a file; its name is what is typed into a prompt.

    Raises:
        UnsafePickle: a pickle that names something else than tensors are made of.
        BadFile: missing, too large, damaged, no embedding, or several in one file.
    """
    return _only_one(read_embeddings(path), path.name)


def _only_one(found: tuple[FileEmbedding, ...], label: str) -> Embedding:
    if len(found) != 1:
        names = ", ".join(repr(one.embedding.name) for one in found[:4]) + (", …" if len(found) > 4 else "")
        raise BadFile(
            f"{label}: several embeddings in one file ({names})",
            expected="exactly one",
            next_move="Split it with `pseudoword convert FILE FOLDER`",
        )
    return found[0].embedding


def read_embeddings(path: Path) -> tuple[FileEmbedding, ...]:
    """Read all embeddings of a file, at least one.

    Raises:
        UnsafePickle: a pickle that names something else than tensors are made of.
        BadFile: missing, too large, damaged, or no embedding.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise BadFile(
                f"{path.name}: {size >> 20} MiB, which is a model rather than an embedding",
                expected=f"at most {MAX_FILE >> 20} MiB",
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file", next_move="Check the path") from None
    except OSError as problem:
        raise BadFile(f"{path}: {problem.strerror or problem}", expected="a readable file") from problem
    return embeddings_from_bytes(content, path.stem, label=path.name)


def embedding_from_bytes(content: bytes, name: str, *, label: str) -> Embedding:
    """Read the one embedding of a whole file's content; arguments and errors as `embeddings_from_bytes`."""
    return _only_one(embeddings_from_bytes(content, name, label=label), label)


def embeddings_from_bytes(content: bytes, stem: str, *, label: str) -> tuple[FileEmbedding, ...]:
    """Read all embeddings from a whole file's content.

    Args:
        content: the file.
        stem: the file's name without suffix; the name of an embedding that is alone.
        label: what to call the file in errors.

    Raises:
        UnsafePickle, BadFile: as `read_embedding`.
    """
    container = container_of(content)
    if container is None:
        raise BadFile(f"{label}: {_describe(content)}", expected="an embedding (.safetensors, .pt or .bin by content)")
    raw = container.read(content, label)
    try:
        layout = layout_of(raw.value)
        vectors = layout.to_vectors(cast("dict[str, object]", raw.value))
        embedding = Embedding(name=stem, vectors=vectors, provenance=_provenance(raw))
        family, candidates = family_of_file(embedding.widths, bare=True)
        dtypes = {slot: str(table.dtype).removeprefix("torch.") for slot, table in vectors.items()}
        return (
            FileEmbedding(
                embedding=embedding,
                container=container.name,
                layout=layout.name,
                dtypes=dtypes,
                family=family,
                candidates=candidates,
            ),
        )
    except BadFile as problem:
        raise BadFile(f"{label}: {problem.got}", expected=problem.expected, next_move=problem.next_move) from None
    except (ValueError, RuntimeError) as problem:
        raise BadFile(f"{label}: {problem}", next_move="Use another file; this one is damaged") from problem


def _provenance(raw: Raw) -> Provenance:
    if raw.metadata:
        return from_header(raw.metadata)
    return from_fields(cast("dict[str, object]", raw.value))


def _describe(content: bytes) -> str:
    if not content:
        return "an empty file"
    start = content[:64].lstrip()
    return next((what for sign, what in _FOREIGN if start.startswith(sign)), "a file of an unknown kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """What a suffix stands for: the layouts for one and for two text encoders, and the container's writer."""

    one: Layout
    two: Layout | None
    write: Callable[[dict[str, object], Embedding], bytes]


def _write_safetensors(raw: dict[str, object], embedding: Embedding) -> bytes:
    return safetensors_file.write(cast("dict[str, torch.Tensor]", raw), header_fields(embedding))


def _write_zip(raw: dict[str, object], _: Embedding) -> bytes:
    return torch_zip.write(raw)


_FORMATS = {
    ".safetensors": _Format(one=EMB_PARAMS, two=SDXL, write=_write_safetensors),
    ".pt": _Format(one=A1111, two=SDXL, write=_write_zip),
    ".bin": _Format(one=DIFFUSERS, two=None, write=_write_zip),
}


def embedding_to_bytes(embedding: Embedding, suffix: str) -> bytes:
    """The file's content for a suffix; the same bytes for the same embedding.

    `.safetensors` and the one-encoder `.pt` carry the provenance. A `.pt` with two encoders and a `.bin` hold
    the vectors alone: A1111 takes every value of the first for a tensor; the second may have one key only.

    Raises:
        BadOption: an unknown suffix, or a layout that has no room for this embedding.
    """
    form = _FORMATS.get(suffix.lower())
    if form is None:
        raise BadOption(
            f"file suffix {suffix!r}",
            expected=", ".join(_FORMATS),
            next_move="Choose another file name",
        )
    layout = form.two if form.two is not None and len(embedding.vectors) > 1 else form.one
    if layout.from_embedding is None:
        raise BadOption(f"layout {layout.name} can be read, not written")
    return form.write(layout.from_embedding(embedding), embedding)


def write_embedding(embedding: Embedding, path: Path, *, overwrite: bool = True) -> None:
    """Write one embedding, atomically, in the form that the suffix stands for (see `embedding_to_bytes`).

    Args:
        embedding: what to write.
        path: the file; its folder is made.
        overwrite: replace a file that is there.

    Raises:
        BadOption: an unknown suffix, or a layout that has no room for this embedding.
        NameTaken: the file is there and `overwrite` is False.
    """
    content = embedding_to_bytes(embedding, path.suffix)
    if not overwrite and path.exists():
        raise NameTaken(f"{path} is already there", next_move="Choose another name, or overwrite it")
    atomic_write(path, content)
