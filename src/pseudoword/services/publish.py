"""Publish an embedding on the Hugging Face hub: file, sample pictures and model card, or the folder of them."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image

from pseudoword.embeddings import FileEmbedding, read_embeddings, readers
from pseudoword.errors import BadFile, BadOption, BadPictures, NameTaken
from pseudoword.events import Event, Progress, Published, Saved, Warned
from pseudoword.families import describe
from pseudoword.files import atomic_write, sha256
from pseudoword.generation.infotext import read_infotext
from pseudoword.hub import PATIENCE, Patience, Wire
from pseudoword.hub.card import DIFFUSERS, PROGRAMS, CardFacts, Sample, is_hub_id, model_card
from pseudoword.hub.options import PublishOptions
from pseudoword.hub.upload import check_repo_id, check_target, upload
from pseudoword.library.walk import find_files
from pseudoword.settings import Settings

MAX_PICTURES: Final = 12
MAX_PICTURE: Final = 16 << 20
"""Bytes of one sample picture."""

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_GPS = 0x8825
_NOT_TOLD = ("base_model", "base_model_hash")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parcel:
    """What is published, before it is a folder."""

    file: Path
    card: str
    pictures: tuple[Path, ...]

    def names(self) -> list[str]:
        return ["README.md", self.file.name, *(f"images/{picture.name}" for picture in self.pictures)]


def publish(options: PublishOptions, settings: Settings, patience: Patience = PATIENCE) -> Iterator[Event]:
    """Publish a word; yields `Warned`, `Saved` for every file of a dry run, and `Published`.

    Raises:
        BadOption, BadFile, BadPictures: no such word, or nothing that can be published.
        NameTaken: the repository or the dry run's folder holds files of these names.
        Unreachable: the hub cannot be reached or refuses.
        MissingExtra: httpx is not installed.
    """
    check_repo_id(options.repo)
    parcel, warnings = _prepare(options, settings)
    yield from (Warned(message=warning) for warning in warnings)
    if options.dry_run is not None:
        if options.dry_run.exists() and (not options.dry_run.is_dir() or any(options.dry_run.iterdir())):
            raise NameTaken(f"{options.dry_run} is not an empty folder", next_move="Give --dry-run another one")
        _build(parcel, options.dry_run)
        for name in parcel.names():
            yield Saved(path=options.dry_run / name, what="not uploaded")
        return
    with Wire(settings.endpoints, patience) as wire:
        check_target(wire, options.repo, parcel.names(), overwrite=options.overwrite)
    yield Progress(label=f"uploading to {options.repo}", done=0, total=1)
    with tempfile.TemporaryDirectory(prefix="pseudoword-") as folder:
        _build(parcel, Path(folder))
        url = upload(
            Path(folder),
            options.repo,
            endpoint=settings.endpoints.hub,
            private=options.private,
            message=f"Publish {options.name}",
        )
    yield Published(url=url)


def _prepare(options: PublishOptions, settings: Settings) -> tuple[_Parcel, list[str]]:
    path = _find(options.name, settings)
    found = read_embeddings(path)
    if len(found) != 1:
        raise BadFile(
            f"{path.name} holds {len(found)} embeddings",
            expected="one",
            next_move="Split it with pseudoword convert, and publish each",
        )
    pictures = _pictures(options.pictures)
    card = _card(options, path, found[0], pictures)
    warnings = [
        text
        for missing, text in (
            (options.licence is None, "no --licence: without one nobody may use it without asking"),
            (not pictures, "no --pictures: a page without pictures is seldom opened"),
            (card.base_model is None, "no --base-model: others will not know what it fits best"),
        )
        if missing
    ]
    return _Parcel(file=path, card=model_card(card), pictures=pictures), warnings


def _find(name: str, settings: Settings) -> Path:
    """The word's file in the embeddings folder."""
    folder = settings.embeddings_dir
    files = [Path(file) for file in find_files(str(folder))]
    fitting = [file for file in files if file.stem.casefold() == name.casefold()]
    if not fitting:
        raise BadOption(f"no word {name!r} in {folder}", expected="a file there of this name")
    return fitting[0]


def _pictures(folder: Path | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise BadPictures(f"no folder {folder}", expected="the folder of the sample pictures")
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file())
    if not files:
        raise BadPictures(f"no picture in {folder}", expected=f"files that end in {', '.join(_SUFFIXES)}")
    if len(files) > MAX_PICTURES:
        raise BadPictures(f"{len(files)} pictures in {folder}", expected=f"at most {MAX_PICTURES} that show the word")
    for file in files:
        if file.stat().st_size > MAX_PICTURE:
            raise BadPictures(f"{file}: {file.stat().st_size >> 20} MiB", expected=f"at most {MAX_PICTURE >> 20} MiB")
    return tuple(files)


def _card(options: PublishOptions, path: Path, found: FileEmbedding, pictures: tuple[Path, ...]) -> CardFacts:
    embedding = found.embedding
    if options.base_model is not None and not is_hub_id(options.base_model):
        raise BadOption(f"--base-model {options.base_model!r}", expected="owner/name of a model of the hub")
    known = embedding.provenance.to_plain()
    facts = {name.replace("_", " "): value for name, value in known.items() if name not in _NOT_TOLD}
    readings = [one for one in readers.readings(found, Path(path.name)) if one.program in PROGRAMS]
    samples = tuple(Sample(file=f"images/{picture.name}", prompt=_prompt_of(picture)) for picture in pictures)
    return CardFacts(
        name=embedding.name,
        file=path.name,
        repo=options.repo,
        sha256=sha256(path),
        family=found.family if found.family not in ("ambiguous", "unknown") else None,
        made_for=describe(embedding.widths),
        widths=embedding.widths,
        num_vectors=embedding.num_vectors,
        facts=facts,
        base_model=options.base_model or embedding.provenance.base_model,
        prompt=options.prompt or next((sample.prompt for sample in samples if sample.prompt), None),
        licence=options.licence,
        samples=samples,
        refused={one.program: one.why for one in readings if one.reads == readers.NO},
        provisos={one.program: one.why for one in readings if one.reads == readers.PARTLY and one.program != DIFFUSERS},
    )


def _prompt_of(picture: Path) -> str | None:
    """The prompt in a picture's infotext, if it has one.

    Raises:
        BadPictures: it is no picture.
    """
    try:
        with Image.open(picture) as image:
            text = image.info.get("parameters")
    except (OSError, SyntaxError, Image.DecompressionBombError) as problem:
        raise BadPictures(f"{picture} cannot be read as a picture ({problem})") from problem
    return read_infotext(text).prompt or None if isinstance(text, str) else None


def _build(parcel: _Parcel, folder: Path) -> None:
    """Write the folder as it is to be uploaded."""
    atomic_write(folder / "README.md", parcel.card.encode())
    shutil.copyfile(parcel.file, folder / parcel.file.name)
    for picture in parcel.pictures:
        target = folder / "images" / picture.name
        target.parent.mkdir(exist_ok=True)
        _copy_picture(picture, target)


def _copy_picture(picture: Path, target: Path) -> None:
    """A copy, without the place where a camera took it."""
    with Image.open(picture) as image:
        exif = image.getexif()
        if _GPS not in exif:
            shutil.copyfile(picture, target)
            return
        del exif[_GPS]
        image.save(target, exif=exif, **({"quality": "keep"} if image.format == "JPEG" else {}))
