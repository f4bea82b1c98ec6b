"""Draw pictures with the words of the embeddings folder, and save them as A1111 does."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from PIL import Image

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadFile
from pseudoword.events import Event, PictureDone, Saved
from pseudoword.files import check_folder
from pseudoword.generation.draw import draw
from pseudoword.generation.grid import make_grid
from pseudoword.generation.img2img import Sources, load_sources
from pseudoword.generation.naming import Moment, SaveOptions, file_name
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.repeat import PREDICTION
from pseudoword.generation.saving import next_grid_path, next_picture_path, save_picture
from pseudoword.generation.signals import Signal
from pseudoword.library import Library
from pseudoword.models.load import load_model
from pseudoword.services.words import usable_words
from pseudoword.settings import Settings

Events = Generator[Event, Signal | None, None]
"""The caller may answer a `Progress` with a `Signal`."""
_AS_USUAL = SaveOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Studio:
    """A loaded model with a library: open once, draw often. The library is looked at anew for every request.

    One request at a time: in the memory modes `medium` and `low` the model's parts move while it draws. Callers with
    several threads queue.
    """

    conditioner: Conditioner
    library: Library
    settings: Settings
    prediction: str = "auto"
    """What the user said that the UNet predicts; pictures record it, since the model's hash does not tell."""

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        model: str,
        device: str = "auto",
        precision: str = "auto",
        vae: str = "",
        prediction: str = "auto",
        memory: str = "normal",
    ) -> "Studio":
        """Load the model and look into the embeddings folder.

        Raises:
            BadModel, BadOption: as `models.load.load_model` says.
        """
        if settings.embeddings_dir.exists() and not settings.embeddings_dir.is_dir():
            raise BadFile(f"{settings.embeddings_dir} is a file", expected="the folder of the embeddings")
        loaded = load_model(
            model,
            device=device,
            precision=precision,
            hash_cache=settings.cache_dir / "hashes.json",
            vae=vae,
            prediction=prediction,
            memory=memory,
        )
        return cls(
            conditioner=Conditioner(loaded),
            library=Library(settings.embeddings_dir),
            settings=settings,
            prediction=prediction,
        )

    def draw(self, options: GenerateOptions, sources: Sources | None = None) -> Events:
        """Yield `Warned` about words that do not fit, progress, and a `PictureDone` per picture; saves nothing.

        Args:
            options: the request.
            sources: pictures of an img2img request that are not files; by default those that the request names.
        """
        sources = load_sources(options) if sources is None else sources
        snapshot = self.library.refresh()
        prompts = (options.prompt, options.negative_prompt, options.hires_prompt, options.hires_negative_prompt)
        usable = usable_words(self.conditioner, snapshot, prompts)
        yield from usable.warnings
        notes = usable.notes() | {PREDICTION: None if self.prediction == "auto" else self.prediction}
        yield from draw(self.conditioner, options, usable.words, usable.hashes, sources, notes)

    def draw_and_save(self, options: GenerateOptions, saving: SaveOptions = _AS_USUAL) -> Events:
        """As `draw`, and write every picture, and a grid if there are several.

        Args:
            options: the request.
            saving: where and in which format; with an `output` and several pictures `-<index>` goes before the suffix.
        """
        done: list[PictureDone] = []
        now = datetime.now()
        if saving.output is not None:
            check_folder(saving.output.parent, "the folder")
        else:
            check_folder(self.settings.outputs_dir, "the outputs folder")
        events = self.draw(options)
        signal: Signal | None = None
        while (event := _next(events, signal)) is not None:
            if not isinstance(event, PictureDone):
                signal = yield event
                continue
            moment = Moment(now=now, index=event.index, batch_size=options.batch_size, count=options.count)
            path = _picture_path(self.settings, saving, event, moment, _kind(options))
            save_picture(event.image, path, event.infotext)
            done.append(replace(event, path=path))
            signal = yield done[-1]
        if len(done) > 1:
            yield self._save_grid(done, saving, now.date(), _kind(options))

    def _save_grid(self, done: list[PictureDone], saving: SaveOptions, today: date, kind: str) -> Saved:
        path = next_grid_path(self.settings.outputs_dir, today, saving.suffix, kind)
        if saving.output is not None:
            path = saving.output.with_stem(f"{saving.output.stem}-grid")
        save_picture(make_grid([event.image for event in done]), path, done[0].infotext)
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


def _kind(options: GenerateOptions) -> str:
    """The word in A1111's folders."""
    return "txt2img" if options.init_image is None else "img2img"


def _picture_path(settings: Settings, saving: SaveOptions, event: PictureDone, moment: Moment, kind: str) -> Path:
    if saving.output is None:
        name = file_name(saving.name_pattern, event.infotext, moment)
        return next_picture_path(settings.outputs_dir, name, moment.now.date(), saving.suffix, kind)
    several = moment.batch_size * moment.count > 1
    return saving.output.with_stem(f"{saving.output.stem}-{event.index}") if several else saving.output
