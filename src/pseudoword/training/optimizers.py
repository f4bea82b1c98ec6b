"""The optimisers that move the rows: torch's and Prodigy's over free rows, and a step on the sphere that keeps lengths.

All are `torch.optim.Optimizer`s, so that what they remember goes to the disk and comes back in one way, whatever
they are. Weight decay is 0 everywhere: it would pull the rows to zero.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch

from pseudoword.training.options import TrainOptions

_TINY = 1e-20


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What an optimiser remembers: tensors by `<row table>.<what>`, and plain numbers, ready for a file."""

    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict[str, torch.Tensor])
    numbers: Mapping[str, Any] = field(default_factory=dict[str, Any])


class SphereDescent(torch.optim.Optimizer):
    """Riemannian gradient descent on rows of fixed length, with a pull to where they began.

    Each row v = r·u keeps its length r; u moves along the great circle against the loss. The gradient in u is
    r·∂L/∂v - κ·μ, μ the direction at the start: the log-density of a von Mises-Fisher prior of concentration κ
    around it. It is projected to the tangent plane at u and brought to length 1, and u goes `lr` along it and
    back to the sphere (Directional Textual Inversion, arXiv 2512.13672).

    Args:
        params: row tables [n, width] without a zero row.
        lr: angle of one step, in radians for small ones.
        prior_pull: κ; 0 is none, 1e-4 the paper's choice.
    """

    def __init__(self, params: Sequence[torch.Tensor], lr: float = 1e-2, prior_pull: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "prior_pull": prior_pull})
        for group in self.param_groups:
            for rows in group["params"]:
                self.state[rows]["origin"] = _directions(rows.detach())

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of every row that has a gradient."""
        del closure  # there is none: the caller computes gradients
        for group in self.param_groups:
            for rows in group["params"]:
                if rows.grad is not None:
                    self._move(rows, self.state[rows]["origin"], group["lr"], group["prior_pull"])

    @staticmethod
    def _move(rows: torch.Tensor, origin: torch.Tensor, angle: float, pull: float) -> None:
        lengths = rows.norm(dim=1, keepdim=True)
        unit = rows / lengths.clamp(min=_TINY)
        gradient = lengths * cast("torch.Tensor", rows.grad) - pull * origin
        tangent = gradient - (gradient * unit).sum(dim=1, keepdim=True) * unit
        direction = tangent / tangent.norm(dim=1, keepdim=True).clamp(min=_TINY)
        rows.copy_(lengths * _directions(unit - angle * direction))


def _directions(rows: torch.Tensor) -> torch.Tensor:
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=_TINY)


def _adamw(rows: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(rows, lr=1.0, weight_decay=0.0, foreach=False, fused=False)


def _adafactor(rows: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adafactor(rows, lr=1.0, weight_decay=0.0, foreach=False)


def _prodigy(rows: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    from prodigyopt import Prodigy

    return Prodigy(rows, lr=1.0, weight_decay=0, use_bias_correction=True, safeguard_warmup=True)


_FREE: Mapping[str, Callable[[Sequence[torch.Tensor]], torch.optim.Optimizer]] = {
    "adamw": _adamw,
    "adafactor": _adafactor,
    "prodigy": _prodigy,
}


def make_optimizer(options: TrainOptions, rows: Sequence[torch.Tensor]) -> torch.optim.Optimizer:
    """The optimiser that the options ask for, over the tables `rows`."""
    if options.parameterisation == "norm":
        return SphereDescent(rows, prior_pull=options.editability * 1e-4)
    return _FREE[options.optimizer](rows)


def remembered(optimizer: torch.optim.Optimizer, names: Sequence[str]) -> Memory:
    """What `optimizer` would forget if the process ended; `names` are those of its tables, in order."""
    packed = cast("dict[str, Any]", optimizer.state_dict())
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for index, entries in packed["state"].items():
        for key, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{names[index]}.{key}"] = value.detach().cpu().contiguous()
            else:
                plain.setdefault(str(names[index]), {})[key] = value
    [group] = packed["param_groups"]
    numbers = {key: value for key, value in group.items() if key not in ("params", "lr") and _is_number(value)}
    return Memory(tensors=tensors, numbers={"group": numbers, "tables": plain})


def remind(optimizer: torch.optim.Optimizer, names: Sequence[str], memory: Memory) -> None:
    """The inverse of `remembered`, for a fresh optimiser of the same kind; an empty memory changes nothing."""
    if not memory.tensors and not memory.numbers:
        return
    packed = cast("dict[str, Any]", optimizer.state_dict())
    packed["param_groups"][0].update(memory.numbers.get("group", {}))
    plain: Mapping[str, Mapping[str, Any]] = memory.numbers.get("tables", {})
    for index, name in enumerate(names):
        own = {key.rsplit(".", 1)[1]: value for key, value in memory.tensors.items() if key.rsplit(".", 1)[0] == name}
        if own or name in plain:
            packed["state"][index] = {**own, **plain.get(name, {})}
    optimizer.load_state_dict(packed)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
