"""Train a word, or continue a run: pictures → latents → loop → embedding in the library's folder."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from pseudoword._version import __version__
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import Embedding, Provenance, write_embedding
from pseudoword.errors import BadFile, BadModel, BadOption, BadPictures, NameTaken
from pseudoword.events import Event, PictureDone, RunEnded, RunStarted, Saved, Warned
from pseudoword.files import check_folder
from pseudoword.generation.draw import draw
from pseudoword.generation.grid import make_grid
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.library.walk import find_files
from pseudoword.models.device import precision_name
from pseudoword.models.folder import BUNDLED_MODELS
from pseudoword.models.load import load_model
from pseudoword.models.protocols import BaseModel
from pseudoword.services.pictures import called, latent_mask, preparation, read_and_encode
from pseudoword.settings import Settings
from pseudoword.training.captions import NAME, Templates, load_templates, make_templates
from pseudoword.training.draws import Drawing, TrainingData
from pseudoword.training.fixed_batch import make_fixed_batch
from pseudoword.training.initial import starting_rows, with_vectors_of_file
from pseudoword.training.latents import Latents
from pseudoword.training.loop import FIRST_FP16_SCALE, Task, train
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Picture
from pseudoword.training.rate import parse_rates
from pseudoword.training.run import RunFolder, RunRecord, digests, find_run, new_run_folder
from pseudoword.training.sources import Source, check_pictures_folder, check_sources, parse_source
from pseudoword.training.state import TrainState

_PREVIEW_PROMPTS = {"style": "a cat, [name] style", "subject": "a [name]"}
_PREVIEW_SEEDS = 4
_PREVIEW_STEPS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class _Material:
    """What both a new and a continued run are prepared from."""

    conditioner: Conditioner
    templates: Templates
    pictures: list[Picture]
    latents: Latents
    held_back: list[Picture]
    held_back_latents: Latents | None


def train_word(options: TrainOptions, settings: Settings) -> Iterator[Event]:
    """Teach the model a new word and yield what happens; the last events are `Saved` and `RunEnded`.

    Closing the iterator at any point leaves the run's state on disk, and `resume_run` goes on from it.

    Raises:
        BadInput: any setting, folder or model that cannot be used; nothing has been written then.
        TrainingDiverged: the loss is no longer finite; the run's folder holds the state before.
    """
    target = embedding_path(settings, options.name).absolute()
    _check_free(options, target)
    for folder, what in ((target.parent, "the embeddings folder"), (settings.runs_dir, "the runs folder")):
        check_folder(folder, what)
    templates = load_templates(options.template)
    model = _open(options, settings)
    options = with_vectors_of_file(options).resolved(model.family)
    rows = starting_rows(model, options)
    conditioner = Conditioner(model)
    _check_captions(conditioner, templates, options)
    material = yield from _prepare(conditioner, templates, options, settings.cache_dir)
    scale = FIRST_FP16_SCALE if model.dtype == torch.float16 else 1.0
    state = TrainState.start(rows, scale, averaged=options.ema > 0)
    folder = new_run_folder(settings.runs_dir, options.name)
    folder.write_record(_record(options, material, target))
    state.save(folder.state)
    yield from _session(options, material, folder, state, target)


def resume_run(given: str, settings: Settings, steps: int | None = None, memory: str | None = None) -> Iterator[Event]:
    """Continue a run from its last state: the same bits as if it had never stopped.

    Args:
        given: the run's folder, or its name below the runs folder.
        settings: folders and device.
        steps: a new number of steps in all, to train a finished run further.
        memory: another memory mode than the recorded one, for this session.

    Raises:
        BadInput: there is no such run, or its pictures or its model are not what they were.
    """
    folder = find_run(given, settings.runs_dir)
    record = folder.read_record()
    state = TrainState.load(folder.state)
    options = replace(record.options, device=record.device, precision=record.precision)
    if steps is not None:
        if steps < state.step:
            raise BadOption(f"--steps {steps}", expected=f"at least {state.step}, which are already done")
        options = replace(options, steps=steps)
    if memory is not None:
        options = replace(options, memory=memory)
    torch.set_num_threads(record.num_threads)
    model = _open(options, settings)
    if model.hash != record.model_hash:
        raise BadModel(
            f"{options.model} has the hash {model.hash}",
            expected=f"{record.model_hash}, on which this run began",
            next_move="Give back the model's files as they were, or start a new run",
        )
    if model.hashes.vae != record.vae_hash:
        raise BadModel(
            f"the VAE {options.vae} has the hash {model.hashes.vae}",
            expected=f"{record.vae_hash}, on which this run began",
            next_move="Give back its file as it was, or start a new run",
        )
    if {slot: rows.shape[1] for slot, rows in state.rows.items()} != model.widths():
        raise BadFile(f"the state in {folder.path} is not of this model", next_move="Start a new run")
    material = yield from _prepare(Conditioner(model), make_templates(record.templates), options, settings.cache_dir)
    _check_same("pictures", material.pictures, record.pictures, options.pictures)
    _check_same("held-back pictures", material.held_back, record.held_back, options.held_back)
    if steps is not None:
        folder.write_record(replace(record, options=replace(record.options, steps=steps)))
    yield from _session(options, material, folder, state, Path(record.target))


def embedding_path(settings: Settings, name: str) -> Path:
    """Where the finished embedding of this name goes."""
    return settings.embeddings_dir / f"{name}.safetensors"


def _check_free(options: TrainOptions, target: Path) -> None:
    """A word must be found under one file only, whatever its case, suffix or subfolder."""
    files = [Path(file) for file in find_files(str(target.parent))]
    taken = [file for file in files if file.stem.casefold() == options.name.casefold()]
    if taken and not options.overwrite:
        raise NameTaken(f"{taken[0]} already exists", next_move="Choose another name, or add --overwrite")
    others = [file for file in taken if file.absolute() != target]
    if others:
        raise NameTaken(
            f"{others[0]} would be found under the same name as {target.name}",
            next_move="Move it away, or choose another name",
        )


def _check_captions(conditioner: Conditioner, templates: Templates, options: TrainOptions) -> None:
    """Every line must call the word exactly once, or nothing could be learned from it, or the wrong thing."""
    name = options.name
    for line in templates.lines:
        filled = templates.fill(line, "", called(options, name))
        found = conditioner.count(filled, name)
        if found != line.count(NAME):
            raise BadOption(
                f"{name!r} is read {found} times in {filled!r} by the model's tokenizer",
                expected=f"{line.count(NAME)}",
                next_move="Choose a name that is no ordinary word and does not end in punctuation",
            )


def _open(options: TrainOptions, settings: Settings) -> BaseModel:
    """Everything that can be wrong is looked at before the slow part begins."""
    check_sources(options.sources())
    if options.held_back:
        check_pictures_folder(Path(options.held_back))
    return load_model(
        options.model,
        device=options.device,
        precision=options.precision,
        hash_cache=settings.cache_dir / "hashes.json",
        vae=options.vae,
        prediction=options.prediction,
        memory=options.memory,
    )


def _prepare(
    conditioner: Conditioner, templates: Templates, options: TrainOptions, cache_dir: Path
) -> Generator[Event, None, _Material]:
    model = conditioner.model
    how = preparation(options, model, options.seed)
    cache = cache_dir / "latents" if options.cache_latents == "disk" else None
    pictures, latents = yield from read_and_encode(model, options.sources(), how, "encoding pictures", cache)
    held_back: list[Picture] = []
    held_back_latents = None
    if options.held_back:
        judged = (Source(folder=Path(options.held_back)),)
        how = replace(how, flip=False, masks="none")
        held_back, held_back_latents = yield from read_and_encode(
            model, judged, how, "encoding held-back pictures", cache
        )
    return _Material(
        conditioner=conditioner,
        templates=templates,
        pictures=pictures,
        latents=latents,
        held_back=held_back,
        held_back_latents=held_back_latents,
    )


def _record(options: TrainOptions, material: _Material, target: Path) -> RunRecord:
    model = material.conditioner.model
    return RunRecord(
        options=replace(
            options,
            template=_absolute_if_file(options.template),
            init_from=_absolute_if_file(options.init_from),
            model=options.model if options.model in BUNDLED_MODELS else _absolute_if_there(options.model),
            vae=_absolute_if_there(options.vae) if options.vae else "",
            pictures=_absolute_source(options.pictures),
            more_pictures=tuple(_absolute_source(text) for text in options.more_pictures),
            held_back=str(Path(options.held_back).resolve()) if options.held_back else "",
        ),
        model_name=model.name,
        model_hash=model.hash,
        vae_hash=model.hashes.vae,
        device=str(model.device),
        precision=precision_name(model.dtype),
        num_threads=torch.get_num_threads(),
        pictures=digests(material.pictures),
        held_back=digests(material.held_back),
        created=_now(),
        templates=material.templates.lines,
        target=str(target),
    )


def _absolute_source(text: str) -> str:
    folder = parse_source(text).folder
    return str(folder.resolve()) + text.removeprefix(str(folder))


def _absolute_if_file(template: str) -> str:
    path = Path(template)
    return str(path.resolve()) if path.is_file() else template


def _absolute_if_there(given: str) -> str:
    path = Path(given).expanduser()
    return str(path.resolve()) if path.exists() else given


def _check_same(what: str, found: Sequence[Picture], recorded: tuple[tuple[str, str], ...], folder: str) -> None:
    now, then = dict(digests(found)), dict(recorded)
    changed = sorted(name for name in now.keys() | then.keys() if now.get(name) != then.get(name))
    if changed:
        raise BadPictures(
            f"the {what} in {folder} are not those that the run began with ({', '.join(changed[:5])})",
            next_move="Put them back as they were, or start a new run",
        )


def _session(
    options: TrainOptions, material: _Material, folder: RunFolder, state: TrainState, target: Path
) -> Iterator[Event]:
    """From the state to the end of the run; the word is written at the end or at a stop, not after a failure."""
    task = _task(options, material, folder)
    model = material.conditioner.model
    yield RunStarted(
        run=folder.path,
        name=options.name,
        step=state.step,
        num_steps=task.num_steps,
        num_pictures=len(material.pictures),
        num_vectors=len(next(iter(state.rows.values()))),
        device=str(model.device),
        precision=precision_name(model.dtype),
    )
    if task.num_steps != options.steps:
        yield Warned(message=f"the learning-rate schedule ends the training after {task.num_steps} steps")
    try:
        yield from train(task, state)
    except GeneratorExit:
        if state.step > 0:
            task.save_copy(state.result, state.step, target)
        raise
    task.save_copy(state.result, state.step, target)
    yield Saved(path=target, what="embedding")
    yield RunEnded(
        run=folder.path,
        step=state.step,
        loss=state.last_loss,
        best_loss=state.best_loss,
        best_step=state.best_step,
        seconds_per_step=state.seconds / state.step if state.step else None,
    )


def _task(options: TrainOptions, material: _Material, folder: RunFolder) -> Task:
    conditioner = material.conditioner
    judged, judged_latents = material.pictures, material.latents
    if material.held_back_latents is not None:
        judged, judged_latents = material.held_back, material.held_back_latents
    words = [picture.words for picture in judged]
    assert options.learning_rate is not None
    assert options.steps is not None
    rates = parse_rates(options.learning_rate)
    made_from = _Maker(options, conditioner.model, len(material.pictures))
    return Task(
        conditioner=conditioner,
        data=TrainingData(
            latents=material.latents,
            words=tuple(picture.words for picture in material.pictures),
            templates=material.templates,
            name=called(options, options.name),
            repeats=tuple(picture.repeats for picture in material.pictures),
            weights=tuple(picture.weight for picture in material.pictures),
            masks=tuple(latent_mask(picture, conditioner.model) for picture in material.pictures),
            shuffle_tags=options.shuffle_tags,
            drop_tags=options.drop_tags,
        ),
        fixed_batch=make_fixed_batch(judged_latents, words, conditioner.model.schedule),
        options=options,
        drawing=Drawing(
            seed=options.seed,
            per_step=options.batch_size * options.accumulate,
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
        draw_preview=lambda rows, path: _draw_preview(conditioner, options, rows, path),
    )


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

    def save(self, rows: Mapping[str, torch.Tensor], step: int, path: Path) -> None:
        """Write the embedding after `step` steps."""
        embedding = Embedding(
            name=self.options.name,
            vectors=rows,
            provenance=Provenance(
                base_model=self.model.name,
                base_model_hash=self.model.hash,
                step=step,
                initial_text=self.options.init,
                num_pictures=self.num_pictures,
                created=_now(),
                product=f"pseudoword {__version__}",
            ),
        )
        write_embedding(embedding, path)


def _draw_preview(
    conditioner: Conditioner, options: TrainOptions, rows: Mapping[str, torch.Tensor], path: Path
) -> None:
    prompt = options.preview_prompt or _PREVIEW_PROMPTS.get(options.template, "[name]")
    request = GenerateOptions(
        prompt=prompt.replace(NAME, options.name), steps=_PREVIEW_STEPS, seed=0, batch_size=_PREVIEW_SEEDS
    )
    words = {options.name: {slot: values.detach() for slot, values in rows.items()}}
    done = [event for event in draw(conditioner, request, words) if isinstance(event, PictureDone)]
    save_png(make_grid([event.image for event in done], columns=len(done)), path, done[0].infotext)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
