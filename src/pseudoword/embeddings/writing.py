"""Writing embedding files: Embedding → raw mapping of a layout → container. The same embedding, the same bytes.

The layout is chosen by name or by the suffix, the container by the suffix. What a layout or container has no room
for is refused with the reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from pseudoword.embeddings import _express
from pseudoword.embeddings._provenance import header_fields
from pseudoword.embeddings.cards import SUFFIXES as CARD_SUFFIXES
from pseudoword.embeddings.cards import card_bytes
from pseudoword.embeddings.containers import safetensors_file, torch_zip
from pseudoword.embeddings.embedding import Embedding
from pseudoword.embeddings.pairs import FIRST, SECOND, second_path
from pseudoword.errors import BadOption, NameTaken
from pseudoword.files import atomic_write

_SAFETENSORS, _PT, _BIN, _CKPT = ".safetensors", ".pt", ".bin", ".ckpt"
_NESTED = "its mapping in a mapping has no form in safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What can be written: a layout's way back, and the suffixes of the containers that its readers look into."""

    express: Callable[[Embedding], dict[str, object]]
    suffixes: tuple[str, ...]
    because: str = "no program that reads this layout looks there"
    """Why other suffixes are refused."""


_FORMS: Mapping[str, _Form] = {
    "a1111": _Form(express=_express.a1111, suffixes=(_PT, _BIN), because=_NESTED),
    "original": _Form(express=_express.original, suffixes=(_PT, _BIN), because=_NESTED),
    "diffusers": _Form(express=_express.diffusers, suffixes=(_SAFETENSORS, _BIN, _PT)),
    "emb_params": _Form(express=_express.emb_params, suffixes=(_SAFETENSORS, _PT, _BIN, _CKPT)),
    "sdxl": _Form(express=_express.sdxl, suffixes=(_SAFETENSORS, _PT, _BIN, _CKPT)),
    "sdxl-pair": _Form(express=_express.diffusers, suffixes=(_SAFETENSORS, _BIN, _PT)),
    "onetrainer": _Form(
        express=_express.onetrainer, suffixes=(_SAFETENSORS,), because="OneTrainer writes safetensors alone"
    ),
    "flux": _Form(express=_express.flux, suffixes=(_SAFETENSORS, _PT, _BIN)),
    "per-layer": _Form(express=_express.per_layer, suffixes=(_SAFETENSORS, _PT, _CKPT)),
    "card": _Form(express=_express.card, suffixes=CARD_SUFFIXES, because="a card is a picture without loss"),
}
LAYOUTS: tuple[str, ...] = tuple(_FORMS)
"""Layouts that can be written."""

_ONE: Mapping[str, str] = {_SAFETENSORS: "emb_params", _PT: "a1111", _BIN: "diffusers", _CKPT: "emb_params"}
SUFFIXES: tuple[str, ...] = (*_ONE, *CARD_SUFFIXES)
"""Suffixes that stand for a container."""


def first_suffix(layout: str) -> str:
    """The suffix that suits a layout best.

    Raises:
        BadOption: no layout of this name can be written.
    """
    if layout not in _FORMS:
        raise BadOption(f"layout {layout!r}", expected=", ".join(LAYOUTS))
    return _FORMS[layout].suffixes[0]


def layout_for(embedding: Embedding, suffix: str) -> str:
    """The layout that a suffix stands for, with this embedding.

    Raises:
        BadOption: an unknown suffix.
    """
    if suffix in CARD_SUFFIXES:
        return "card"
    if suffix not in _ONE:
        raise BadOption(f"file suffix {suffix!r}", expected=", ".join(SUFFIXES), next_move="Choose another file name")
    slots = set(embedding.vectors)
    if len(slots) == 1 or suffix == _BIN:
        return _ONE[suffix]
    if all(slot.startswith(f"{FIRST}.") for slot in slots):
        return "per-layer"
    return "flux" if slots == {FIRST, "t5xxl"} else "sdxl"


