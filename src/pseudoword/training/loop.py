"""The training loop: a generator of events that can be closed, interrupted or killed between any two of them.

Per optimiser step: draw samples (keyed), encode their captions with the word's rows in place, predict, take the
mean squared error, go back to the rows, one update of them. Everything that changes is in the `TrainState`;
after any stop, `train` called again with the state on disk goes on with the same bits.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Words
from pseudoword.errors import BadFile, TrainingDiverged
from pseudoword.events import Evaluated, Event, Previewed, Saved, StepDone, Warned
from pseudoword.training.draws import Samples, draw_groups
from pseudoword.training.fixed_batch import FixedBatch, fixed_loss
from pseudoword.training.keeper import Keeper
from pseudoword.training.objective import add_noise, mean_squared_error, min_snr_weights, target
from pseudoword.training.other_words import words_of
from pseudoword.training.state import RowOptimizer, TrainState
from pseudoword.training.task import Rows, Task, why_ended

FIRST_FP16_SCALE = 1024.0
_SCALE_PATIENCE = 200
_MAX_SCALE = 65536.0


def train(task: Task, state: TrainState) -> Iterator[Event]:
    """Run from `state` to the end, yielding what happens. The state is on disk whenever the generator is closed.

    Raises:
        TrainingDiverged: loss or gradient is no longer finite; the state before it is on disk.
        NotSaved: the run's files can no longer be written; the last state that could is on disk.
    """
    keeper = Keeper(task, state)
    try:
        yield from keeper.best_file()
        yield from _due(task, state, keeper)
        while why_ended(task, state) is None:
            with keeper.changing():
                event = take_step(task, state, keeper.optimizer)
                keeper.log.step(event)
            keeper.tick()
            yield event
            yield from _due(task, state, keeper)
            yield from keeper.save_if_due()
        yield from _due(task, state, keeper, last=True)
    finally:
        keeper.close()


def take_step(task: Task, state: TrainState, optimizer: RowOptimizer) -> StepDone:
    """One optimiser step; in fp16 repeated at a lower loss scale while gradients overflow."""
    start = time.perf_counter()
    rate = task.rates.at(state.step)
    loss = _gradients(task, state)
    scale = state.loss_scale
    while not optimizer.gradients_are_finite() and math.isfinite(loss) and state.loss_scale > 1:
        state.loss_scale, state.good_steps = max(1.0, state.loss_scale / 4), 0
        optimizer.clear()
        loss = _gradients(task, state)
    if not (math.isfinite(loss) and optimizer.gradients_are_finite()):
        optimizer.clear()
        state.loss_scale = scale
        raise TrainingDiverged(state.step + 1, str(task.folder.path))
    optimizer.unscale(state.loss_scale)
    optimizer.clip(task.options.clip_grad_mode, task.clip_limits.at(state.step))
    optimizer.step(rate)
    _grow_scale(task, state)
    state.step += 1
    seconds = time.perf_counter() - start
    state.seconds += seconds
    epoch, sample = divmod(state.step * task.drawing.per_step - 1, len(task.data))
    return StepDone(
        step=state.step,
        num_steps=task.num_steps,
        epoch=epoch,
        epoch_step=sample // task.drawing.per_step,
        loss=loss,
        learning_rate=rate,
        seconds=seconds,
        norm=state.mean_norm(),
        cosine=state.mean_cosine(),
    )


def follow(task: Task) -> None:
    """Compute gradients for the leader of the team until it is done."""
    while (call := task.team.wait(task.conditioner.model.device)) is not None:
        task.team.add_up(call.rows, _own_gradients(task, call.step, call.scale, call.rows))


def _gradients(task: Task, state: TrainState) -> float:
    """Put the step's gradients, times the loss scale, on the rows; return the mean loss."""
    task.team.call(state.step, state.loss_scale, state.rows)
    return task.team.add_up(state.rows, _own_gradients(task, state.step, state.loss_scale, state.rows))


