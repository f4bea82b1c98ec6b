"""Reading embedding files: container → raw mapping → layout → Embedding. Content alone counts, never the suffix."""

from dataclasses import replace
from pathlib import Path
from typing import cast

from pseudoword.embeddings._provenance import from_fields, from_header, unquoted
from pseudoword.embeddings.containers import Raw, container_of, safetensors_file
from pseudoword.embeddings.embedding import Embedding, Provenance, folded
from pseudoword.embeddings.file_embedding import FileEmbedding
from pseudoword.embeddings.found import Found
from pseudoword.embeddings.layouts import find_all
from pseudoword.embeddings.pairs import join
from pseudoword.errors import BadFile
from pseudoword.families import UNKNOWN, family_of_file
from pseudoword.unpickle import MAX_FILE, refuse_unsafe_text

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG picture, which cannot carry an embedding"),
    (b"GIF8", "a GIF picture, which cannot carry an embedding"),
    (b"RIFF", "a sound or film"),
    (b"version https://git-lfs", "a Git LFS pointer, in place of the file itself"),
    (b"<", "a web page, in place of the file itself"),
    (b"{", "JSON, which no program keeps embeddings in"),
    (b"[", "JSON, which no program keeps embeddings in"),
)

_MAX_NAME = 150
_KEYS = frozenset({"*", "emb_params", "emp_params", "emb", "clip_l", "clip_g", "clip_h", "t5", "t5xxl", "bert"})
"""Inner keys that are no names."""


def read_embedding(path: Path) -> Embedding:
    """Read the one embedding of a file; its name is what is typed into a prompt.

    Raises:
        UnsafePickle: a pickle that names something else than tensors are made of.
        BadFile: missing, too large, damaged, no embedding, or several in one file.
    """
    return read_one(path).embedding


def read_one(path: Path) -> FileEmbedding:
    """Read the one embedding of a file, with what the file says about it; errors as `read_embedding`."""
    return _only_one(read_embeddings(path), path.name)


def _only_one(found: tuple[FileEmbedding, ...], label: str) -> FileEmbedding:
    if len(found) != 1:
        names = ", ".join(repr(one.embedding.name) for one in found[:4]) + (", …" if len(found) > 4 else "")
        raise BadFile(
            f"{label}: {len(found)} embeddings in one file ({names})",
            expected="exactly one",
            next_move="Split it with `pseudoword convert FILE FOLDER`",
        )
    return found[0]


def read_embeddings(path: Path) -> tuple[FileEmbedding, ...]:
    """Read all embeddings of a file, at least one; the other half of an SDXL pair is read from beside it.

    Raises:
        UnsafePickle: a pickle that names something else than tensors are made of.
        PlainPicture: a picture that carries no embedding.
        BadFile: missing, too large, damaged, or no embedding.
    """
    return join(path, _read_alone(path), _read_alone)


def _read_alone(path: Path) -> tuple[FileEmbedding, ...]:
    try:
        size = path.stat().st_size
        if size <= MAX_FILE:
            return embeddings_from_bytes(path.read_bytes(), path.stem, label=path.name)
        with path.open("rb") as file:
            start = file.read(16)
    except FileNotFoundError:
        raise BadFile(f"{path}: no such file", next_move="Check the path") from None
    except OSError as problem:
        raise BadFile(f"{path}: {problem.strerror or problem}", expected="a readable file") from problem
    if not safetensors_file.recognise(start):
        raise BadFile(
            f"{path.name}: {size >> 20} MiB, which is a model rather than an embedding",
            expected=f"at most {MAX_FILE >> 20} MiB",
        )
    return _from_raw(safetensors_file.read_large(path), "safetensors", path.stem, path.name, is_picture=False)


def embedding_from_bytes(content: bytes, name: str, *, label: str) -> Embedding:
    """Read the one embedding of a whole file's content; arguments and errors as `embeddings_from_bytes`."""
    return _only_one(embeddings_from_bytes(content, name, label=label), label).embedding


