"""The plan of a comparison: which axes, which cells, what each cell asks for; pure, loads no torch.

An axis is written `name=value,value`; with `|` between the values they may hold commas. Every value changes a
request a little, a cell is a request changed once by each axis, and up to three axes make columns, rows and sheets.
"""

import itertools
import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pseudoword.errors import BadOption
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.options import (
    check_model_options,
    memory_option,
    model_option,
    prediction_option,
    vae_option,
)
from pseudoword.settings import DEVICES, PRECISIONS

MOST_AXES = 3
MOST_VALUES = 200
MOST_CELLS = 2000
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisKind:
    """One row of the table of axes."""

    name: str
    about: str
    example: str
    option: str = ""
    """The field of the request that it sets; empty where it changes something else."""
    number: Callable[[str], float] | None = None
    """What its values are read with; None for words."""


AXES: Mapping[str, AxisKind] = {
    kind.name: kind
    for kind in (
        AxisKind(name="prompt", about="words that take the first one's place", example="prompt=cat|dog|red car"),
        AxisKind(
            name="embedding", about="learned words, or their files, in place of the first", example="embedding=a,b"
        ),
        AxisKind(name="checkpoint", about="the saved copies of a training run", example="checkpoint=runs/hikon:50,100"),
        AxisKind(name="weight", about="weight of the learned word", example="weight=0.6,0.8,1,1.2", number=float),
        AxisKind(name="model", about="models", example="model=bundled,path/to/another"),
        AxisKind(name="seed", about="seeds", example="seed=1..4", option="seed", number=int),
        AxisKind(name="sampler", about="samplers", example="sampler=Euler a,DDIM", option="sampler"),
        AxisKind(name="steps", about="sampling steps", example="steps=10,20,40", option="steps", number=int),
        AxisKind(name="cfg", about="guidance", example="cfg=3..9+2", option="cfg_scale", number=float),
    )
}
_ORDER = tuple(AXES)
"""In which axes change a cell: the prompt's words first, then what stands in for them, then their weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareOptions(GenerateOptions):
    """What `pseudoword compare` can be asked: a request, and what is varied in it."""

    seed: int = field(default=0, metadata={"help": "Seed of every picture, unless an axis varies it."})
    axis: tuple[str, ...] = field(
        default=(),
        metadata={
            "help": "What is varied, NAME=VALUE,VALUE: columns first, then rows, then sheets. "
            f"Names: {', '.join(_ORDER)}. Numbers also as 1..4 or 0.5..1.5+0.25; "
            "with | between the values they may hold commas.",
            "short": "-a",
        },
    )
    model: str = model_option()
    vae: str = vae_option()
    prediction: str = prediction_option()
    device: str = field(default="auto", metadata={"help": " | ".join(DEVICES)})
    precision: str = field(default="auto", metadata={"help": " | ".join(PRECISIONS)})
    memory: str = memory_option()
    out: Path | None = field(
        default=None, metadata={"help": "Folder of the result. Default: one for each plan, in the outputs folder."}
    )

    def __post_init__(self) -> None:
        GenerateOptions.__post_init__(self)
        check_model_options(self.prediction, self.memory)
        if self.seed < 0:
            raise BadOption(f"--seed {self.seed}", expected="a seed that stays the same in every cell")
        if self.batch_size * self.count != 1:
            raise BadOption("several pictures per cell", next_move="Use an axis: --axis seed=1..4")
        parse_axes(self.axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What one `--axis` says."""

    kind: AxisKind
    values: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of its kind."""
        return self.kind.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one picture of a grid is asked for."""

    request: GenerateOptions
    model: str
    words: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Learned words that come from another file than the library's."""


