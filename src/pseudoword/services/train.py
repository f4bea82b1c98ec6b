"""Train a word, or continue a run: pictures → latents → loop → embedding in the library's folder."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import (
    BadFile,
    BadModel,
    NothingLearned,
    NotSaved,
    PseudowordError,
)
from pseudoword.events import Event, Previewed, RunEnded, RunStarted, Saved, Warned
from pseudoword.files import check_folder, clear_leftovers, held_alone
from pseudoword.models.device import precision_name
from pseudoword.services.material import open_model, prepare
from pseudoword.services.run_checks import check_free, check_name, check_same
from pseudoword.services.run_pages import write_progress, write_report
from pseudoword.services.run_settings import with_absolute_paths, with_changes, write_settings
from pseudoword.services.several_words import (
    all_starting_rows,
    beside,
    check_other_words,
    is_own,
)
from pseudoword.services.suggest import suggested_text
from pseudoword.services.team import as_launched, follow_launcher, gathered
from pseudoword.services.training_task import Material, make_task, now, with_preview_prompt
from pseudoword.settings import Settings
from pseudoword.training.captions import load_templates, make_templates
from pseudoword.training.initial import with_vectors_of_file
from pseudoword.training.loop import FIRST_FP16_SCALE, train
from pseudoword.training.options import TrainOptions
from pseudoword.training.other_words import words_of
from pseudoword.training.run import RunFolder, RunRecord, digests, find_run, new_run_folder
from pseudoword.training.state import TrainState
from pseudoword.training.suggesting import SUGGEST
from pseudoword.training.task import Task, why_ended
from pseudoword.training.team import team_of_launcher


def train_word(options: TrainOptions, settings: Settings) -> Iterator[Event]:
    """Teach the model a new word and yield what happens; the last events are `Saved` and `RunEnded`.

    Closing the iterator at any point leaves the run's state on disk, and `resume_run` goes on from it.

    Raises:
        BadInput: any setting, folder or model that cannot be used; nothing has been written then.
        TrainingDiverged: the loss is no longer finite; the run's folder holds the state before.
    """
    options = as_launched(options)
    if team_of_launcher().rank > 0:
        follow_launcher(options, settings)
        return
    target = embedding_path(settings, options.name).absolute()
    check_free(options, target)
    for folder, what in ((target.parent, "the embeddings folder"), (settings.runs_dir, "the runs folder")):
        check_folder(folder, what)
    templates = load_templates(options.template)
    model = open_model(options, settings)
    options = with_vectors_of_file(options).resolved(model.family)
    asks = options.init_from == "text" and options.init == SUGGEST
    rows = {} if asks else all_starting_rows(model, options)
    conditioner = Conditioner(model)
    check_name(conditioner, templates, options)
    options = with_preview_prompt(options, templates)
    check_other_words(conditioner, templates, options, target)
    material = yield from prepare(conditioner, templates, options, settings.cache_dir)
    if asks:
        own = [i for i, one in enumerate(material.pictures) if is_own(one, options)]
        pictures = [material.pictures[i] for i in own]
        word = yield from suggested_text(conditioner, templates, options, pictures, material.latents.subset(own))
        yield Warned(message=f"the pictures suggest to start from {word!r}")
        options = replace(options, init=word)
        rows = all_starting_rows(model, options)
    scale = FIRST_FP16_SCALE if model.dtype == torch.float16 else 1.0
    state = TrainState.start(rows, scale, averaged=options.ema > 0)
    folder = new_run_folder(settings.runs_dir, options.name)
    record = _record(options, material, target)
    with held_alone(folder.lock, f"the run {folder.path}"):
        write_settings(folder, record)
        state.save(folder.state)
        yield from _session(options, material, folder, state, record, settings)


def resume_run(given: str, settings: Settings, **changes: Any) -> Iterator[Event]:
    """Continue a run from its last state: the same bits as if it had never stopped.

    Args:
        given: the run's folder, or its name below the runs folder.
        settings: folders and device.
        changes: settings for the rest of the run, such as `steps=2000` to train it further.

    Raises:
        BadInput: there is no such run, another process has it, a change would not continue it, or its pictures or
            its model are not what they were.
    """
    folder = find_run(given, settings.runs_dir)
    record = folder.read_record()
    if team_of_launcher().rank > 0:
        follow_launcher(replace(record.options, precision=record.precision), settings, record.templates)
        return
    with held_alone(folder.lock, f"the run {folder.path}"):
        clear_leftovers(folder.path)
        yield from _continue(folder, record, settings, changes)


def _continue(folder: RunFolder, record: RunRecord, settings: Settings, changes: Mapping[str, Any]) -> Iterator[Event]:
    state = TrainState.load(folder.state)
    options, notes = with_changes(record, changes, state.step)
    torch.set_num_threads(record.num_threads)
    model = open_model(options, settings)
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
    widths = [
        {slot: rows.shape[1] for slot, rows in own.items()} for own in words_of(state.rows, options.name).values()
    ]
    if any(own != model.widths() for own in widths):
        raise BadFile(f"the state in {folder.path} is not of this model", next_move="Start a new run")
    material = yield from prepare(Conditioner(model), make_templates(record.templates), options, settings.cache_dir)
    check_same("pictures", material.pictures, record.pictures, options.pictures)
    check_same("held-back pictures", material.held_back, record.held_back, options.held_back)
    for note in notes:
        yield Warned(message=note)
    record = replace(record, options=options, device=str(model.device))
    write_settings(folder, record)
    yield from _session(options, material, folder, state, record, settings)


def embedding_path(settings: Settings, name: str) -> Path:
    """Where the finished embedding of this name goes."""
    return settings.embeddings_dir / f"{name}.safetensors"


def _record(options: TrainOptions, material: Material, target: Path) -> RunRecord:
    model = material.conditioner.model
    return RunRecord(
        options=with_absolute_paths(options),
        model_name=model.name,
        model_hash=model.hash,
        vae_hash=model.hashes.vae,
        device=str(model.device),
        precision=precision_name(model.dtype),
        num_threads=torch.get_num_threads(),
        pictures=digests(material.pictures),
        held_back=digests(material.held_back),
        created=now(),
        templates=material.templates.lines,
        target=str(target),
    )


def _session(
    options: TrainOptions,
    material: Material,
    folder: RunFolder,
    state: TrainState,
    record: RunRecord,
    settings: Settings,
) -> Iterator[Event]:
    """From the state to the end of the run; the word is written at the end or at a stop, not after a failure."""
    with gathered(record, settings, material.conditioner.model.device) as team:
        yield from _led(make_task(options, material, folder, team), material, state, record)


def _led(task: Task, material: Material, state: TrainState, record: RunRecord) -> Iterator[Event]:
    options, folder = task.options, task.folder
    yield _started(task, material, state)
    if options.steps is not None and task.num_steps < options.steps:
        yield Warned(message=f"the learning-rate schedule ends the training after {task.num_steps} steps")
    try:
        for event in train(task, state):
            yield event
            if isinstance(event, Previewed):
                yield from write_progress(folder, options, material.conditioner.model.resolution)
    except GeneratorExit:
        if state.step > 0:
            _write_word(task, state, record)
        write_report(folder, record, state, "stopped")
        raise
    except PseudowordError as problem:
        write_report(folder, record, state, f"failed: {problem}")
        raise
    if not state.has_learned():
        raise NothingLearned(state.step, str(folder.path))
    _write_word(task, state, record)
    for name in words_of(state.rows, options.name):
        yield Saved(path=beside(Path(record.target), options.name, name), what="embedding")
    yield from _ending(task, state, record)


def _write_word(task: Task, state: TrainState, record: RunRecord) -> None:
    target = Path(record.target)
    for name in words_of(state.rows, task.options.name):
        clear_leftovers(target.parent, name)
    try:
        task.save_copy(*state.kept(task.options.keep), target)
    except BadFile as problem:
        raise NotSaved(problem.got, state.step, str(task.folder.path)) from problem


def _started(task: Task, material: Material, state: TrainState) -> RunStarted:
    model = material.conditioner.model
    return RunStarted(
        run=task.folder.path,
        name=task.options.name,
        step=state.step,
        num_steps=task.num_steps,
        num_pictures=len(material.pictures),
        num_vectors=sum(len(next(iter(own.values()))) for own in words_of(state.rows, task.options.name).values()),
        device=str(model.device),
        precision=precision_name(model.dtype),
        stop=task.options.stop,
        keep=task.options.keep,
        best_loss=state.best_loss,
        best_step=state.best_step,
    )


def _ending(task: Task, state: TrainState, record: RunRecord) -> Iterator[Event]:
    reason = why_ended(task, state) or ""
    problem = write_report(task.folder, record, state, reason)
    if problem:
        yield Warned(message=f"there is no report: {problem}")
    else:
        yield Saved(path=task.folder.report, what="report")
    first = state.history[0] if state.history and state.history[0].step == 0 else None
    if first is not None and state.best_loss is not None and first.loss <= state.best_loss:
        yield Warned(
            message=f"on the fixed batch the initial text ({first.loss:.4f}) is better than anything that was learned "
            f"({state.best_loss:.4f}); try a lower --learning-rate or other pictures"
        )
    yield RunEnded(
        run=task.folder.path,
        step=state.step,
        reason=reason,
        kept_step=state.kept(task.options.keep)[1],
        loss=state.last_loss,
        first_loss=None if first is None else first.loss,
        best_loss=state.best_loss,
        best_step=state.best_step,
        seconds_per_step=state.seconds / state.step if state.step else None,
    )