def embeddings_from_bytes(content: bytes, stem: str, *, label: str) -> tuple[FileEmbedding, ...]:
    """Read all embeddings from a whole file's content.

    Args:
        content: the file.
        stem: the file's name without suffix; the name of an embedding that is alone.
        label: what to call the file in errors.

    Raises:
        UnsafePickle, PlainPicture, BadFile: as `read_embeddings`.
    """
    container = container_of(content)
    if container is None:
        refuse_unsafe_text(content, label)
        raise BadFile(
            f"{label}: {_describe(content)}",
            expected="an embedding (.safetensors, .pt, .bin, or a picture that carries one)",
        )
    raw = container.read(content, label)
    return _from_raw(raw, container.name, stem, label, is_picture=container.is_picture)


def _from_raw(raw: Raw, container: str, stem: str, label: str, *, is_picture: bool) -> tuple[FileEmbedding, ...]:
    try:
        found = find_all(raw.value)
        names = _card_names(found, stem) if is_picture else _names(found, stem)
        read = [_file_embedding(one, name, container, raw) for one, name in zip(found, names, strict=True)]
        return (replace(read[0], own_name=_own_name(raw, found[0])),) if len(read) == 1 else tuple(read)
    except BadFile as problem:
        raise BadFile(f"{label}: {problem.got}", expected=problem.expected, next_move=problem.next_move) from None
    except (ValueError, RuntimeError, TypeError, NotImplementedError) as problem:
        raise BadFile(f"{label}: {problem}", next_move="Use another file; this one is damaged") from problem


def _own_name(raw: Raw, found: Found) -> str | None:
    name = unquoted(raw.metadata["name"]) if raw.metadata and "name" in raw.metadata else found.fields.get("name")
    return name if isinstance(name, str) and 0 < len(name) <= _MAX_NAME else None


def _file_embedding(found: Found, name: str, container: str, raw: Raw) -> FileEmbedding:
    embedding = Embedding(name=name, vectors=found.tables, provenance=_provenance(raw, found))
    family, candidates = family_of_file(embedding.widths, bare=found.bare)
    notes = found.notes
    if family == UNKNOWN:
        widths = " + ".join(dict.fromkeys(str(width) for width in embedding.widths.values()))
        notes = (*notes, f"No known model has text encoders of these widths ({widths}).")
    return FileEmbedding(
        embedding=embedding,
        container=container,
        layout=found.layout,
        inner_key=found.inner_key,
        dtypes={slot: str(found.tables[slot].dtype).removeprefix("torch.") for slot in embedding.vectors},
        family=family,
        candidates=candidates,
        notes=notes,
    )


def _provenance(raw: Raw, found: Found) -> Provenance:
    return from_header(raw.metadata) if raw.metadata else from_fields(found.fields)


def _card_names(found: list[Found], stem: str) -> list[str]:
    """A1111 takes a card's inner name before the file's (a1111.md §1.1)."""
    name = found[0].fields.get("name")
    return [name] if len(found) == 1 and isinstance(name, str) and _is_usable(name) else _names(found, stem)


def _names(found: list[Found], stem: str) -> list[str]:
    """The stem for an embedding that is alone in its file, else inner keys; numbered stems for useless keys."""
    if len(found) == 1 and not found[0].own_name:
        return [stem]
    names: list[str] = []
    taken: set[str] = set()
    for number, one in enumerate(found, start=1):
        usable = one.trigger is not None and _is_usable(one.trigger) and folded(one.trigger) not in taken
        name = cast("str", one.trigger) if usable else stem if len(found) == 1 else f"{stem}_{number}"
        taken.add(folded(name))
        names.append(name)
    return names


def _is_usable(name: str) -> bool:
    fits = name.isprintable() and name == name.strip() and 0 < len(name.encode(errors="replace")) <= _MAX_NAME
    return fits and name not in _KEYS and any(letter.isalnum() for letter in name)


def _describe(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content[8:10] == b'{"':
        return f"a safetensors header of {int.from_bytes(content[:8], 'little')} bytes, more than the format allows"
    start = content[:64].lstrip()
    return next((what for sign, what in _FOREIGN if start.startswith(sign)), "a file of an unknown kind")
