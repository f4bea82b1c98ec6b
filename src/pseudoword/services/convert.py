"""Write what an embedding file holds in the layout and container of another program."""

from dataclasses import dataclass, replace
from pathlib import Path

from pseudoword.embeddings import FileEmbedding, files_of, read_embeddings
from pseudoword.embeddings.writing import first_suffix, layout_for
from pseudoword.errors import BadOption, NameTaken
from pseudoword.files import atomic_write, check_name
from pseudoword.services.convert_options import LAYOUTS, ConvertOptions

_TOKEN_LAYOUTS = frozenset({"diffusers", "diffusers-numbered", "sdxl-pair"})
"""Layouts whose inner key is what is typed into diffusers' prompts, and is kept between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """One embedding, and the files that it was written to."""

    found: FileEmbedding
    layout: str
    files: dict[Path, bytes]
    """Path → content; two for a pair, else one."""


def convert(options: ConvertOptions) -> tuple[Converted, ...]:
    """Read, write, and tell what was written. Nothing is written if one of several cannot be.

    Raises:
        BadFile, UnsafePickle: IN cannot be read as an embedding.
        BadOption: an unknown layout or suffix, several words for one file, or a layout without room for the word.
        NameTaken: a file is there and `overwrite` is False.
    """
    if options.layout is not None and options.layout not in LAYOUTS:
        raise BadOption(f"--layout {options.layout}", expected=" | ".join(LAYOUTS))
    found = _chosen(read_embeddings(options.source), options)
    if not _is_folder(options.output) and len(found) > 1:
        raise BadOption(
            f"{options.source.name} holds {len(found)} words ({_names(found)})",
            expected="one word for one file",
            next_move="Choose one with --name, or give a folder",
        )
    places = _places(found, options) if _is_folder(options.output) else [(one, options.output) for one in found]
    converted = tuple(_converted(one, path, options) for one, path in places)
    contents = {path: content for one in converted for path, content in one.files.items()}
    taken = next((path for path in contents if path.exists()), None)
    if taken and not options.overwrite:
        raise NameTaken(f"{taken} is already there", next_move="Choose another name, or give --overwrite")
    for path, content in contents.items():
        atomic_write(path, content)
    return converted


def _chosen(found: tuple[FileEmbedding, ...], options: ConvertOptions) -> tuple[FileEmbedding, ...]:
    if options.name is None:
        return found
    chosen = tuple(one for one in found if options.name in (one.embedding.name, one.inner_key))
    if not chosen:
        raise BadOption(f"--name {options.name}", expected=f"one of {_names(found)}")
    return chosen


def _names(found: tuple[FileEmbedding, ...]) -> str:
    shown = [one.embedding.name for one in found[:8]]
    return ", ".join(shown) + (", …" if len(found) > len(shown) else "")


def _is_folder(output: Path) -> bool:
    return output.is_dir() or not output.suffix


def _places(found: tuple[FileEmbedding, ...], options: ConvertOptions) -> list[tuple[FileEmbedding, Path]]:
    """A file for each, named after its word as far as a file can be."""
    places: dict[str, tuple[FileEmbedding, Path]] = {}
    for number, one in enumerate(found, start=1):
        stem = _stem(one.embedding.name) or f"{options.source.stem}_{number}"
        while stem.lower() in places:
            stem = f"{stem}_{number}"
        layout = options.layout or layout_for(one.embedding, ".safetensors")
        places[stem.lower()] = (one, options.output / f"{stem}{first_suffix(layout)}")
    return list(places.values())


def _stem(word: str) -> str | None:
    """The word as a file's stem: A1111's rule for new names (reference a1111.md §1.5), then ours."""
    kept = "".join(letter for letter in word if letter.isalnum() or letter in "._- ").strip(" .")
    try:
        return check_name(kept)
    except BadOption:
        return None


def _converted(one: FileEmbedding, path: Path, options: ConvertOptions) -> Converted:
    layout = options.layout or layout_for(one.embedding, path.suffix.lower())
    is_token = layout in _TOKEN_LAYOUTS and one.layout in _TOKEN_LAYOUTS
    name = (one.inner_key if is_token else None) or path.stem
    files = files_of(replace(one.embedding, name=name), path, layout=layout, picture=options.picture)
    return Converted(found=one, layout=layout, files=files)
