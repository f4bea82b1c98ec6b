"""From settings, pictures and a model to what the training loop works with; previews and copies of the word."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pseudoword._version import __version__
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.conditioning.nearest import nearest_rows
from pseudoword.embeddings import Embedding, Provenance, write_embedding
from pseudoword.errors import BadOption
from pseudoword.events import PictureDone
from pseudoword.generation.draw import draw
from pseudoword.generation.grid import make_grid
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.models.protocols import BaseModel
from pseudoword.models.vocabulary import VocabularyTable
from pseudoword.services.pictures import called, latent_mask
from pseudoword.services.several_words import beside, calling_of, initial_text
from pseudoword.training.captions import NAME, Templates
from pseudoword.training.draws import Drawing, TrainingData
from pseudoword.training.fixed_batch import BESIDE, DECIDING, FixedBatch, make_fixed_batch
from pseudoword.training.initial import vocabulary_rows
from pseudoword.training.latents import Latents
from pseudoword.training.options import TrainOptions
from pseudoword.training.other_words import slot_of, words_of
from pseudoword.training.pictures import Picture
from pseudoword.training.rate import parse_rates
from pseudoword.training.run import RunFolder
from pseudoword.training.task import Near, Rows, Task
from pseudoword.training.team import Team

_PREVIEW_PROMPTS = {"style": "a cat, [name] style", "subject": "a [name]"}
_NEAREST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What both a new and a continued run are prepared from."""

    conditioner: Conditioner
    templates: Templates
    pictures: list[Picture]
    latents: Latents
    held_back: list[Picture]
    held_back_latents: Latents | None


def make_task(options: TrainOptions, material: Material, folder: RunFolder, team: Team) -> Task:
    """What stays the same during the run.

    Raises:
        BadOption: the range of timesteps is not one of the model.
    """
    conditioner = material.conditioner
    assert options.learning_rate is not None
    assert options.steps is not None
    rates = parse_rates(options.learning_rate)
    made_from = _Maker(options, conditioner.model, len(material.pictures))
    held_back, wanted = None, DECIDING
    if material.held_back_latents is not None:
        held_back = _fixed_batch(material.held_back, material.held_back_latents, material, options, DECIDING)
        wanted = BESIDE
    return Task(
        conditioner=conditioner,
        data=_data(options, material),
        fixed_batch=_fixed_batch(material.pictures, material.latents, material, options, wanted),
        held_back_batch=held_back,
        options=options,
        drawing=Drawing(
            seed=options.seed,
            per_step=options.batch_size * options.accumulate * team.size,
            lowest=options.min_timestep,
            end=_end_of_timesteps(options, conditioner.model.schedule.num_timesteps),
            offset_noise=options.offset_noise,
            latent_sampling=options.latent_sampling,
        ),
        rates=rates,
        clip_limits=parse_rates(options.clip_grad_value),
        num_steps=rates.num_steps(options.steps),
        folder=folder,
        save_copy=made_from.save,
        draw_preview=lambda rows, step, path: _draw_preview(conditioner, options, rows, step, path),
        nearest=lambda rows: _nearest(conditioner.model, rows),
        team=team,
    )


def _data(options: TrainOptions, material: Material) -> TrainingData:
    pictures, model = material.pictures, material.conditioner.model
    callings = tuple(calling_of(picture, options, material.templates) for picture in pictures)
    return TrainingData(
        latents=material.latents,
        words=tuple(picture.words for picture in pictures),
        templates=material.templates,
        name=called(options, options.name),
        repeats=tuple(picture.repeats for picture in pictures),
        weights=tuple(picture.weight for picture in pictures),
        masks=tuple(latent_mask(picture, model) for picture in pictures),
        shuffle_tags=options.shuffle_tags,
        drop_tags=options.drop_tags,
        callings=callings if options.other_words else (),
    )


