"""Draw a comparison: the cells of a plan one after the other, then a labelled PNG and a page with zoom.

Every cell is a file named after all that it depends on (request, model, words' files), so a comparison that was
stopped by any means goes on where it was, and one that is widened in the same folder draws only what is new.
"""

import hashlib
import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pseudoword._version import __version__
from pseudoword.embeddings import read_one
from pseudoword.errors import BadFile
from pseudoword.events import Event, PictureDone, Progress, Saved, Warned
from pseudoword.files import atomic_write, check_folder, clear_leftovers, held_alone, sha256, write_json
from pseudoword.generation.compare_page import Page, Picture, page_html
from pseudoword.generation.comparison import Cell, CompareOptions, Grid, cells_of, command_line, parse_axes, plan
from pseudoword.generation.comparison import plan_key as key_of_plan
from pseudoword.generation.infotext import read_infotext
from pseudoword.generation.labels import Sheet, labelled_sheets
from pseudoword.generation.metadata import read_picture
from pseudoword.generation.saving import save_png
from pseudoword.library import Library, Snapshot
from pseudoword.library.snapshot import Entry
from pseudoword.services.compare_axes import choices_of
from pseudoword.services.generate import Studio
from pseudoword.settings import Settings

_FORMAT = 1
_SLUG = 40


class _Overlay(Library):
    """A library in which some words come from other files."""

    def __init__(self, library: Library, words: Mapping[str, Path]) -> None:
        super().__init__(library.root)
        self._below = library
        self._over = {name: _entry(name, path) for name, path in words.items()}

    def refresh(self) -> Snapshot:
        """What the library holds now, with the other words in it."""
        snapshot = self._below.refresh()
        folded = {name.casefold() for name in self._over}
        kept = {name: entry for name, entry in snapshot.entries.items() if name.casefold() not in folded}
        return replace(snapshot, entries=MappingProxyType({**kept, **self._over}))


def _entry(name: str, path: Path) -> Entry:
    found = read_one(path)
    renamed = replace(found, embedding=replace(found.embedding, name=name))
    return Entry(found=renamed, path=path, sha256=sha256(path))


@dataclass(slots=True, kw_only=True)
class _DoneState:
    """What has been drawn so far."""

    pictures: dict[tuple[int, int, int], Picture] = field(default_factory=dict[tuple[int, int, int], Picture])
    notes: dict[str, None] = field(default_factory=dict[str, None])
    steps: int = 0
    total: int = 0


def compare(options: CompareOptions, settings: Settings) -> Iterator[Event]:
    """Draw all cells that are not there yet; the last events are `Saved` for `grid.png` and `index.html`.

    Closing the iterator keeps every finished cell; the same call again goes on from there.

    Raises:
        BadInput: an axis, a value, a run or a model that cannot be used.
    """
    axes = parse_axes(options.axis)
    snapshot = Library(settings.embeddings_dir).refresh()
    grid = plan(options, axes, choices_of(axes, options, settings, snapshot))
    out = options.out or settings.outputs_dir / "comparisons" / _folder_name(options)
    check_folder(out, "the folder")
    with held_alone(out / ".lock", f"the folder {out}"):
        for folder in (out, out / "cells"):
            clear_leftovers(folder)
        yield from _compare(options, settings, grid, out)


def _compare(options: CompareOptions, settings: Settings, grid: Grid, out: Path) -> Iterator[Event]:
    cells = cells_of(grid)
    done = _DoneState(total=sum(cell.request.steps for _, cell in cells))
    studio: Studio | None = None
    for place, cell in cells:
        if studio is None or studio.conditioner.model.source != cell.model:
            studio = None  # two models at once may not fit
            studio = _open(options, settings, cell.model)
        yield from _cell(replace(studio, library=_Overlay(studio.library, cell.words)), cell, place, out, done)
    yield from _write(options, settings, grid, out, done)


def _open(options: CompareOptions, settings: Settings, model: str) -> Studio:
    return Studio.open(
        settings,
        model=model,
        device=options.device,
        precision=options.precision,
        vae=options.vae,
        prediction=options.prediction,
        memory=options.memory,
    )


def _folder_name(options: CompareOptions) -> str:
    words = re.sub(r"[^\w]+", "-", options.prompt[:_SLUG]).strip("-_")
    return f"{words}-{hashlib.sha256(key_of_plan(options).encode()).hexdigest()[:8]}"


def _cell(studio: Studio, cell: Cell, place: tuple[int, int, int], out: Path, done: _DoneState) -> Iterator[Event]:
    """One picture, from its file or drawn now."""
    path = out / "cells" / f"{_cell_key(studio, cell)}.png"
    text, notes = _kept(path)
    if text is None:
        text, notes = yield from _draw(studio, cell, path, done)
    for note in notes:
        if note not in done.notes:
            done.notes[note] = None
            yield Warned(message=note)
    done.pictures[place] = Picture(path=path, text=text)
    done.steps += cell.request.steps
    yield Progress(label="comparing", done=done.steps, total=done.total)


