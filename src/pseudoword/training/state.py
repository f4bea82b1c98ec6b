"""Everything that changes while training, in one value that is saved whole or not at all.

Random draws are keyed by step and sample (rng.py), so there is no stream position to keep. The optimiser is
AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) without weight decay, which would pull the rows to zero;
rows and moments are float32 whatever the model computes in. Only rows are parameters.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pseudoword.errors import BadFile
from pseudoword.files import atomic_write

FORMAT = "pseudoword-state-1"
_ROWS, _FIRST, _SECOND = "rows", "first_moment", "second_moment"


@dataclass(slots=True, kw_only=True)
class TrainState:
    """Slot → [n, width] for rows and both moments; counters beside them."""

    rows: dict[str, torch.Tensor]
    first_moment: dict[str, torch.Tensor]
    second_moment: dict[str, torch.Tensor]
    step: int = 0
    """Finished optimiser steps."""
    best_loss: float | None = None
    best_step: int | None = None
    last_loss: float | None = None
    """The latest loss on the fixed batch."""
    evaluated_step: int = -1
    """The step after which that loss was taken; -1 before the first."""
    loss_scale: float = 1.0
    """What the loss is multiplied by before the backward pass; above 1 only in fp16."""
    good_steps: int = 0
    """Steps since the scale was last changed."""
    seconds: float = field(default=0.0)
    """Time spent in optimiser steps, over all sessions."""

    @classmethod
    def start(cls, rows: Mapping[str, torch.Tensor], loss_scale: float = 1.0) -> "TrainState":
        """The state before the first step."""
        own = {slot: values.detach().float().clone() for slot, values in rows.items()}
        return cls(
            rows=own,
            first_moment={slot: torch.zeros_like(values) for slot, values in own.items()},
            second_moment={slot: torch.zeros_like(values) for slot, values in own.items()},
            loss_scale=loss_scale,
        )

    def note_evaluation(self, loss: float) -> bool:
        """Remember a loss on the fixed batch; True if it is the lowest so far."""
        self.last_loss, self.evaluated_step = loss, self.step
        if self.best_loss is not None and loss >= self.best_loss:
            return False
        self.best_loss, self.best_step = loss, self.step
        return True

    def mean_norm(self) -> float:
        """Mean length of all rows."""
        norms = torch.cat([rows.detach().square().sum(dim=1).sqrt() for rows in self.rows.values()])
        return float(norms.mean())

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file, atomically."""
        groups = {_ROWS: self.rows, _FIRST: self.first_moment, _SECOND: self.second_moment}
        tensors = {
            f"{group}.{slot}": values.detach().cpu().contiguous()
            for group, slots in groups.items()
            for slot, values in slots.items()
        }
        counters = {name: getattr(self, name) for name in _COUNTERS}
        atomic_write(path, save(tensors, {"format": FORMAT, "counters": json.dumps(counters)}))

    @classmethod
    def load(cls, path: Path) -> "TrainState":
        """The inverse of `save`, on the CPU.

        Raises:
            BadFile: the file is missing, damaged or of another kind.
        """
        try:
            with cast("Any", safe_open)(path, "pt") as opened:
                metadata: dict[str, str] = opened.metadata() or {}
                tensors: dict[str, torch.Tensor] = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as problem:
            raise BadFile(f"state {path} cannot be read ({problem})", next_move="Start a new run") from problem
        if metadata.get("format") != FORMAT:
            raise BadFile(f"{path} is no training state", expected=FORMAT)
        try:
            return cls._from_parts(tensors, metadata["counters"])
        except (ValueError, KeyError, TypeError) as problem:
            raise BadFile(f"state {path} is damaged ({problem!r})", next_move="Start a new run") from problem

    @classmethod
    def _from_parts(cls, tensors: dict[str, torch.Tensor], counters: str) -> "TrainState":
        groups: dict[str, dict[str, torch.Tensor]] = {_ROWS: {}, _FIRST: {}, _SECOND: {}}
        for key, values in tensors.items():
            group, slot = key.split(".", 1)
            groups[group][slot] = values
        shapes = [{slot: (t.shape, t.dtype) for slot, t in slots.items()} for slots in groups.values()]
        if not shapes[0] or any(shape != shapes[0] for shape in shapes):
            raise ValueError("rows and moments do not belong together")
        return cls(
            rows=groups[_ROWS],
            first_moment=groups[_FIRST],
            second_moment=groups[_SECOND],
            **json.loads(counters),
        )


_COUNTERS = (
    "step",
    "best_loss",
    "best_step",
    "last_loss",
    "evaluated_step",
    "loss_scale",
    "good_steps",
    "seconds",
)


class RowOptimizer:
    """torch's AdamW over the rows of a state; the state's own tensors are its parameters and moments."""

    def __init__(self, state: TrainState, device: torch.device) -> None:
        self._state = state
        for group in (state.rows, state.first_moment, state.second_moment):
            for slot, values in group.items():
                group[slot] = values.to(device)
        self.parameters = [rows.requires_grad_() for rows in state.rows.values()]
        self._adamw = torch.optim.AdamW(self.parameters, lr=1.0, weight_decay=0.0, foreach=False, fused=False)
        for slot, rows in state.rows.items():
            self._adamw.state[rows] = {
                "step": torch.tensor(float(state.step)),
                "exp_avg": state.first_moment[slot],
                "exp_avg_sq": state.second_moment[slot],
            }

    def step(self, learning_rate: float) -> None:
        """One update from the rows' gradients, which are cleared afterwards."""
        for group in self._adamw.param_groups:
            group["lr"] = learning_rate
        cast("Any", self._adamw).step()
        self.clear()

    def clear(self) -> None:
        """Forget the gradients."""
        self._adamw.zero_grad(set_to_none=True)

    def gradients_are_finite(self) -> bool:
        """Whether every row has a gradient without NaN or infinity."""
        return all(p.grad is not None and bool(p.grad.isfinite().all()) for p in self.parameters)

    def unscale(self, scale: float) -> None:
        """Divide the gradients by the loss scale."""
        for parameter in self.parameters:
            if parameter.grad is not None and scale != 1.0:
                parameter.grad.div_(scale)
