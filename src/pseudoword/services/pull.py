"""Fetch an embedding that somebody shares into the embeddings folder.

Invariant of a download: a file is seen in the folder only after its size and hash were checked and the safe reader
read it. Its bytes are those of the service, so its hash stays the one that infotexts and services know; where it
came from stands beside it in NAME.origin.json, which the library does not look at. The one exception is a pair of
files for SDXL, which is joined to one file, since A1111 and ComfyUI read no pairs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from pseudoword.embeddings import Embedding, FileEmbedding, embedding_to_bytes, embeddings_from_bytes
from pseudoword.errors import BadFile, BadOption, NameTaken, UnsafePickle
from pseudoword.events import Event, Saved, Warned
from pseudoword.families import describe
from pseudoword.files import atomic_write, check_folder, sha256, write_json
from pseudoword.hub import (
    PATIENCE,
    CivitaiReference,
    HubReference,
    Offer,
    Patience,
    Reference,
    RemoteFile,
    Wire,
    parse_reference,
)
from pseudoword.hub.choose import Choice, choose
from pseudoword.hub.download import download
from pseudoword.hub.options import PullOptions
from pseudoword.library.walk import ORIGIN_SUFFIX, find_files
from pseudoword.settings import Settings
from pseudoword.unpickle import MAX_FILE

_FORMAT: Final = "pseudoword-origin-1"
_PAIR = (("clip_l", 768), ("clip_g", 1280))


def pull(options: PullOptions, settings: Settings, patience: Patience = PATIENCE) -> Iterator[Event]:
    """Fetch one embedding into the embeddings folder; yields `Progress`, `Warned` and `Saved`.

    Stopping the generator keeps what came; the next `pull` of the same file goes on from there.

    Raises:
        BadOption: an id, a file in it, or a name that cannot be.
        BadFile: too large, damaged, or no embedding.
        UnsafePickle: a pickle that names something that is not on the allow-list.
        NameTaken: a word of this name is there.
        Unreachable: the service cannot be reached or refuses.
        MissingExtra: httpx is not installed.
    """
    limit = _limit(options)
    reference = parse_reference(options.id, settings.endpoints)
    check_folder(settings.embeddings_dir, "the embeddings folder")
    with Wire(settings.endpoints, patience) as wire:
        offer, hints = _offer(wire, reference)
        choice = choose(offer, file=reference.file, name=options.name)
        _refuse_dangerous(choice)
        if _is_here(choice, settings):
            yield Warned(message=f"{_target(choice, settings)} is the same file already; nothing was fetched")
            return
        _check_free(choice, settings, overwrite=options.overwrite)
        parts = [settings.cache_dir / "downloads" / f"{_key(offer, file)}.part" for file in choice.files]
        for file, part in zip(choice.files, parts, strict=True):
            yield from download(wire, file, part, limit=limit, hints=hints)
    try:
        arrived = _read(choice, [part.read_bytes() for part in parts])
    finally:
        for part in parts:
            part.unlink(missing_ok=True)  # whole by now: good ones go to the folder, bad ones nowhere
    yield from _keep(offer, choice, arrived, settings, overwrite=options.overwrite)


def _limit(options: PullOptions) -> int:
    largest = MAX_FILE >> 20
    if not 0 < options.max_size <= largest:
        raise BadOption(f"--max-size {options.max_size:g}", expected=f"above 0 and at most {largest} (MiB)")
    return int(options.max_size * (1 << 20))


def _offer(wire: Wire, reference: Reference) -> tuple[Offer, Mapping[int, str]]:
    """What lies behind the reference, and what a user can do about refusals of that service."""
    match reference:
        case HubReference():
            from pseudoword.hub import huggingface

            return huggingface.hub_offer(wire, reference), huggingface.HINTS
        case CivitaiReference():
            from pseudoword.hub import civitai

            return civitai.civitai_offer(wire, reference), civitai.HINTS


def _refuse_dangerous(choice: Choice) -> None:
    for file in choice.files:
        if file.danger is not None:
            raise UnsafePickle(f"{file.name}: {file.danger}", next_move="Do not use this file")


def _target(choice: Choice, settings: Settings) -> Path:
    """Where the file goes, by the suffix that the service gives it."""
    suffix = PurePosixPath(choice.files[0].name).suffix.lower() if len(choice.files) == 1 else ".safetensors"
    return settings.embeddings_dir / f"{choice.name}{suffix}"


def _is_here(choice: Choice, settings: Settings) -> bool:
    target, wanted = _target(choice, settings), choice.files[0].sha256
    return len(choice.files) == 1 and wanted is not None and target.is_file() and sha256(target) == wanted


def _check_free(choice: Choice, settings: Settings, *, overwrite: bool) -> None:
    """A word must be found under one file only, whatever its case, suffix or subfolder."""
    target = _target(choice, settings)
    found = [Path(file) for file in find_files(str(settings.embeddings_dir))]
    taken = [file for file in found if file.stem.casefold() == choice.name.casefold()]
    others = [file for file in taken if file.absolute() != target.absolute()]
    if taken and not overwrite:
        raise NameTaken(f"{taken[0]} already exists", next_move="Choose a --name, or add --overwrite")
    if others:
        raise NameTaken(
            f"{others[0]} would be found under the same name as {target.name}",
            next_move="Move it away, or choose a --name",
        )


def _key(offer: Offer, file: RemoteFile) -> str:
    """Name of the part file: the same content goes on, another content never does."""
    identity = json.dumps([offer.source, file.url, file.sha256 or file.git_sha1, file.size])
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrived:
    """What goes into the folder."""

    content: bytes
    suffix: str | None
    """None: the one that the service gave it."""
    embeddings: tuple[FileEmbedding, ...]
    sources: tuple[bytes, ...]
    """The files as they came."""


def _read(choice: Choice, contents: list[bytes]) -> _Arrived:
    read = [
        embeddings_from_bytes(content, choice.name, label=PurePosixPath(file.name).name)
        for file, content in zip(choice.files, contents, strict=True)
    ]
    if len(read) == 1:
        suffix = _suffix_for(read[0][0].container, choice.files[0].name)
        return _Arrived(content=contents[0], suffix=suffix, embeddings=read[0], sources=tuple(contents))
    joined = _join(choice, [found[0].embedding for found in read])
    content = embedding_to_bytes(joined, ".safetensors")
    again = embeddings_from_bytes(content, choice.name, label=choice.name)
    return _Arrived(content=content, suffix=".safetensors", embeddings=again, sources=tuple(contents))


def _suffix_for(container: str, name: str) -> str:
    """The suffix that other programs need: they choose their reader by it, and services have it wrong at times."""
    own = PurePosixPath(name).suffix.lower()
    fitting = {"safetensors": (".safetensors",), "torch-zip": (".pt", ".bin"), "torch-legacy": (".pt", ".bin")}
    allowed = fitting.get(container, (f".{container}",))
    return own if own in allowed else allowed[0]


def _join(choice: Choice, halves: list[Embedding]) -> Embedding:
    """One embedding from the two files of diffusers' SDXL trainer (reference trainers.md §3, F3x)."""
    tables = [next(iter(half.vectors.values())) for half in halves]
    shapes = [tuple(table.shape) for table in tables]
    if [shape[1] for shape in shapes] != [width for _, width in _PAIR] or shapes[0][0] != shapes[1][0]:
        names = " and ".join(file.name for file in choice.files)
        raise BadFile(
            f"{names} have the shapes {shapes[0]} and {shapes[1]}",
            expected="[n, 768] and [n, 1280], the two halves of an embedding for SDXL",
            next_move="Pull one of them by its name",
        )
    vectors = {slot: table for (slot, _), table in zip(_PAIR, tables, strict=True)}
    return replace(halves[0], vectors=vectors)


