"""Settings of a training as a TOML file: written into every run, and read back by `pseudoword train --config`."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pseudoword.errors import BadFile
from pseudoword.training.options import TrainOptions

_RATES = ("learning_rate", "clip_grad_value")
"""Texts that may be written as a plain number."""
_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of texts"}


def to_toml(options: TrainOptions, head: str) -> str:
    """All settings with their help as comments; what is left to the model stands as a comment itself."""
    lines = [f"# {line}" for line in head.splitlines()]
    for field in fields(options):
        value = getattr(options, field.name)
        lines += ["", f"# {field.metadata['help']}"]
        lines.append(f"# {field.name} =" if value is None else f"{field.name} = {_written(value)}")
    return "\n".join(lines) + "\n"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_written(one) for one in value)}]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for this one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    return json.dumps(value)


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a file, checked for their names and kinds; whether they fit each other is for `TrainOptions`.

    Raises:
        BadFile: it cannot be read, or some settings are unknown or of the wrong kind: all of them are named.
    """
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise BadFile(f"{path} cannot be read ({problem})", expected="a TOML file in UTF-8") from problem
    hints = get_type_hints(TrainOptions)
    wrong = [f"{key} is no setting" for key in found if key not in hints]
    taken: dict[str, Any] = {}
    for key, value in found.items():
        if key in hints:
            kinds = _kinds(hints[key])
            taken[key] = _taken(key, value, kinds)
            if taken[key] is None:
                wrong.append(f"{key} = {value!r} is not {' or '.join(_KINDS[kind] for kind in kinds)}")
    if wrong:
        raise BadFile(
            f"{path}: {'; '.join(wrong)}",
            expected=f"settings among {', '.join(hints)}",
            next_move="Mend the file; a run's config.toml is an example",
        )
    return taken


def _kinds(hint: Any) -> tuple[type, ...]:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return tuple(get_origin(kind) or kind for kind in options if kind is not NoneType)


def _taken(key: str, value: object, kinds: tuple[type, ...]) -> object:
    """The value as the options have it, None where it is of another kind."""
    if isinstance(value, list):
        return tuple(value) if tuple in kinds and all(isinstance(one, str) for one in value) else None
    if isinstance(value, bool):
        return value if bool in kinds else None
    if isinstance(value, int | float) and key in _RATES:
        return repr(value)
    if isinstance(value, int) and float in kinds:
        return float(value)
    return value if isinstance(value, kinds) else None


def differences(then: TrainOptions, now: TrainOptions, names: Mapping[str, object]) -> list[str]:
    """Sentences about those of the settings `names` that are not the same."""
    return [
        f"--{name.replace('_', '-')} is {_shown(getattr(then, name))} in the run and {_shown(getattr(now, name))} here"
        for name in names
        if getattr(then, name) != getattr(now, name)
    ]


def _shown(value: object) -> str:
    return "not set" if value in (None, "", ()) else str(value)