def _own_gradients(task: Task, step: int, scale: float, rows: Rows) -> float:
    """The same for the samples of this process, as its part of the mean."""
    team, batch, drawing = task.team, task.options.batch_size, task.drawing
    words = words_of(rows, task.options.name)
    total = 0.0
    for first in range(team.rank * batch, drawing.per_step, team.size * batch):
        passes = range(first, first + batch)
        for samples in draw_groups(task.data, task.conditioner.model.schedule, drawing, step, passes):
            loss = _losses(task, samples, words).sum() / drawing.per_step
            (loss * scale).backward()
            total += float(loss.detach())
    return total


def _losses(task: Task, samples: Samples, words: Words) -> torch.Tensor:
    """The weighted loss of every sample, [b]."""
    schedule, options = task.conditioner.model.schedule, task.options
    noisy = add_noise(samples.latents, samples.noise, samples.timesteps, schedule)
    wanted = target(samples.latents, samples.noise, samples.timesteps, schedule)
    conditioning = task.conditioner.encode(samples.captions, words)
    prediction = task.conditioner.model.predict(noisy, samples.timesteps, conditioning)
    device = prediction.device
    masks = None if samples.masks is None else samples.masks.to(device)
    losses = mean_squared_error(prediction, wanted.to(device), masks) * samples.weights.to(device)
    if options.min_snr:
        losses = losses * min_snr_weights(samples.timesteps, schedule, options.min_snr).to(device)
    return losses


def _grow_scale(task: Task, state: TrainState) -> None:
    if task.conditioner.model.dtype != torch.float16:
        return
    state.good_steps += 1
    if state.good_steps >= _SCALE_PATIENCE:
        state.loss_scale, state.good_steps = min(_MAX_SCALE, state.loss_scale * 2), 0


def _due(task: Task, state: TrainState, keeper: Keeper, *, last: bool = False) -> Iterator[Event]:
    """Do what is due after `state.step` steps and not there yet, so that a stop in between loses nothing.

    At the `last` step all of it is due.
    """
    options, step = task.options, state.step
    last = last or step == task.num_steps
    if _is_due(step, options.evaluate_every or 0, last) and state.evaluated_step != step:
        with keeper.changing():
            evaluated = _evaluate(task, state)
            keeper.log.evaluation(evaluated)
        if evaluated.best:
            yield from keeper.best_file()
        yield evaluated
    copy = task.folder.copy(options.name, step)
    if step > 0 and _is_due(step, options.save_every, last) and not copy.exists():
        keeper.copy(state.result, step, copy)
        yield Saved(path=copy, what="copy of the embedding")
    preview = task.folder.preview(options.name, step)
    if _is_due(step, options.preview_every, last) and not preview.exists():
        yield from keeper.save()  # previews can take minutes, and none of the steps before shall be lost in them
        yield from _preview(task, state, keeper, preview)


def _is_due(step: int, every: int, last: bool) -> bool:
    return every > 0 and (step % every == 0 or last)


def _preview(task: Task, state: TrainState, keeper: Keeper, path: Path) -> Iterator[Event]:
    try:
        task.draw_preview(state.result, state.step, path)
    except BadFile as problem:
        yield Warned(message=f"there is no preview after step {state.step}: {problem.got}")
        return
    keeper.log.preview(state.step, path)
    yield Previewed(step=state.step, path=path)


def _evaluate(task: Task, state: TrainState) -> Evaluated:
    training_loss = _fixed_loss(task, task.fixed_batch, state.result)
    held_back_loss = None
    if task.held_back_batch is not None:
        held_back_loss = _fixed_loss(task, task.held_back_batch, state.result)
    if not math.isfinite(training_loss + (held_back_loss or 0.0)):
        raise TrainingDiverged(state.step, str(task.folder.path))
    best = state.note_evaluation(training_loss, held_back_loss)
    return Evaluated(
        step=state.step,
        loss=state.history[-1].loss,
        training_loss=training_loss,
        held_back_loss=held_back_loss,
        best=best,
        nearest=task.nearest(state.result),
    )


def _fixed_loss(task: Task, batch: FixedBatch, rows: Rows) -> float:
    """The batch has whole captions: each picture calls its own word."""
    return fixed_loss(task.conditioner, batch, lambda caption: caption, words_of(rows, task.options.name))