def _keep(offer: Offer, choice: Choice, arrived: _Arrived, settings: Settings, *, overwrite: bool) -> Iterator[Event]:
    target = _target(choice, settings)
    if arrived.suffix is not None:
        target = target.with_name(f"{choice.name}{arrived.suffix}")
    if target.exists() and not overwrite:
        raise NameTaken(f"{target} already exists", next_move="Choose a --name, or add --overwrite")
    atomic_write(target, arrived.content)
    yield Saved(path=target, what=_describe(offer, arrived))
    origin = target.with_name(f"{choice.name}{ORIGIN_SUFFIX}")
    if _is_ours(origin):
        write_json(origin, _origin(offer, choice, arrived, target))
    else:
        yield Warned(message=f"{origin} is not ours and was left as it is; where {target.name} came from is not kept")
    for found in arrived.embeddings:
        yield from (Warned(message=note) for note in found.notes)
    if choice.left:
        names = ", ".join(f"{offer.id}/{file.name}" for file in choice.left[:6])
        yield Warned(message=f"there are other embeddings beside it: {names}")


def _describe(offer: Offer, arrived: _Arrived) -> str:
    words = ", ".join(
        f"{found.embedding.num_vectors} vector{'s' if found.embedding.num_vectors > 1 else ''} for "
        f"{describe(found.embedding.widths)}"
        for found in arrived.embeddings[:4]
    )
    triggers = ", ".join(repr(found.embedding.name) for found in arrived.embeddings[:4])
    return f"write {triggers} in a prompt; {words}; from {offer.id}"


def _is_ours(origin: Path) -> bool:
    try:
        known = json.loads(origin.read_text("utf-8"))
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False
    return isinstance(known, dict) and known.get("format") == _FORMAT


def _origin(offer: Offer, choice: Choice, arrived: _Arrived, target: Path) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "file": target.name,
        "sha256": hashlib.sha256(arrived.content).hexdigest(),
        "source": offer.source,
        "id": offer.id,
        "page": offer.page,
        "revision": offer.revision,
        "files": [
            {"name": file.name, "url": file.url, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for file, content in zip(choice.files, arrived.sources, strict=True)
        ],
        "base_model": offer.base_model,
        "licence": offer.licence,
        "creator": offer.creator,
        "trained_words": list(offer.trained_words),
        "family": [found.family for found in arrived.embeddings],
        "pulled": datetime.now(UTC).isoformat(timespec="seconds"),
    }
