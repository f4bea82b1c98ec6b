"""A run's settings: paths made absolute, written beside the state, and changed when the run is continued."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from pseudoword._version import __version__
from pseudoword.errors import BadOption
from pseudoword.files import atomic_write
from pseudoword.models.folder import BUNDLED_MODELS
from pseudoword.training.config import differences, to_toml
from pseudoword.training.options import TrainOptions
from pseudoword.training.other_words import with_paths
from pseudoword.training.record_options import HARMLESS
from pseudoword.training.run import RunFolder, RunRecord
from pseudoword.training.sources import parse_source

_TOLD = "device"
"""May be changed, but not without a word."""


def write_settings(folder: RunFolder, record: RunRecord) -> None:
    """Write `run.json` and `config.toml`."""
    folder.write_record(record)
    head = (
        f"The settings of {folder.path.name}, written by Pseudoword {__version__}. "
        "Use: pseudoword train --config FILE\nOptions of the command line go before those in a file."
    )
    atomic_write(folder.config, to_toml(record.options, head).encode(errors="replace"))


def with_absolute_paths(options: TrainOptions) -> TrainOptions:
    """The same settings whatever the working directory."""
    return replace(
        options,
        template=_absolute_if_file(options.template),
        init_from=_absolute_if_file(options.init_from),
        model=options.model if options.model in BUNDLED_MODELS else _absolute_if_there(options.model),
        vae=_absolute_if_there(options.vae) if options.vae else "",
        pictures=_absolute_source(options.pictures),
        more_pictures=tuple(_absolute_source(text) for text in options.more_pictures),
        other_words=tuple(with_paths(text, _absolute_source, _absolute_if_file) for text in options.other_words),
        held_back=str(Path(options.held_back).resolve()) if options.held_back else "",
    )


def with_changes(record: RunRecord, changes: Mapping[str, Any], step: int) -> tuple[TrainOptions, list[str]]:
    """The settings of the rest of a run, and what should be said about them.

    Args:
        record: the run's.
        changes: settings by name; those that are as in the run change nothing.
        step: the steps that are done.

    Raises:
        BadOption: some changes would make another run of it (all are named), or the new end is already past.
    """
    then = replace(record.options, device=record.device, precision=record.precision)
    if unknown := sorted(set(changes) - {field.name for field in fields(TrainOptions)}):
        raise BadOption(f"settings {', '.join(unknown)}", expected="those of a training")
    if "stop" in changes and changes["stop"] != "time":
        then = replace(then, stop=changes["stop"], max_time=None)
    now = with_absolute_paths(replace(then, **changes))
    if refused := differences(then, now, {name: 0 for name in changes if name not in HARMLESS | {_TOLD}}):
        raise BadOption(
            "; ".join(refused),
            expected="the settings that the run began with",
            next_move="Leave them out, or start a new run",
        )
    if "steps" in changes and changes["steps"] < step:
        raise BadOption(f"--steps {changes['steps']}", expected=f"at least {step}, which are already done")
    moved = differences(then, now, {_TOLD: 0} if _TOLD in changes else {})
    return now, [f"{sentence}: the last bits will differ" for sentence in moved]


def _absolute_source(text: str) -> str:
    folder = parse_source(text).folder
    return str(folder.resolve()) + text.removeprefix(str(folder))


def _absolute_if_file(template: str) -> str:
    path = Path(template)
    return str(path.resolve()) if path.is_file() else template


def _absolute_if_there(given: str) -> str:
    path = Path(given).expanduser()
    return str(path.resolve()) if path.exists() else given
