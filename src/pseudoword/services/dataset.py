"""Show what a training would learn from: sizes, captions as they will be fed, a contact sheet; and write copies."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from pseudoword.errors import BadOption
from pseudoword.events import DatasetDescribed, Event, Progress, Saved
from pseudoword.files import atomic_write, check_folder
from pseudoword.generation.grid import labelled_rows
from pseudoword.generation.saving import save_picture
from pseudoword.models.load import load_model
from pseudoword.models.protocols import BaseModel
from pseudoword.services.pictures import called, preparation, read_pictures
from pseudoword.settings import Settings
from pseudoword.training.captions import load_templates, words_for
from pseudoword.training.data_options import DatasetOptions
from pseudoword.training.draws import TrainingData, caption_of
from pseudoword.training.latents import Latents
from pseudoword.training.pictures import Picture, opaque
from pseudoword.training.sources import Source, candidates, captions_in
from pseudoword.training.splitting import split

_CAPTIONS = 3
_COLUMNS = 6


def describe_dataset(options: DatasetOptions, settings: Settings) -> Iterator[Event]:
    """Read the pictures as a training would, write the contact sheet; the last event is a `DatasetDescribed`.

    Raises:
        BadInput: as `train_word` for its pictures, templates and model.
    """
    sheet = options.sheet or settings.outputs_dir / "datasets" / f"{options.sources()[0].folder.resolve().name}.png"
    check_folder(sheet.parent, "the folder")
    model = load_model(options.model, device="cpu", precision="fp32", hash_cache=settings.cache_dir / "hashes.json")
    pictures = yield from read_pictures(options.sources(), preparation(options, model, options.seed))
    data = _data(options, pictures)
    fed = [(picture.name, _captions(data, i, options.seed)) for i, picture in enumerate(pictures)]
    save_picture(_contact_sheet(pictures, [captions[0] for _, captions in fed]), sheet)
    yield Saved(path=sheet, what="contact sheet")
    if options.write is not None:
        yield from _write_copies(options, model, options.write)
    sizes = Counter[tuple[int, int]]()
    for picture in pictures:
        sizes[picture.pixels.shape[2], picture.pixels.shape[1]] += picture.repeats
    own = [entry for entry, picture in zip(fed, pictures, strict=True) if not picture.flipped]
    yield DatasetDescribed(sizes=tuple(sizes.most_common()), captions=tuple(own), num_pictures=len(data))


def _data(options: DatasetOptions, pictures: Sequence[Picture]) -> TrainingData:
    empty = [picture.pixels[:0] for picture in pictures]  # captions need sizes, not values
    return TrainingData(
        latents=Latents(mean=empty, deviation=empty),
        words=tuple(picture.words for picture in pictures),
        templates=load_templates(options.template),
        name=called(options, options.name),
        repeats=tuple(picture.repeats for picture in pictures),
        shuffle_tags=options.shuffle_tags,
        drop_tags=options.drop_tags,
    )


def _captions(data: TrainingData, picture: int, seed: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(caption_of(data, picture, seed, step, picture) for step in range(_CAPTIONS)))


def _contact_sheet(pictures: Sequence[Picture], captions: Sequence[str]) -> Image.Image:
    edge = max(max(picture.pixels.shape[1:]) for picture in pictures)
    cells = [_on_ground(picture, edge) for picture in pictures]
    rows: list[tuple[str, list[Image.Image]]] = []
    for start in range(0, len(cells), _COLUMNS):
        shown = captions[start : start + _COLUMNS]
        label = " | ".join(shown)
        limit = _COLUMNS * edge // 8
        rows.append((label if len(label) <= limit else label[: limit - 1] + "…", cells[start : start + _COLUMNS]))
    return labelled_rows(rows, [])


def _on_ground(picture: Picture, edge: int) -> Image.Image:
    levels = ((picture.pixels + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    shown = Image.fromarray(np.ascontiguousarray(levels), "RGB")
    ground = Image.new("RGB", (edge, edge), (225, 225, 225))
    ground.paste(shown, ((edge - shown.width) // 2, (edge - shown.height) // 2))
    return ground


def _write_copies(options: DatasetOptions, model: BaseModel, folder: Path) -> Iterator[Event]:
    """PNG copies `<number>-<piece>-<stem>.png` with captions beside them; nothing that is there is touched."""
    if folder.exists() and any(folder.iterdir()):
        raise BadOption(f"--write {folder}, which is not empty", expected="a new or an empty folder")
    check_folder(folder, "the folder")
    files = [(source, file) for source in options.sources() for file in candidates(source.folder)]
    for number, (source, file) in enumerate(files):
        _write_one(options, model, folder, number, source, file)
        yield Progress(label="writing copies", done=number + 1, total=len(files))
    yield Saved(path=folder, what="copies with captions")


def _write_one(
    options: DatasetOptions, model: BaseModel, folder: Path, number: int, source: Source, file: Path
) -> None:
    try:
        with Image.open(file) as opened:
            image = opaque(ImageOps.exif_transpose(opened))
    except OSError:
        return  # reading has named it already
    edge = model.resolution
    parts = split(image, (edge, edge)) if options.split_long else [image]
    if options.flip:
        parts = [copy for part in parts for copy in (part, ImageOps.mirror(part))]
    words = words_for(file, captions_in(source.folder).get(file.name))
    for piece, part in enumerate(parts):
        target = folder / f"{number:05d}-{piece}-{file.stem}.png"
        save_picture(part, target)
        atomic_write(target.with_suffix(".txt"), words.encode())
