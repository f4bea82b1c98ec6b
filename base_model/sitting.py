"""One sitting of a training stage: follow the loop's events, write the log, print, and mark the stage."""

from collections.abc import Callable
from typing import Any

from base_model.journal import Journal
from base_model.loop import Begun, Logged, Saved, Trainee, TrainOptions, train
from base_model.work import Work


def sit(
    work: Work,
    stage: str,
    trainee: Trainee,
    options: TrainOptions,
    facts: dict[str, Any],
    on_saved: Callable[[Saved], None] = lambda _: None,
) -> None:
    """Train until the loop ends; marks the stage finished, with `facts`, if the budget is spent.

    `on_saved` is called whenever the state is on disk, at the end before the stage is marked.
    """
    folder = work.folder(stage)
    journal = Journal(folder / "log.jsonl")
    for event in train(trainee, options, folder, work.recipe().seed):
        match event:
            case Begun(step=0):
                print(f"{stage}: begins")
            case Begun(step=step):
                journal.cut_after(step)
                print(f"{stage}: continues after step {step}", flush=True)
            case Logged(line=line):
                journal.add(line)
                print(_shown(line), flush=True)
            case Saved(finished=True):
                on_saved(event)
                work.finish(stage, {**facts, **_ended(event)})
                print(f"{stage}: finished after {event.step} steps, {event.seconds / 60:.1f} minutes")
            case Saved():
                on_saved(event)
                print(f"{stage}: saved at step {event.step}", flush=True)


def _ended(saved: Saved) -> dict[str, Any]:
    return {"steps": saved.step, "seconds": round(saved.seconds, 1), "loss": saved.loss}


def _shown(line: dict[str, Any]) -> str:
    numbers = (f"{name} {value:.4g}" for name, value in line.items() if name != "step")
    return f"{line['step']:>7} " + "  ".join(numbers)
