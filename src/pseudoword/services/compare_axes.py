"""What the values of an axis stand for: learned words in the library or in files, saved copies of a training run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pseudoword.embeddings import read_embedding
from pseudoword.errors import BadFile, BadOption
from pseudoword.generation.comparison import (
    Axis,
    Cell,
    Change,
    Choice,
    CompareOptions,
    plain_choices,
    replace_text,
    replace_word,
    set_words,
    weigh_word,
    word_pattern,
)
from pseudoword.library import Snapshot
from pseudoword.settings import Settings
from pseudoword.training.logs import read_losses
from pseudoword.training.run import RunFolder, find_run

_WITHOUT = "none"
_SUFFIXES = (".safetensors", ".pt", ".bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What the values are looked up in."""

    options: CompareOptions
    settings: Settings
    snapshot: Snapshot

    def has(self, word: str) -> bool:
        """Whether one of the prompts names this learned word."""
        pattern = word_pattern(word)
        return any(pattern.search(prompt) for prompt in (self.options.prompt, self.options.negative_prompt))


def choices_of(
    axes: Sequence[Axis], options: CompareOptions, settings: Settings, snapshot: Snapshot
) -> list[list[Choice]]:
    """The choices of every axis, in its order.

    Raises:
        BadInput: a word, file or run that is not there, or that the prompt does not name.
    """
    scene = _Scene(options=options, settings=settings, snapshot=snapshot)
    found: dict[str, list[Choice]] = {}
    words: list[str] = []
    for axis in axes:
        if axis.name == "prompt":
            found[axis.name] = _prompt(scene, axis)
        elif axis.name == "embedding":
            found[axis.name], words = _embeddings(scene, axis)
        elif axis.name == "checkpoint":
            found[axis.name], own = _checkpoints(scene, axis)
            words = words or own
        elif axis.name != "weight":
            found[axis.name] = plain_choices(axis)
    for axis in axes:
        if axis.name == "weight":
            found[axis.name] = _weights(scene, axis, words)
    return [found[axis.name] for axis in axes]


def _prompt(scene: _Scene, axis: Axis) -> list[Choice]:
    old = axis.values[0]
    if not old or old not in scene.options.prompt + scene.options.negative_prompt:
        raise BadOption(
            f"--axis prompt={'|'.join(axis.values)}: {old!r} is not in the prompt",
            expected="first the words that are there, then those that take their place",
        )
    return [Choice(label=value or "(nothing)", change=replace_text(old, value)) for value in axis.values]


def _embeddings(scene: _Scene, axis: Axis) -> tuple[list[Choice], list[str]]:
    files = {value: _file(scene, value) for value in axis.values if value != _WITHOUT}
    names = {value: path.stem if path else value for value, path in files.items()}
    there = next((name for name in names.values() if scene.has(name)), None)
    if there is None:
        raise BadOption(
            f"--axis embedding={','.join(axis.values)}: none of them is in the prompt",
            expected="a prompt with one of the words",
        )
    plain = len(set(names.values())) == len(names)
    choices: list[Choice] = []
    for value in axis.values:
        if value == _WITHOUT:
            choices.append(Choice(label="without", change=replace_word(there, "")))
            continue
        name, path = names[value], files[value]
        change = _after(replace_word(there, name), set_words({name: path} if path else {}))
        choices.append(Choice(label=name if plain else value, change=change))
    return choices, list(dict.fromkeys(names.values()))


def _file(scene: _Scene, value: str) -> Path | None:
    """The file that a value names, None for a word of the library."""
    path = Path(value).expanduser()
    if path.suffix.lower() in _SUFFIXES and path.is_file():
        read_embedding(path)  # what is no embedding is told before anything is drawn
        return path
    known = {name.casefold() for name in scene.snapshot.entries}
    if value.casefold() not in known:
        words = ", ".join(scene.snapshot.entries) or "none"
        raise BadOption(
            f"--axis embedding has {value!r}",
            expected=f"a file, or a word of {scene.settings.embeddings_dir} (there: {words})",
        )
    return None


def _checkpoints(scene: _Scene, axis: Axis) -> tuple[list[Choice], list[str]]:
    given, wanted = _split_steps(axis.values[0])
    folder = find_run(given, scene.settings.runs_dir)
    name = folder.read_record().options.name
    if not scene.has(name):
        raise BadOption(f"the prompt does not name {name!r}, which {folder.path} trained", expected=f"{name} in it")
    copies = _copies(folder, name)
    if not copies:
        raise BadFile(f"{folder.path} has no saved copies", next_move="Train with --save-every 50")
    missing = [str(step) for step in wanted if step not in copies]
    if missing:
        there = ", ".join(str(step) for step in copies)
        raise BadOption(f"no copies after step {', '.join(missing)} in {folder.path}", expected=f"of {there}")
    losses = {step: loss for step, loss in read_losses(folder)[2] if step in copies}
    choices = [
        Choice(label=f"step {step}{_loss(step, losses)}", change=set_words({name: copies[step]}))
        for step in (wanted or copies)
    ]
    return choices, [name]


def _split_steps(value: str) -> tuple[str, list[int]]:
    """`runs/hikon:50,100` as the run and its steps; a colon in a path without steps stays."""
    run, colon, steps = value.rpartition(":")
    numbers = [step.strip() for step in steps.split(",")]
    if colon and run and all(number.isdecimal() for number in numbers):
        return run, [int(number) for number in numbers]
    return value, []


def _copies(folder: RunFolder, name: str) -> dict[int, Path]:
    prefix = f"{name}-"
    steps = {
        int(path.stem.removeprefix(prefix)): path
        for path in folder.copy(name, 0).parent.glob("*.safetensors")
        if path.stem.startswith(prefix) and path.stem.removeprefix(prefix).isdecimal()
    }
    return dict(sorted(steps.items()))


def _loss(step: int, losses: Mapping[int, float]) -> str:
    """The loss on the fixed batch there, if one was taken; the lowest of all copies is marked."""
    if step not in losses:
        return ""
    lowest = " (lowest)" if losses[step] == min(losses.values()) else ""
    return f"\nloss {losses[step]:.4f}{lowest}"


def _weights(scene: _Scene, axis: Axis, words: list[str]) -> list[Choice]:
    named = [word for value in axis.values for word, colon, _ in (value.rpartition(":"),) if colon]
    words = named[:1] or words or [name for name in scene.snapshot.entries if scene.has(name)]
    if not any(scene.has(word) for word in words):
        raise BadOption("--axis weight", expected="a learned word in the prompt", next_move=_how(words))
    if len([word for word in words if scene.has(word)]) > 1:
        raise BadOption(f"--axis weight with {', '.join(words)} in the prompt", expected="one", next_move=_how(words))
    numbers = [value.rpartition(":")[2] for value in axis.values]
    return [Choice(label=number, change=_after(*(weigh_word(word, number) for word in words))) for number in numbers]


def _how(words: Sequence[str]) -> str:
    return f"Say which: --axis weight={words[0] if words else 'word'}:0.6,0.8"


def _after(*changes: Change) -> Change:
    """All of them, one after the other."""

    def all_of_them(cell: Cell) -> Cell:
        for change in changes:
            cell = change(cell)
        return cell

    return all_of_them
