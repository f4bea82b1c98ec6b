"""Propose initial words for a set of pictures, with figures; what `train --init suggest` begins with."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.events import Event, Progress, WordsScored
from pseudoword.models.load import load_model
from pseudoword.services.pictures import called, preparation, read_and_encode
from pseudoword.settings import Settings
from pseudoword.training.captions import Templates, load_templates
from pseudoword.training.data_options import DataOptions
from pseudoword.training.fixed_batch import make_fixed_batch
from pseudoword.training.latents import Latents
from pseudoword.training.options import default_text
from pseudoword.training.pictures import Picture
from pseudoword.training.sources import Source, check_pictures_folder, check_sources
from pseudoword.training.suggest_options import SuggestOptions
from pseudoword.training.suggesting import Field, mean_loss, suggest_words


def suggest_init(options: SuggestOptions, settings: Settings) -> Iterator[Event]:
    """Yield what happens; every `WordsScored` has the best so far, the last one, which is `final`, all figures.

    Raises:
        BadInput: as `train_word` for its pictures, templates and model.
    """
    check_sources(options.sources())
    if options.held_back:
        check_pictures_folder(Path(options.held_back))
    templates = load_templates(options.template)
    model = load_model(
        options.model,
        device=options.device,
        precision=options.precision,
        hash_cache=settings.cache_dir / "hashes.json",
        vae=options.vae,
        prediction=options.prediction,
        memory=options.memory,
    )
    conditioner = Conditioner(model)
    how = preparation(options, model, options.seed)
    cache = settings.cache_dir / "latents" if options.cache_latents == "disk" else None
    pictures, latents = yield from read_and_encode(model, options.sources(), how, "encoding pictures", cache)
    field = field_of(conditioner, templates, options, pictures, latents)
    found: WordsScored | None = None
    for event in suggest_words(field, options.count, also=(default_text(options.template),)):
        if isinstance(event, WordsScored):
            found = event
        yield event
    assert found is not None
    if options.held_back:
        how = replace(how, flip=False, masks="none")
        judged, own = yield from read_and_encode(
            model, (Source(folder=Path(options.held_back)),), how, "encoding held-back pictures", cache
        )
        yield from _judged(found, field_of(conditioner, templates, options, judged, own))


def suggested_text(
    conditioner: Conditioner,
    templates: Templates,
    options: DataOptions,
    pictures: Sequence[Picture],
    latents: Latents,
) -> Generator[Event, None, str]:
    """The best word for these pictures."""
    field = field_of(conditioner, templates, options, pictures, latents)
    best = ""
    for event in suggest_words(field, 1, also=(default_text(options.template),)):
        if isinstance(event, WordsScored):
            best = min(event.words, key=lambda word: word.loss).word
        yield event
    return best


def field_of(
    conditioner: Conditioner,
    templates: Templates,
    options: DataOptions,
    pictures: Sequence[Picture],
    latents: Latents,
) -> Field:
    """What words are compared on: the fixed batch of these pictures with the first caption that suits each."""
    return Field(
        conditioner=conditioner,
        batch=make_fixed_batch(latents, [picture.words for picture in pictures], conditioner.model.schedule),
        caption=lambda words, name: templates.fill(templates.lines_for(words)[0], words, called(options, name)),
    )


def _judged(found: WordsScored, field: Field) -> Iterator[Event]:
    words = list(found.words)
    for number, entry in enumerate(words):
        words[number] = replace(entry, held_back_loss=mean_loss(field, entry.word))
        yield Progress(label="judging on held-back pictures", done=number + 1, total=len(words))
    yield WordsScored(words=tuple(words), final=True)
