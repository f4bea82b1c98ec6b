"""The other processes of a training: started by this one (`--num-processes`), or together with it by a launcher.

A launcher is `accelerate launch --num-processes N -m pseudoword train …`, or torchrun, which it uses for several
cards. As a program, `python -m pseudoword.services.team`, this file is one of the others: what it works on comes as
JSON on its standard input.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadOption
from pseudoword.services.material import open_model, prepare
from pseudoword.services.training_task import make_task
from pseudoword.settings import Settings
from pseudoword.training.captions import load_templates, make_templates
from pseudoword.training.loop import follow
from pseudoword.training.options import TrainOptions
from pseudoword.training.run import RunFolder, RunRecord
from pseudoword.training.team import Team, free_port, meet, team_of_launcher

_GOODBYE_SECONDS = 10


def as_launched(options: TrainOptions) -> TrainOptions:
    """The options with the number of processes that a launcher has started, each on a card of its own.

    Raises:
        BadOption: it is not the number that was asked for.
    """
    team = team_of_launcher()
    if team.size == 1:
        return options
    if options.num_processes not in (1, team.size):
        raise BadOption(f"--num-processes {options.num_processes} in a launch of {team.size}", expected="one of both")
    card = int(os.environ.get("LOCAL_RANK", team.rank))
    return replace(options, num_processes=team.size, device=_own_device(options.device, card))


@contextmanager
def gathered(record: RunRecord, settings: Settings, device: torch.device) -> Generator[Team]:
    """The team of the run, complete inside the block; this process leads it.

    Raises:
        BadOption: the run wants another number of processes than the launcher has started.
    """
    size, launched = record.options.num_processes, team_of_launcher()
    if launched.size not in (1, size):
        raise BadOption(f"a launch of {launched.size} processes", expected=f"{size}, with which this run began")
    team = Team(rank=0, size=size)
    own = size > 1 and launched.size == 1
    port = free_port() if own else None
    others = [_start(record, settings, rank, port) for rank in range(1, size)] if port else []
    try:
        meet(team, device, port)
        yield team
    finally:
        team.leave(device)
        for process in others:
            _wait_for(process)


def follow_launcher(options: TrainOptions, settings: Settings, lines: Sequence[str] = ()) -> None:
    """Be one of the others of a launch until its leader is done."""
    templates = make_templates(lines) if lines else load_templates(options.template)
    _follow(as_launched(options), settings, tuple(templates.lines), team_of_launcher(), None)


def _start(record: RunRecord, settings: Settings, rank: int, port: int) -> "subprocess.Popen[str]":
    options = replace(record.options, precision=record.precision, device=_own_device(record.device, rank))
    job = {
        "options": options.as_json(),
        "templates": list(record.templates),
        "cache_dir": str(settings.cache_dir.absolute()),
        "rank": rank,
        "port": port,
        "num_threads": record.num_threads,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pseudoword.services.team"],
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the leader, who tells the others when it has finished its step
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(job))
    process.stdin.close()
    return process


def _wait_for(process: "subprocess.Popen[str]") -> None:
    try:
        process.wait(_GOODBYE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _own_device(device: str, number: int) -> str:
    """Each process takes the card of its number."""
    cards = device.split(":")[0] in ("auto", "cuda") and torch.cuda.is_available()
    return f"cuda:{number}" if cards else device


def _follow(options: TrainOptions, settings: Settings, lines: tuple[str, ...], team: Team, port: int | None) -> None:
    model = open_model(options, settings)
    resolved = options.resolved(model.family)
    preparing = prepare(Conditioner(model), make_templates(lines), resolved, settings.cache_dir)
    while True:
        try:
            next(preparing)
        except StopIteration as end:
            material = end.value
            break
    task = make_task(resolved, material, RunFolder(Path(os.devnull)), team)
    meet(team, model.device, port)
    try:
        follow(task)
    finally:
        team.leave(model.device)


def _main() -> None:
    job: dict[str, Any] = json.load(sys.stdin)
    torch.set_num_threads(job["num_threads"])
    options = TrainOptions.from_json(job["options"])
    team = Team(rank=job["rank"], size=options.num_processes)
    _follow(options, Settings(cache_dir=Path(job["cache_dir"])), tuple(job["templates"]), team, job["port"])


if __name__ == "__main__":
    _main()