def embedding_to_bytes(
    embedding: Embedding, suffix: str, *, layout: str | None = None, picture: Path | None = None
) -> bytes:
    """The file's content for a suffix; the same bytes for the same embedding.

    `.safetensors`, cards and the one-encoder layouts of A1111 and rinongal carry the provenance. Other pickles hold
    the vectors alone: their readers take every value of the mapping for a tensor, or want one key only.

    Args:
        embedding: what to write.
        suffix: .safetensors, .pt, .bin, .ckpt, .png, .webp or .jxl.
        layout: one of `LAYOUTS` but the pair; None: the one that the suffix stands for.
        picture: for cards, a picture file to show; without, the vectors are drawn.

    Raises:
        BadOption: an unknown suffix or layout, or a layout that has no room for this embedding.
        BadFile: the picture cannot be read.
    """
    suffix = suffix.lower()
    chosen = layout_for(embedding, suffix) if layout is None else layout
    form = _form(chosen, suffix)
    if suffix in CARD_SUFFIXES:
        return card_bytes(embedding, suffix, picture)
    raw = form.express(embedding)
    if suffix == _SAFETENSORS:
        return safetensors_file.write(cast("dict[str, torch.Tensor]", raw), header_fields(embedding))
    return torch_zip.write(raw)


def _form(layout: str, suffix: str) -> _Form:
    form = _FORMS.get(layout)
    if form is None:
        raise BadOption(f"layout {layout!r}", expected=", ".join(LAYOUTS))
    if suffix not in form.suffixes:
        raise BadOption(
            f"layout {layout} in a {suffix or 'suffixless'} file; {form.because}",
            expected=" or ".join(form.suffixes),
            next_move="Choose another file name or layout",
        )
    return form


def files_of(
    embedding: Embedding, path: Path, *, layout: str | None = None, picture: Path | None = None
) -> dict[Path, bytes]:
    """Path → content of the file that an embedding is written to, or of the two files of a pair.

    Raises:
        BadOption, BadFile: as `embedding_to_bytes`.
    """
    if layout != "sdxl-pair":
        return {path: embedding_to_bytes(embedding, path.suffix, layout=layout, picture=picture)}
    if set(embedding.vectors) != {FIRST, SECOND}:
        raise BadOption(
            f"{embedding.name} has vectors for {', '.join(list(embedding.vectors)[:4])}",
            expected="clip_l and clip_g for a pair of files",
            next_move="Choose another layout",
        )
    places = {FIRST: path, SECOND: second_path(path)}
    halves = {slot: replace(embedding, vectors={slot: embedding.vectors[slot]}) for slot in places}
    return {place: embedding_to_bytes(halves[slot], path.suffix, layout="sdxl-pair") for slot, place in places.items()}


def write_embedding(
    embedding: Embedding,
    path: Path,
    *,
    overwrite: bool = True,
    layout: str | None = None,
    picture: Path | None = None,
) -> tuple[Path, ...]:
    """Write one embedding, each file atomically (see `embedding_to_bytes`).

    Args:
        embedding: what to write.
        path: the file; its folder is made.
        overwrite: replace files that are there.
        layout: one of `LAYOUTS`; None: the one that the suffix stands for. `sdxl-pair` writes a second file,
            named as diffusers does: `word_2.safetensors` beside `word.safetensors`.
        picture: for cards, a picture file to show.

    Returns:
        the files that were written.

    Raises:
        BadOption: an unknown suffix or layout, or a layout that has no room for this embedding.
        BadFile: the picture cannot be read, or the file cannot be written.
        NameTaken: a file is there and `overwrite` is False.
    """
    contents = files_of(embedding, path, layout=layout, picture=picture)
    taken = [place for place in contents if place.exists()]
    if taken and not overwrite:
        raise NameTaken(f"{taken[0]} is already there", next_move="Choose another name, or overwrite it")
    for place, content in contents.items():
        atomic_write(place, content)
    return tuple(contents)