Change = Callable[[Cell], Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One value of an axis: how it is called, and what it does to a cell."""

    label: str
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """All cells of a comparison; `cells[z][y][x]`, one or more of each."""

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    """Of columns, rows and sheets; one empty label where there is no such axis."""
    cells: tuple[tuple[tuple[Cell, ...], ...], ...]


def parse_axes(texts: Sequence[str]) -> tuple[Axis, ...]:
    """The axes that the user asks for, one to three.

    Raises:
        BadOption: none or too many, an unknown or repeated name, values that are none; the message lists the axes.
    """
    axes = tuple(parse_axis(text) for text in texts)
    if not 1 <= len(axes) <= MOST_AXES:
        raise BadOption(f"{len(axes)} axes", expected=f"one to {MOST_AXES} times --axis; {axes_in_words()}")
    names = [axis.name for axis in axes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadOption(f"the axis {twice} twice", expected="each axis once", next_move="Put all values into one")
    return axes


def axes_in_words() -> str:
    """The table of axes as one line, for messages."""
    return "there are " + "; ".join(f"{kind.name} ({kind.about}: {kind.example})" for kind in AXES.values())


def parse_axis(text: str) -> Axis:
    """One axis.

    Raises:
        BadOption: as `parse_axes`.
    """
    name, equals, rest = text.partition("=")
    kind = AXES.get(name.strip().lower())
    if kind is None or not equals:
        raise BadOption(f"--axis {text!r}", expected=f"NAME=VALUE,VALUE; {axes_in_words()}")
    separator = "|" if "|" in rest else ","
    given = [rest.strip()] if kind.name == "checkpoint" else [value.strip() for value in rest.split(separator)]
    values = [plain for value in given for plain in _numbers(kind, value)]
    if not all(values) and kind.name != "prompt":
        raise BadOption(f"--axis {text!r}", expected=f"no empty value, such as {kind.example}")
    if len(values) > MOST_VALUES or len(set(values)) < len(values):
        raise BadOption(f"--axis {text!r}", expected=f"up to {MOST_VALUES} values, none of them twice")
    return Axis(kind=kind, values=tuple(values))


def _numbers(kind: AxisKind, value: str) -> list[str]:
    """The value, or those of a range `1..4` or `0.5..1.5+0.25`, in the shortest spelling."""
    if kind.number is None:
        return [value]
    word, colon, number = value.rpartition(":") if kind.name == "weight" else ("", "", value)
    match = _RANGE.fullmatch(number)
    try:
        if match is None:
            return [f"{word}{colon}{_spelled(kind.number(number))}"]
        first, last, step = float(match[1]), float(match[2]), float(match[3] or 1)
        if step <= 0 or last < first or (last - first) / step > MOST_VALUES:
            raise ValueError
        count = int((last - first) / step + 1e-9) + 1
        return [f"{word}{colon}{_spelled(kind.number(_spelled(first + i * step)))}" for i in range(count)]
    except ValueError as problem:
        wanted = "whole numbers" if kind.number is int else "numbers"
        expected = f"{wanted}, or a rising range of up to {MOST_VALUES}, such as {kind.example}"
        raise BadOption(f"--axis {kind.name}={value}", expected=expected) from problem


def _spelled(number: float) -> str:
    return f"{round(number, 9):.9g}" if isinstance(number, float) else str(number)


def plan(options: CompareOptions, axes: Sequence[Axis], choices: Sequence[Sequence[Choice]]) -> Grid:
    """All cells, in the order of sheets, rows and columns.

    Args:
        options: the request that every cell starts from.
        axes: columns, rows, sheets.
        choices: of each axis, in the order of its values.

    Raises:
        BadOption: there would be too many cells, or a cell's request is out of range.
    """
    size = [len(own) for own in choices] + [1] * (MOST_AXES - len(choices))
    if size[0] * size[1] * size[2] > MOST_CELLS:
        raise BadOption(f"{size[0] * size[1] * size[2]} pictures", expected=f"at most {MOST_CELLS}")
    start = Cell(request=_plain_request(options), model=options.model)
    sheets = tuple(
        tuple(tuple(_cell(start, axes, choices, (x, y, z)) for x in range(size[0])) for y in range(size[1]))
        for z in range(size[2])
    )
    labels = [tuple(choice.label for choice in own) for own in choices]
    return Grid(
        names=tuple(axis.name for axis in axes),
        labels=tuple(labels + [("",)] * (MOST_AXES - len(labels))),
        cells=sheets,
    )


def _cell(start: Cell, axes: Sequence[Axis], choices: Sequence[Sequence[Choice]], place: Sequence[int]) -> Cell:
    chosen = {axis.name: own[at] for axis, own, at in zip(axes, choices, place, strict=False)}
    cell = start
    for name in _ORDER:
        if name in chosen:
            cell = chosen[name].change(cell)
    return cell


def _plain_request(options: CompareOptions) -> GenerateOptions:
    return GenerateOptions(**{own.name: getattr(options, own.name) for own in fields(GenerateOptions)})


def plain_choices(axis: Axis) -> list[Choice]:
    """Choices of an axis that sets one option of the request, or the model."""
    if axis.name == "model":
        return [Choice(label=_short(value), change=_set_model(value)) for value in axis.values]
    number = axis.kind.number or str
    return [Choice(label=value, change=_set_option(axis.kind.option, number(value))) for value in axis.values]


def _short(model: str) -> str:
    return Path(model).name or model


def _set_model(model: str) -> Change:
    return lambda cell: replace(cell, model=model)


def _set_option(name: str, value: Any) -> Change:
    return lambda cell: replace(cell, request=replace(cell.request, **{name: value}))


def set_words(words: Mapping[str, Path]) -> Change:
    """Take learned words from these files."""
    return lambda cell: replace(cell, words={**cell.words, **words})


def replace_text(old: str, new: str) -> Change:
    """In both prompts, every `old` becomes `new`."""
    return lambda cell: _with_prompts(cell, lambda prompt: prompt.replace(old, new))


def replace_word(old: str, new: str) -> Change:
    """In both prompts, the learned word `old` becomes `new`; in any case, and in the spelling `<embedding:old>`."""
    pattern = word_pattern(old)
    return lambda cell: _with_prompts(cell, lambda prompt: pattern.sub(lambda _: new, prompt))


def weigh_word(word: str, weight: str) -> Change:
    """In both prompts, the learned word gets this weight, in A1111's syntax of attention."""
    pattern = word_pattern(word)
    if float(weight) == 1:
        return lambda cell: cell
    return lambda cell: _with_prompts(cell, lambda p: pattern.sub(lambda found: f"({found[0]}:{weight})", p))


def word_pattern(word: str) -> re.Pattern[str]:
    """Where a prompt names a learned word: bare, `embedding:word` or `<embedding:word>`."""
    escaped = re.escape(word)
    return re.compile(rf"<embedding:{escaped}>|(?<![\w-])(?:embedding:)?{escaped}(?![\w-])", re.IGNORECASE)


def _with_prompts(cell: Cell, change: Callable[[str], str]) -> Cell:
    request = cell.request
    changed = {name: change(getattr(request, name)) for name in ("prompt", "negative_prompt")}
    return replace(cell, request=replace(request, **changed))


def command_line(options: CompareOptions, **folders: Path) -> str:
    """The command that asks for exactly this."""
    words = ["pseudoword", "compare", options.prompt]
    for own in fields(options):
        value = getattr(options, own.name)
        default = own.default_factory() if own.default_factory is not MISSING else own.default
        if own.name == "prompt" or value == default:
            continue
        flag = f"--{own.name.replace('_', '-')}"
        words += [
            word for item in (value if isinstance(value, list | tuple) else [value]) for word in _flag(flag, item)
        ]
    for name, path in folders.items():
        words += [f"--{name.replace('_', '-')}", str(path)]
    return shlex.join(words)


def _flag(flag: str, value: object) -> list[str]:
    if value is True:
        return [flag]
    return [] if value is None or value is False else [flag, str(value)]


def plan_key(options: CompareOptions) -> str:
    """A text that is the same for the same plan, whatever folder it is written to."""
    known = {own.name: getattr(options, own.name) for own in fields(options) if own.name != "out"}
    return json.dumps(known, sort_keys=True, default=str)


def cells_of(grid: Grid) -> list[tuple[tuple[int, int, int], Cell]]:
    """Every cell with its place (z, y, x), all of one model together so that a model is loaded once."""
    places = [
        ((z, y, x), cell)
        for z, sheet in enumerate(grid.cells)
        for y, row in enumerate(sheet)
        for x, cell in enumerate(row)
    ]
    models = list(dict.fromkeys(cell.model for _, cell in places))
    return list(itertools.chain.from_iterable([p for p in places if p[1].model == model] for model in models))
