"""Several processes that compute the gradients of one run together, on the graphics cards or cores of one machine.

The first process leads: it alone has optimiser and state, judges, draws and writes. The others wait until it names a
step and shows its rows, compute the gradients of their own samples of that step, and give them back to be added up.
Draws are keyed by step and sample, so two processes with batches of b make the same steps as one with batches of 2b,
but for the order in which sums are rounded. Since the others hold nothing that lasts, nothing is lost with them.
"""

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from pseudoword.errors import PseudowordError

_PATIENCE = timedelta(hours=12)
"""The others wait while the leader draws previews or judges, however long that takes."""
_END, _STEP = 0.0, 1.0

Tables = Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Call:
    """What the leader asks for: the gradients at these rows of its step, times the loss scale."""

    step: int
    scale: float
    rows: dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """One process's place among `size`; the one of rank 0 leads."""

    rank: int = 0
    size: int = 1

    def call(self, step: int, scale: float, rows: Tables) -> None:
        """Leader: have the others compute their part of a step."""
        if self.size == 1:
            return
        device = next(iter(rows.values())).device
        shapes = json.dumps({key: list(table.shape) for key, table in rows.items()}).encode()
        _show(torch.tensor([_STEP, step, scale, len(shapes)], dtype=torch.float64, device=device))
        _show(torch.tensor(list(shapes), dtype=torch.uint8, device=device))
        for table in rows.values():
            _show(table.detach())

    def wait(self, device: torch.device) -> Call | None:
        """Others: the leader's next call, or None where it is done."""
        kind, step, scale, length = _show(torch.zeros(4, dtype=torch.float64, device=device)).tolist()
        if kind == _END:
            return None
        shapes = json.loads(bytes(_show(torch.zeros(int(length), dtype=torch.uint8, device=device)).tolist()))
        rows = {key: _show(torch.zeros(shape, device=device)).requires_grad_() for key, shape in shapes.items()}
        return Call(int(step), scale, rows)

    def add_up(self, rows: Tables, loss: float) -> float:
        """All: put the sum of everyone's gradients on the leader's rows; the sum of the losses.

        Rows that nobody's captions called keep no gradient, as with one process.
        """
        if self.size == 1:
            return loss
        called = [float(table.grad is not None) for table in rows.values()]
        device = next(iter(rows.values())).device
        total, *called = _sum(torch.tensor([loss, *called], dtype=torch.float64, device=device)).tolist()
        for table, by in zip(rows.values(), called, strict=True):
            gradient = _sum(torch.zeros_like(table) if table.grad is None else table.grad)
            table.grad = gradient if by else None
        return total

    def leave(self, device: torch.device) -> None:
        """Part; the leader tells the others first, if they are still there."""
        if self.size == 1 or not distributed.is_initialized():
            return
        if self.rank == 0:
            try:
                distributed.broadcast(torch.zeros(4, dtype=torch.float64, device=device), src=0)
            except RuntimeError:  # they are gone, which is what was wanted of them
                return
        distributed.destroy_process_group()


ALONE = Team()


def team_of_launcher() -> Team:
    """This process's place as `accelerate launch` or `torchrun` put it into the environment; alone without them."""
    return Team(rank=int(os.environ.get("RANK", "0")), size=int(os.environ.get("WORLD_SIZE", "1")))


def meet(team: Team, device: torch.device, port: int | None = None) -> None:
    """Connect the processes of a team.

    Args:
        team: this process's place.
        device: where it computes; decides between NCCL and Gloo.
        port: the leader's on this machine; None where a launcher has put the address into the environment.
    """
    if team.size == 1:
        return
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method="env://" if port is None else f"tcp://127.0.0.1:{port}",
        rank=team.rank,
        world_size=team.size,
        timeout=_PATIENCE,
    )


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _show(tensor: torch.Tensor) -> torch.Tensor:
    """The leader's values, for all."""
    _must(lambda: distributed.broadcast(tensor, src=0))
    return tensor


def _sum(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of all, for the leader."""
    _must(lambda: distributed.reduce(tensor, dst=0))
    return tensor


def _must(exchange: Callable[[], object]) -> None:
    try:
        exchange()
    except RuntimeError as problem:
        raise PseudowordError(
            f"another process of this training is gone ({str(problem).splitlines()[0]}). The last state is kept; "
            "continue with: pseudoword resume"
        ) from problem