def _fixed_batch(
    pictures: list[Picture], latents: Latents, material: Material, options: TrainOptions, wanted: int
) -> FixedBatch:
    """With whole captions: the first line that suits each picture, calling its own word."""
    captions: list[str] = []
    for picture in pictures:
        calling = calling_of(picture, options, material.templates)
        line = calling.templates.lines_for(picture.words)[0]
        captions.append(calling.templates.fill(line, picture.words, calling.name))
    return make_fixed_batch(latents, captions, material.conditioner.model.schedule, wanted=wanted)


def _end_of_timesteps(options: TrainOptions, num_timesteps: int) -> int | None:
    if max(options.min_timestep + 1, options.max_timestep or 0) > num_timesteps:
        raise BadOption(
            f"timesteps from {options.min_timestep} to {options.max_timestep or num_timesteps}",
            expected=f"a range below {num_timesteps}, which is what the model has",
        )
    return options.max_timestep


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes files of rows, with the run's provenance."""

    options: TrainOptions
    model: BaseModel
    num_pictures: int

    def save(self, rows: Rows, step: int, path: Path) -> None:
        """Write the embedding after `step` steps, and those of further words beside it, before it."""
        words = words_of(rows, self.options.name)
        texts = {word.name: initial_text(word) for word in self.options.words()}
        for name in reversed(words):
            initial = texts.get(name, self.options.init)
            self._save(name, words[name], initial, step, beside(path, self.options.name, name))

    def _save(self, name: str, rows: Rows, initial_text: str, step: int, path: Path) -> None:
        embedding = Embedding(
            name=name,
            vectors=rows,
            provenance=Provenance(
                base_model=self.model.name,
                base_model_hash=self.model.hash,
                step=step,
                initial_text=initial_text,
                num_pictures=self.num_pictures,
                created=now(),
                product=f"pseudoword {__version__}",
            ),
        )
        write_embedding(embedding, path)


def with_preview_prompt(options: TrainOptions, templates: Templates) -> TrainOptions:
    """The settings with a prompt for the previews where templates of the user's own are all that says what suits."""
    if options.preview_prompt or options.template in _PREVIEW_PROMPTS:
        return options
    return replace(options, preview_prompt=(templates.without_words or (NAME,))[:1])


def preview_prompts(options: TrainOptions) -> tuple[str, ...]:
    """What the previews show, `[name]` filled in."""
    called_so = {options.name: options.template}
    called_so |= {word.name: word.template or options.template for word in options.words()}
    found: list[str] = []
    for name, template in called_so.items():
        prompts = options.preview_prompt or (_PREVIEW_PROMPTS.get(template, NAME),)
        found += [prompt.replace(NAME, name) for prompt in prompts]
    return tuple(dict.fromkeys(found))


def _draw_preview(conditioner: Conditioner, options: TrainOptions, rows: Rows, step: int, path: Path) -> None:
    """A row of pictures for each prompt, a column for each seed; the infotext is that of the first picture."""
    words = words_of({key: values.detach() for key, values in rows.items()}, options.name)
    done: list[PictureDone] = []
    for prompt in preview_prompts(options):
        request = GenerateOptions(
            prompt=prompt,
            negative_prompt=options.preview_negative.replace(NAME, options.name),
            steps=options.preview_steps,
            seed=options.preview_seed,
            batch_size=options.preview_count,
        )
        events = draw(conditioner, request, words, notes={"TI training step": step})
        done += [event for event in events if isinstance(event, PictureDone)]
    save_png(make_grid([event.image for event in done], columns=options.preview_count), path, done[0].infotext)


def _nearest(model: BaseModel, rows: Rows) -> Near:
    found: list[tuple[str, tuple[tuple[tuple[str, float], ...], ...]]] = []
    encoders = {encoder.slot: encoder for encoder in model.encoders}
    for key in rows:
        encoder = encoders[slot_of(key)]
        table = VocabularyTable(slot=encoder.slot, table=vocabulary_rows(encoder).detach(), tokenizer=encoder.tokenizer)
        own = rows[key].detach().to(table.table.device)
        near = nearest_rows(own, table.table, _NEAREST, table.special_ids())
        words = tuple(tuple((table.word(index), cosine) for index, cosine in of_row) for of_row in near)
        found.append((key, words))
    return tuple(found)


def now() -> str:
    """This moment, as files say it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
