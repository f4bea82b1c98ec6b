"""The training loop: a generator of events that can be closed, interrupted or killed between any two of them.

Per optimiser step: draw samples (keyed), encode their captions with the word's rows in place, predict, take the
mean squared error, go back to the rows, one update of them. Everything that changes is in the `TrainState`;
after any stop, `train` called again with the state on disk goes on with the same bits.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import TrainingDiverged
from pseudoword.events import Evaluated, Event, Previewed, Saved, StepDone
from pseudoword.training.draws import Drawing, Samples, TrainingData, draw_groups
from pseudoword.training.fixed_batch import FixedBatch, fixed_loss
from pseudoword.training.logs import RunLog
from pseudoword.training.objective import add_noise, mean_squared_error, min_snr_weights, target
from pseudoword.training.options import TrainOptions
from pseudoword.training.rate import RateSchedule
from pseudoword.training.run import RunFolder
from pseudoword.training.state import RowOptimizer, TrainState

Rows = Mapping[str, torch.Tensor]
SAVE_SECONDS = 5.0
"""The state is written at least so often, besides at every stop: what a kill can cost."""
FIRST_FP16_SCALE = 1024.0
_SCALE_PATIENCE = 200
_MAX_SCALE = 65536.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What stays the same during a run."""

    conditioner: Conditioner
    data: TrainingData
    fixed_batch: FixedBatch
    options: TrainOptions
    drawing: Drawing
    rates: RateSchedule
    clip_limits: RateSchedule
    num_steps: int
    """Where the run ends: by the step count or by the schedule, whichever is first."""
    folder: RunFolder
    save_copy: Callable[[Rows, int, Path], None]
    """Writes the embedding after so many steps to a path."""
    draw_preview: Callable[[Rows, Path], None]
    """Draws fixed-seed pictures with these rows into a path."""


def train(task: Task, state: TrainState) -> Iterator[Event]:
    """Run from `state` to the end, yielding what happens. The state is on disk whenever the generator is closed.

    Raises:
        TrainingDiverged: loss or gradient is no longer finite; the state before it is on disk.
    """
    log = RunLog(task.folder, state.step, state.evaluated_step)
    optimizer = RowOptimizer(state, task.conditioner.model.device, task.options)
    saved_at = time.monotonic()
    between_steps = True  # a second Ctrl-C may end a step half-way: such a state must not reach the disk
    try:
        yield from _due(task, state, log)
        while state.step < task.num_steps:
            between_steps = False
            event = take_step(task, state, optimizer)
            between_steps = True
            log.step(event)
            yield event
            yield from _due(task, state, log)
            if time.monotonic() - saved_at > SAVE_SECONDS:
                _save(task, state, optimizer, log)
                saved_at = time.monotonic()
    except TrainingDiverged:
        between_steps = True
        raise
    finally:
        if between_steps:
            _save(task, state, optimizer, log)
        log.close()


def _save(task: Task, state: TrainState, optimizer: RowOptimizer, log: RunLog) -> None:
    log.flush()
    optimizer.remember()
    state.save(task.folder.state)


def take_step(task: Task, state: TrainState, optimizer: RowOptimizer) -> StepDone:
    """One optimiser step; in fp16 repeated at a lower loss scale while gradients overflow."""
    start = time.perf_counter()
    rate = task.rates.at(state.step)
    loss = _gradients(task, state, optimizer)
    scale = state.loss_scale
    while not optimizer.gradients_are_finite() and math.isfinite(loss) and state.loss_scale > 1:
        state.loss_scale, state.good_steps = max(1.0, state.loss_scale / 4), 0
        optimizer.clear()
        loss = _gradients(task, state, optimizer)
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
    return StepDone(
        step=state.step,
        num_steps=task.num_steps,
        epoch=(state.step * task.drawing.per_step - 1) // len(task.data),
        loss=loss,
        learning_rate=rate,
        seconds=seconds,
        norm=state.mean_norm(),
        cosine=state.mean_cosine(),
    )


def _gradients(task: Task, state: TrainState, optimizer: RowOptimizer) -> float:
    """Put the step's gradients, times the loss scale, on the rows; return the mean loss."""
    options = task.options
    total = 0.0
    for first in range(0, task.drawing.per_step, options.batch_size):
        passes = range(first, first + options.batch_size)
        for samples in draw_groups(task.data, task.conditioner.model.schedule, task.drawing, state.step, passes):
            loss = _losses(task, samples, state.rows).sum() / task.drawing.per_step
            (loss * state.loss_scale).backward()
            total += float(loss.detach())
    return total


def _losses(task: Task, samples: Samples, rows: Rows) -> torch.Tensor:
    """The weighted loss of every sample, [b]."""
    schedule, options = task.conditioner.model.schedule, task.options
    noisy = add_noise(samples.latents, samples.noise, samples.timesteps, schedule)
    wanted = target(samples.latents, samples.noise, samples.timesteps, schedule)
    conditioning = task.conditioner.encode(samples.captions, {options.name: rows})
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


def _due(task: Task, state: TrainState, log: RunLog) -> Iterator[Event]:
    """Do what is due after `state.step` steps and not there yet, so that a stop in between loses nothing."""
    options, step = task.options, state.step
    if _is_due(step, options.evaluate_every, task.num_steps) and state.evaluated_step != step:
        evaluated = _evaluate(task, state)
        log.evaluation(evaluated)
        yield evaluated
    copy = task.folder.copy(options.name, step)
    if step > 0 and _is_due(step, options.save_every, task.num_steps) and not copy.exists():
        task.save_copy(state.result, step, copy)
        yield Saved(path=copy, what="copy of the embedding")
    preview = task.folder.preview(options.name, step)
    if _is_due(step, options.preview_every, task.num_steps) and not preview.exists():
        task.draw_preview(state.result, preview)
        yield Previewed(step=step, path=preview)


def _is_due(step: int, every: int, end: int) -> bool:
    return every > 0 and (step % every == 0 or step == end)


def _evaluate(task: Task, state: TrainState) -> Evaluated:
    templates, name = task.data.templates, task.data.name
    loss = fixed_loss(
        task.conditioner,
        task.fixed_batch,
        lambda text: templates.fill(templates.lines_for(text)[0], text, name),
        {task.options.name: state.result},
    )
    if not math.isfinite(loss):
        raise TrainingDiverged(state.step, str(task.folder.path))
    return Evaluated(step=state.step, loss=loss, best=state.note_evaluation(loss))
