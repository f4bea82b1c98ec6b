"""Everything that changes while training, in one value that is saved whole or not at all.

Random draws are keyed by step and sample (rng.py), so there is no stream position to keep. Rows and what the
optimiser remembers of them are float32 whatever the model computes in. Only rows are parameters.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pseudoword.errors import BadFile
from pseudoword.files import atomic_write
from pseudoword.training.optimizers import Memory, make_optimizer, remembered, remind
from pseudoword.training.options import TrainOptions

FORMAT = "pseudoword-state-3"
_SECOND_FORMAT = "pseudoword-state-2"
"""Had neither the losses on the fixed batch nor the best rows."""
_FIRST_FORMAT = "pseudoword-state-1"
"""Had AdamW's two moments only, under names of their own."""
_KNOWN = (FORMAT, _SECOND_FORMAT, _FIRST_FORMAT)
_ROWS, _INITIAL, _AVERAGE, _BEST, _MEMORY = "rows", "initial", "average", "best", "optimizer"
_OLD_MOMENTS = {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"}

Tables = dict[str, torch.Tensor]


class Judged(NamedTuple):
    """Losses on the fixed batches after so many steps."""

    step: int
    training_loss: float
    held_back_loss: float | None = None

    @property
    def loss(self) -> float:
        """What decides: the held-back pictures' where there are any."""
        return self.training_loss if self.held_back_loss is None else self.held_back_loss


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Slot → [n, width] for the rows, where they began and their running average; counters beside them.

    Further words of the run have tables of their own beside them (other_words.py).
    """

    rows: Tables
    initial: Tables
    average: Tables = field(default_factory=dict[str, torch.Tensor])
    """Exponential moving average of the rows; empty where none is kept."""
    memory: Memory = field(default_factory=Memory)
    """What the optimiser remembers."""
    step: int = 0
    """Finished optimiser steps."""
    history: list[Judged] = field(default_factory=list[Judged])
    """All evaluations so far; the stopping rule looks at them."""
    best: Tables = field(default_factory=dict[str, torch.Tensor])
    """The rows with the lowest loss after any training; empty before the first such evaluation."""
    best_loss: float | None = None
    best_step: int | None = None
    loss_scale: float = 1.0
    """What the loss is multiplied by before the backward pass; above 1 only in fp16."""
    good_steps: int = 0
    """Steps since the scale was last changed."""
    seconds: float = 0.0
    """Time spent in optimiser steps, over all sessions."""
    elapsed: float = 0.0
    """The same with all that comes between the steps."""

    @classmethod
    def start(
        cls, rows: Mapping[str, torch.Tensor], loss_scale: float = 1.0, *, averaged: bool = False
    ) -> "TrainState":
        """The state before the first step; `averaged` keeps a running average of the rows."""
        return cls(rows=_own(rows), initial=_own(rows), average=_own(rows) if averaged else {}, loss_scale=loss_scale)

    @property
    def result(self) -> Tables:
        """The rows that are judged, shown and written: their average where one is kept."""
        return self.average or self.rows

    @property
    def evaluated_step(self) -> int:
        """The step after which the latest evaluation was made; -1 before the first."""
        return self.history[-1].step if self.history else -1

    @property
    def last_loss(self) -> float | None:
        """The latest loss on the fixed batch."""
        return self.history[-1].loss if self.history else None

    def note_evaluation(self, training_loss: float, held_back_loss: float | None = None) -> bool:
        """Remember the losses of the rows as they are; True if they are the best that training has made so far."""
        judged = Judged(self.step, training_loss, held_back_loss)
        best = self.step > 0 and (self.best_loss is None or judged.loss < self.best_loss)
        if best:
            self.best_loss, self.best_step, self.best = judged.loss, self.step, _own(self.result)
        self.history.append(judged)
        return best

    def kept(self, keep: str) -> tuple[Tables, int]:
        """The rows that go into the embeddings folder, `best` or `last`, and the step that they are of."""
        if keep == "best" and self.best and self.best_step is not None:
            return self.best, self.best_step
        return self.result, self.step

    def has_learned(self) -> bool:
        """Whether any row is not where it began."""
        return any(not torch.equal(rows.detach().cpu(), self.initial[slot]) for slot, rows in self.rows.items())

    def mean_norm(self) -> float:
        """Mean length of all rows."""
        norms = torch.cat([rows.detach().square().sum(dim=1).sqrt() for rows in self.rows.values()])
        return float(norms.mean())

    def mean_cosine(self) -> float:
        """Mean cosine between the rows and where they began; 0 for rows that began at zero."""
        cosines = [
            torch.nn.functional.cosine_similarity(rows.detach(), self.initial[slot].to(rows.device), dim=1)
            for slot, rows in self.rows.items()
        ]
        return float(torch.cat(cosines).mean())

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file, atomically."""
        groups = {
            _ROWS: self.rows,
            _INITIAL: self.initial,
            _AVERAGE: self.average,
            _BEST: self.best,
            _MEMORY: self.memory.tensors,
        }
        tensors = {
            f"{group}.{key}": values.detach().cpu().contiguous()
            for group, entries in groups.items()
            for key, values in entries.items()
        }
        counters = {name: getattr(self, name) for name in _COUNTERS}
        numbers = {"counters": json.dumps(counters), _MEMORY: json.dumps(self.memory.numbers)}
        atomic_write(path, save(tensors, {"format": FORMAT, **numbers}))

    @classmethod
    def load(cls, path: Path) -> "TrainState":
        """The inverse of `save`, on the CPU; states of earlier formats are brought into this one.

        Raises:
            BadFile: the file is missing, damaged or of another kind.
        """
        try:
            with cast("Any", safe_open)(path, "pt") as opened:
                metadata: dict[str, str] = opened.metadata() or {}
                tensors: Tables = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as problem:
            raise BadFile(f"state {path} cannot be read ({problem})", next_move="Start a new run") from problem
        if metadata.get("format") not in _KNOWN:
            raise BadFile(
                f"{path} is no training state of a known format ({metadata.get('format', 'it names none')})",
                expected=" or ".join(_KNOWN),
                next_move="Continue it with the version of pseudoword that wrote it",
            )
        try:
            if metadata["format"] == _FIRST_FORMAT:
                tensors, metadata = _from_first_format(tensors, metadata)
            if metadata["format"] == _SECOND_FORMAT:
                tensors, metadata = _from_second_format(tensors, metadata)
            return cls._from_parts(tensors, json.loads(metadata["counters"]), json.loads(metadata[_MEMORY]))
        except (ValueError, KeyError, TypeError) as problem:
            raise BadFile(f"state {path} is damaged ({problem!r})", next_move="Start a new run") from problem

    @classmethod
    def _from_parts(cls, tensors: Tables, counters: dict[str, Any], numbers: dict[str, Any]) -> "TrainState":
        groups: dict[str, Tables] = {_ROWS: {}, _INITIAL: {}, _AVERAGE: {}, _BEST: {}, _MEMORY: {}}
        for key, values in tensors.items():
            group, name = key.split(".", 1)
            groups[group][name] = values
        shapes = {slot: (t.shape, t.dtype) for slot, t in groups[_ROWS].items()}
        for group in (_INITIAL, _AVERAGE, _BEST):
            if groups[group] and {slot: (t.shape, t.dtype) for slot, t in groups[group].items()} != shapes:
                raise ValueError(f"rows and {group} rows do not belong together")
        if not shapes or not groups[_INITIAL]:
            raise ValueError("no rows")
        if {key.rsplit(".", 1)[0] for key in groups[_MEMORY]} - shapes.keys():
            raise ValueError("the optimiser's memory is of other rows")
        memory = Memory(tensors=groups[_MEMORY], numbers=numbers)
        counters["history"] = [Judged(*entry) for entry in counters["history"]]
        tables = {name: groups[name] for name in (_ROWS, _INITIAL, _AVERAGE, _BEST)}
        return cls(**tables, memory=memory, **counters)


def _own(rows: Mapping[str, torch.Tensor]) -> Tables:
    return {slot: values.detach().float().clone() for slot, values in rows.items()}


def _from_first_format(tensors: Tables, metadata: dict[str, str]) -> tuple[Tables, dict[str, str]]:
    """AdamW's moments under today's names; where the rows began was not kept, so they count from here on."""
    renamed: Tables = {}
    slots = [key.split(".", 1)[1] for key in tensors if key.startswith(f"{_ROWS}.")]
    step = float(json.loads(metadata["counters"])["step"])
    for slot in slots:
        renamed[f"{_ROWS}.{slot}"] = tensors[f"{_ROWS}.{slot}"]
        renamed[f"{_INITIAL}.{slot}"] = tensors[f"{_ROWS}.{slot}"].clone()
        renamed[f"{_MEMORY}.{slot}.step"] = torch.tensor(step)
        for old, new in _OLD_MOMENTS.items():
            renamed[f"{_MEMORY}.{slot}.{new}"] = tensors[f"{old}.{slot}"]
    return renamed, {**metadata, _MEMORY: "{}", "format": _SECOND_FORMAT}


def _from_second_format(tensors: Tables, metadata: dict[str, str]) -> tuple[Tables, dict[str, str]]:
    """Its losses are of a fixed batch of another size, so that judging begins anew."""
    counters: dict[str, Any] = json.loads(metadata["counters"])
    for name in ("evaluated_step", "last_loss"):
        counters.pop(name, None)
    counters |= {"history": [], "best_loss": None, "best_step": None}
    return tensors, {**metadata, "counters": json.dumps(counters)}


_COUNTERS = (
    "step",
    "best_loss",
    "best_step",
    "history",
    "loss_scale",
    "good_steps",
    "seconds",
    "elapsed",
)


class RowOptimizer:
    """An optimiser over the rows of a state; the state's own tables are its parameters."""

    def __init__(self, state: TrainState, device: torch.device, options: TrainOptions) -> None:
        self._state = state
        self._decay = options.ema
        for group in (state.rows, state.average):
            for slot, values in group.items():
                group[slot] = values.to(device)
        self._names = sorted(state.rows)  # one order, also after a state was read: sums have it in their last bits
        self.parameters = [state.rows[name].requires_grad_() for name in self._names]
        self._engine = make_optimizer(options, self.parameters)
        remind(self._engine, self._names, state.memory)

    def step(self, learning_rate: float) -> None:
        """One update from the rows' gradients, which are cleared afterwards; the average follows."""
        for group in self._engine.param_groups:
            group["lr"] = learning_rate
        cast("Any", self._engine).step()
        for slot, average in self._state.average.items():
            average.lerp_(self._state.rows[slot].detach(), 1 - self._decay)
        self.clear()

    def remember(self) -> None:
        """Put what the optimiser remembers into the state, for `TrainState.save`."""
        self._state.memory = remembered(self._engine, self._names)

    def clear(self) -> None:
        """Forget the gradients."""
        self._engine.zero_grad(set_to_none=True)

    def gradients_are_finite(self) -> bool:
        """Whether every word that was called has gradients for all text encoders, none of them NaN or infinite.

        A word that no caption called has none at all, which is no fault.
        """
        there: dict[str, set[bool]] = {}
        for name, parameter in zip(self._names, self.parameters, strict=True):
            there.setdefault(name.rpartition("/")[0], set()).add(parameter.grad is not None)
        whole = {True} in there.values() and {True, False} not in there.values()
        return whole and all(bool(p.grad.isfinite().all()) for p in self.parameters if p.grad is not None)

    def unscale(self, scale: float) -> None:
        """Divide the gradients by the loss scale."""
        for parameter in self.parameters:
            if parameter.grad is not None and scale != 1.0:
                parameter.grad.div_(scale)

    def clip(self, mode: str, limit: float) -> None:
        """Bound the unscaled gradients: each number (`value`) or the length of them all (`norm`)."""
        if mode == "value":
            torch.nn.utils.clip_grad_value_(self.parameters, limit, foreach=False)
        elif mode == "norm":
            torch.nn.utils.clip_grad_norm_(self.parameters, limit, foreach=False)
