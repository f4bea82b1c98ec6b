"""One declaration per option: a frozen dataclass's field gives its default, its parser and its help line."""

import argparse
from collections.abc import Callable
from dataclasses import field, fields
from typing import Any, TypeVar

Options = TypeVar("Options")


def option(default: Any, help_line: str, parse: Callable[[str], Any] = str, **more: Any) -> Any:
    """A dataclass field that is also a command-line option; `more` goes to `add_argument`."""
    return field(default=default, metadata={"help": help_line, "parse": parse, "more": more})


def add_options(parser: argparse.ArgumentParser, options: type[Any]) -> None:
    """Add one argument per field of the dataclass `options`."""
    for one in fields(options):
        shown = "" if one.default in (None, ()) else f" (default {one.default})"
        parser.add_argument(
            "--" + one.name.replace("_", "-"),
            default=one.default,
            type=one.metadata["parse"],
            help=one.metadata["help"] + shown,
            **one.metadata["more"],
        )


def read_options(options: type[Options], parsed: argparse.Namespace) -> Options:
    """The dataclass filled from parsed arguments."""
    return options(**{one.name: getattr(parsed, one.name) for one in fields(options)})  # type: ignore[arg-type]


def names(text: str) -> tuple[str, ...]:
    """Parse `a,b,c`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
