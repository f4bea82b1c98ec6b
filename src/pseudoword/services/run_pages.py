"""What a run shows of itself: all previews side by side, and the report. Made from what lies in the run's folder."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from pseudoword.errors import BadFile
from pseudoword.evaluation.curves import Curve, plot, running_mean
from pseudoword.evaluation.run_report import Copy, RunReport, report_html
from pseudoword.events import Event, Warned
from pseudoword.files import atomic_write
from pseudoword.generation.grid import labelled_rows
from pseudoword.generation.saving import save_png
from pseudoword.services.several_words import beside
from pseudoword.services.training_task import now, preview_prompts
from pseudoword.services.usage import how_to_use
from pseudoword.training.config import to_toml
from pseudoword.training.logs import read_rows
from pseudoword.training.options import TrainOptions
from pseudoword.training.other_words import words_of
from pseudoword.training.run import RunFolder, RunRecord
from pseudoword.training.state import TrainState
from pseudoword.training.stopping import SETTLED, STEPS, TIME

_MOST_COLUMNS = 12
_WIDEST = 256
"""Of a cell in pixels."""
_BLUE, _FAINT, _ORANGE, _GREEN = "#3b6ea5", "#9db3cf", "#d2691e", "#2e8b57"
_ENDS = {
    STEPS: "It ended with its last step.",
    SETTLED: "It ended because the loss on the fixed batch had settled.",
    TIME: "It ended because its time was over.",
    "stopped": "It was stopped, and can be continued.",
}


def write_progress(folder: RunFolder, options: TrainOptions, edge: int) -> Iterator[Event]:
    """Put all previews into `progress.png`: a column for each step, a row for each prompt and seed.

    Args:
        folder: the run's.
        options: how the previews were drawn; pictures of another arrangement are left out.
        edge: of one picture in pixels.
    """
    prompts = preview_prompts(options)
    size = options.preview_count * edge, len(prompts) * edge
    steps = _evenly([step for step, path in _numbered(folder.preview(options.name, 0)) if _has_size(path, size)])
    if not steps:
        return
    rows: list[tuple[str, list[Image.Image]]] = []
    sheets = [_read(folder.preview(options.name, step)) for step in steps]
    for y, prompt in enumerate(prompts):
        for x in range(options.preview_count):
            box = x * edge, y * edge, (x + 1) * edge, (y + 1) * edge
            label = f"seed {options.preview_seed + x}"
            cells = [_cell(sheet.crop(box)) for sheet in sheets]
            rows.append((f"{prompt}, {label}" if x == 0 else label, cells))
    try:
        save_png(labelled_rows(rows, [f"step {step}" for step in steps]), folder.progress)
    except BadFile as problem:
        yield Warned(message=f"the pictures so far are not shown: {problem.got}")


def _numbered(example: Path) -> list[tuple[int, Path]]:
    """Step and path of all files that are named like `example`, NAME-0.SUFFIX."""
    stem = example.stem.removesuffix("0")
    pattern = re.compile(re.escape(stem) + r"(\d+)" + re.escape(example.suffix))
    matches = ((pattern.fullmatch(path.name), path) for path in example.parent.glob(f"*{example.suffix}"))
    return sorted((int(match.group(1)), path) for match, path in matches if match)


def _evenly(steps: list[int]) -> list[int]:
    """The first, the last, and some between them."""
    if len(steps) <= _MOST_COLUMNS:
        return steps
    return [steps[round(i * (len(steps) - 1) / (_MOST_COLUMNS - 1))] for i in range(_MOST_COLUMNS)]


def _has_size(path: Path, size: tuple[int, int]) -> bool:
    try:
        with Image.open(path) as image:
            return image.size == size
    except OSError:
        return False  # a damaged picture is no column


def _cell(picture: Image.Image) -> Image.Image:
    if picture.width <= _WIDEST:
        return picture
    return picture.resize((_WIDEST, _WIDEST * picture.height // picture.width), Image.Resampling.LANCZOS)


def _read(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def write_report(folder: RunFolder, record: RunRecord, state: TrainState, end: str) -> str | None:
    """Write `report.html`; the text says why, where that cannot be. A run is none the worse without it."""
    try:
        atomic_write(folder.report, report_html(_report(folder, record, state, end)).encode(errors="replace"))
    except (BadFile, OSError) as problem:
        return problem.got if isinstance(problem, BadFile) else str(problem)
    return None


def _report(folder: RunFolder, record: RunRecord, state: TrainState, end: str) -> RunReport:
    options = record.options
    return RunReport(
        name=options.name,
        summary=_summary(record, state, end),
        figures=_figures(folder, state),
        pictures=folder.progress if folder.progress.is_file() else None,
        copies=_copies(folder, record, state),
        facts=_facts(record, state),
        nearest=_nearest(folder, state),
        usage=tuple(_usage(record, state)),
        settings=to_toml(options, f"The settings of {folder.path.name}"),
        made=now(),
    )


def _usage(record: RunRecord, state: TrainState) -> Iterator[tuple[str, str, str]]:
    options, target = record.options, Path(record.target)
    for name, own in words_of(state.rows, options.name).items():
        yield from how_to_use(name, beside(target, options.name, name), own, options)


def _summary(record: RunRecord, state: TrainState, end: str) -> list[str]:
    _, kept = state.kept(record.options.keep)
    sentences = [f"Trained for {state.step} steps. {_ENDS.get(end, f'It {end}')}"]
    judged = "held-back" if record.held_back else "training"
    if state.best_loss is not None:
        first = [one.loss for one in state.history if one.step == 0]
        before = f" (before training: {first[0]:.4f})" if first else ""
        sentences.append(
            f"Lowest loss on the fixed batch of {judged} pictures: {state.best_loss:.4f} after step "
            f"{state.best_step}{before}."
        )
    if state.step:
        sentences.append(f"{record.target} holds the vectors after step {kept}.")
    return sentences


def _figures(folder: RunFolder, state: TrainState) -> list[str]:
    rows = [row for row in read_rows(folder.losses) if len(row) == 7]
    steps = [int(row[0]) for row in rows]
    columns = {name: [float(row[place]) for row in rows] for place, name in ((2, "loss"), (3, "rate"), (4, "norm"))}
    cosines = [float(row[5]) for row in rows]
    loss = columns["loss"]
    training = [(one.step, one.training_loss) for one in state.history]
    held_back = [(one.step, one.held_back_loss) for one in state.history if one.held_back_loss is not None]
    mark = None if state.best_step is None else (state.best_step, f"lowest: step {state.best_step}")
    figures = [
        plot(
            "Loss on the fixed batches",
            [
                Curve(label="training pictures", points=training, colour=_BLUE, dots=True),
                Curve(label="held-back pictures", points=held_back, colour=_ORANGE, dots=True),
            ],
            mark,
        ),
        plot(
            "Loss of each step",
            [
                Curve(label="step", points=list(zip(steps, loss, strict=True)), colour=_FAINT, thin=True),
                Curve(label="mean", points=list(zip(steps, running_mean(loss), strict=True)), colour=_BLUE),
            ],
        ),
        *(
            plot(title, [Curve(label=label, points=list(zip(steps, values, strict=True)), colour=_GREEN)])
            for title, label, values in (
                ("Length of the vectors", "mean norm", columns["norm"]),
                ("Likeness to where they began", "mean cosine", cosines),
                ("Learning rate", "rate", columns["rate"]),
            )
        ),
    ]
    return [figure for figure in figures if figure]


def _copies(folder: RunFolder, record: RunRecord, state: TrainState) -> list[Copy]:
    name = record.options.name
    losses = {one.step: one.loss for one in state.history}
    found = [
        Copy(step=step, file=f"embeddings/{path.name}", loss=losses.get(step))
        for word in words_of(state.rows, name)
        for step, path in _numbered(folder.copy(word, 0))
    ]
    if state.best_step is not None:
        found += [
            Copy(step=state.best_step, file=f"embeddings/{best.name}", loss=state.best_loss, note="lowest loss")
            for best in (folder.best(word) for word in words_of(state.rows, name))
        ]
    return found


def _facts(record: RunRecord, state: TrainState) -> dict[str, str]:
    per_step = f"{state.seconds / state.step:.3f} s" if state.step else "–"
    return {
        "model": f"{record.model_name} ({record.model_hash[:10]})",
        "pictures": f"{len(record.pictures)}" + (f", {len(record.held_back)} held back" if record.held_back else ""),
        "vectors": "; ".join(
            f"{name}: {len(next(iter(own.values())))} × {', '.join(own)}"
            for name, own in words_of(state.rows, record.options.name).items()
        ),
        "time of the steps": f"{state.seconds:.1f} s, {per_step} each",
        "time with judging and previews": f"{state.elapsed:.1f} s",
        "device": f"{record.device}, {record.precision}, {record.num_threads} threads",
        "begun": record.created,
    }


def _nearest(folder: RunFolder, state: TrainState) -> list[tuple[str, str]]:
    rows = [row for row in read_rows(folder.nearest) if len(row) == 4 and int(row[0]) == state.evaluated_step]
    return [(f"{slot}, vector {int(number) + 1}", words) for _, slot, number, words in rows]