def _draw(studio: Studio, cell: Cell, path: Path, done: _DoneState) -> Generator[Event, None, tuple[str, list[str]]]:
    notes: list[str] = []
    text = ""
    for event in studio.draw(cell.request):
        if isinstance(event, Progress):
            share = event.done * cell.request.steps // max(1, event.total)
            yield Progress(label="comparing", done=done.steps + share, total=done.total)
        elif isinstance(event, Warned):
            name = studio.conditioner.model.name
            notes.append(event.message if name in event.message else f"{event.message} (model {name})")
        elif isinstance(event, PictureDone):
            text = event.infotext
            write_json(path.with_suffix(".json"), {"notes": notes})
            save_png(event.image, path, text)
    return text, notes


def _kept(path: Path) -> tuple[str | None, list[str]]:
    """Infotext and notes of a cell that is there, whole."""
    try:
        text = read_picture(path).text
        notes = json.loads(path.with_suffix(".json").read_text("utf-8"))["notes"]
    except (BadFile, OSError, ValueError, KeyError, TypeError):
        return None, []  # it is drawn again
    return text, [str(note) for note in notes]


def _cell_key(studio: Studio, cell: Cell) -> str:
    """Digest of all that the picture depends on."""
    model = studio.conditioner.model
    prompts = f"{cell.request.prompt}\n{cell.request.negative_prompt}".casefold()
    entries = studio.library.refresh().entries
    said = {
        "format": _FORMAT,
        "product": __version__,
        "request": {own.name: _plain(getattr(cell.request, own.name)) for own in fields(cell.request)},
        "model": [model.hash, model.hashes.vae, model.schedule.prediction_type, str(model.dtype)],
        "words": {name: entry.sha256 for name, entry in sorted(entries.items()) if name.casefold() in prompts},
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return sha256(value) if value.is_file() else str(value)
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _write(options: CompareOptions, settings: Settings, grid: Grid, out: Path, done: _DoneState) -> Iterator[Event]:
    command = command_line(options, **_other_folders(settings))
    first = done.pictures[0, 0, 0]
    page = Page(
        title=options.prompt,
        settings=_settings(options, first.text),
        names=grid.names,
        labels=(grid.labels[0], grid.labels[1], grid.labels[2]),
        pictures=done.pictures,
        notes=list(done.notes),
        command=command,
        made=datetime.now(UTC).isoformat(timespec="minutes"),
    )
    sheets = [_sheet(grid, z, done) for z in range(len(grid.cells))]
    image = labelled_sheets(sheets, f"{page.title}\n{page.settings}", [*page.notes, command])
    text = read_infotext(first.text).with_values({"Script": "compare", **_axis_values(grid), "Command": command})
    save_png(image, out / "grid.png", text.text())
    yield Saved(path=out / "grid.png", what="grid")
    atomic_write(out / "index.html", page_html(page).encode())
    yield Saved(path=out / "index.html", what="page with zoom")


def _sheet(grid: Grid, z: int, done: _DoneState) -> Sheet:
    columns, rows, sheets = grid.labels
    return Sheet(
        title=f"{grid.names[2]}: {sheets[z]}" if sheets[z] else "",
        columns=[_with_name(grid.names[0], label) for label in columns],
        rows=[_with_name(grid.names[1], label) if label else "" for label in rows],
        pictures=[[done.pictures[z, y, x].path for x in range(len(columns))] for y in range(len(rows))],
    )


def _with_name(name: str, label: str) -> str:
    return label if name in ("checkpoint", "prompt", "embedding", "model", "sampler") else f"{name} {label}"


def _settings(options: CompareOptions, text: str) -> str:
    """What all cells share, in A1111's words."""
    varied = {"steps": "Steps", "sampler": "Sampler", "cfg": "CFG scale", "seed": "Seed", "model": "Model"}
    hidden = {varied[axis.name] for axis in parse_axes(options.axis) if axis.name in varied}
    if "Model" in hidden:
        hidden |= {"Model hash", "Size"}
    if "Sampler" in hidden:
        hidden |= {"Schedule type"}
    shown = {key: value for key, value in read_infotext(text).values.items() if key not in hidden}
    shown = {key: value for key, value in shown.items() if key not in ("RNG", "TI hashes", "Version")}
    negative = f"Negative prompt: {options.negative_prompt}. " if options.negative_prompt else ""
    return negative + ", ".join(f"{key}: {value}" for key, value in shown.items())


def _axis_values(grid: Grid) -> dict[str, str]:
    """As A1111's script for grids names them."""
    letters = ("X", "Y", "Z")
    pairs = list(zip(letters, grid.names, grid.labels, strict=False))
    return {f"{letter} Type": name for letter, name, _ in pairs} | {
        f"{letter} Values": ", ".join(label.replace("\n", " ") for label in labels) for letter, _, labels in pairs
    }


def _other_folders(settings: Settings) -> dict[str, Path]:
    """Folders that are not the usual ones, for the command."""
    usual = Settings()
    names = ("embeddings_dir", "outputs_dir", "runs_dir")
    return {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(usual, name)}
