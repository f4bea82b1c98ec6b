"""Draw pictures with the words of the embeddings folder, and save them as A1111 does."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from PIL import Image

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.errors import BadFile, BadOption
from pseudoword.events import Event, PictureDone, Saved, Warned
from pseudoword.families import describe
from pseudoword.files import check_folder
from pseudoword.generation.draw import draw
from pseudoword.generation.grid import make_grid
from pseudoword.generation.img2img import Sources, load_sources
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import next_grid_path, next_picture_path, save_png
from pseudoword.generation.signals import Signal
from pseudoword.library import Library, Snapshot
from pseudoword.models.load import load_model
from pseudoword.settings import Settings

Events = Generator[Event, Signal | None, None]
"""The caller may answer a `Progress` with a `Signal`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """A loaded model with a library: open once, draw often. The library is looked at anew for every request."""

    conditioner: Conditioner
    library: Library
    settings: Settings

    @classmethod
    def open(cls, settings: Settings, *, model: str, device: str = "auto", precision: str = "auto") -> "Studio":
        """Load the model and look into the embeddings folder.

        Raises:
            BadModel, BadOption: as `models.load.load_model` says.
        """
        if settings.embeddings_dir.exists() and not settings.embeddings_dir.is_dir():
            raise BadFile(f"{settings.embeddings_dir} is a file", expected="the folder of the embeddings")
        loaded = load_model(model, device=device, precision=precision, hash_cache=settings.cache_dir / "hashes.json")
        return cls(conditioner=Conditioner(loaded), library=Library(settings.embeddings_dir), settings=settings)

    def draw(self, options: GenerateOptions, sources: Sources | None = None) -> Events:
        """Yield `Warned` about words that do not fit, progress, and a `PictureDone` per picture; saves nothing.

        Args:
            options: the request.
            sources: pictures of an img2img request that are not files; by default those that the request names.
        """
        sources = load_sources(options) if sources is None else sources
        snapshot = self.library.refresh()
        words, hashes, warnings = _usable(self.conditioner, snapshot, options)
        yield from warnings
        yield from draw(self.conditioner, options, words, hashes, sources)

    def draw_and_save(self, options: GenerateOptions, output: Path | None = None) -> Events:
        """As `draw`, and write every picture, and a grid if there are several.

        Args:
            options: the request.
            output: file of the picture; with several pictures `-<index>` goes before the suffix. By default
                they go into the outputs folder, numbered.
        """
        done: list[PictureDone] = []
        today = date.today()
        if output is not None:
            _check_output(output)
        else:
            check_folder(self.settings.outputs_dir, "the outputs folder")
        several = options.batch_size * options.count > 1
        events = self.draw(options)
        signal: Signal | None = None
        while (event := _next(events, signal)) is not None:
            if not isinstance(event, PictureDone):
                signal = yield event
                continue
            path = _picture_path(self.settings, output, event, several=several, today=today)
            save_png(event.image, path, event.infotext)
            done.append(replace(event, path=path))
            signal = yield done[-1]
        if len(done) > 1:
            yield self._save_grid(done, output, today)

    def _save_grid(self, done: list[PictureDone], output: Path | None, today: date) -> Saved:
        path = next_grid_path(self.settings.outputs_dir, today)
        if output is not None:
            path = output.with_name(f"{output.stem}-grid{output.suffix}")
        save_png(make_grid([event.image for event in done]), path, done[0].infotext)
        return Saved(path=path, what="grid")


def draw_images(studio: Studio, options: GenerateOptions) -> list[Image.Image]:
    """The pictures of one request, without saving them."""
    return [event.image for event in studio.draw(options) if isinstance(event, PictureDone)]


def _next(events: Events, signal: Signal | None) -> Event | None:
    """The next event, handing on what the caller said; None at the end."""
    try:
        return next(events) if signal is None else events.send(signal)
    except StopIteration:
        return None


def _check_output(output: Path) -> None:
    try:
        possible = output.suffix.lower() == ".png" and not output.is_dir()
    except (OSError, ValueError):  # too long, or with a null character
        possible = False
    if not possible:
        raise BadOption(f"--output {output}", expected="the name of a .png file")
    check_folder(output.parent, "the folder")


def _picture_path(settings: Settings, output: Path | None, event: PictureDone, *, several: bool, today: date) -> Path:
    if output is None:
        return next_picture_path(settings.outputs_dir, event.seed, today)
    return output.with_name(f"{output.stem}-{event.index}{output.suffix}") if several else output


def _usable(
    conditioner: Conditioner, snapshot: Snapshot, options: GenerateOptions
) -> tuple[Words, dict[str, str], list[Warned]]:
    """The words that fit the model; a warning for each that a prompt names and that does not."""
    entries = snapshot.entries.values()
    fitting = {e.embedding.name: e for e in entries if conditioner.fits(e.embedding.vectors)}
    model = describe(conditioner.model.widths())
    reasons = {skip.path.stem: skip.reason for skip in snapshot.skipped if skip.path.stem not in fitting}
    for entry in entries:
        if entry.embedding.name not in fitting:
            reasons[entry.embedding.name] = f"made for {describe(entry.embedding.widths)}, the model is {model}"
    prompts = (options.prompt, options.negative_prompt)
    named = {name for prompt in prompts for name in conditioner.words_in(prompt, reasons)}
    warnings = [Warned(message=f"{name!r} is not used: {reasons[name]}") for name in sorted(named)]
    words = {name: entry.embedding.vectors for name, entry in fitting.items()}
    return words, {name: entry.short for name, entry in fitting.items()}, warnings
