"""A1111's switches for memory and precision, understood by every command that has options of our own for the same.

In A1111 they belong to the program's start; here each command takes them. A table says what they become, and a note
says so each time, because our own names are those that the help and the run's record show.
"""

from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand

_SWITCHES: dict[str, tuple[str, str]] = {
    "--no-half": ("--precision", "fp32"),
    "--medvram": ("--memory", "medium"),
    "--medvram-sdxl": ("--memory", "medium"),
    "--lowvram": ("--memory", "low"),
}
_VALUES: dict[str, str] = {"full": "fp32", "autocast": "auto", "half": "fp16"}
"""What follows A1111's `--precision`."""
_NEEDLESS: dict[str, str] = {"--no-half-vae": "the autoencoder always computes in fp32 here"}


def translated(arguments: Sequence[str], options: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments in our own words, and a note on each that was A1111's.

    Args:
        arguments: as they were written; nothing after `--` is looked at.
        options: those that the command has, such as `--memory`. Others are left as they are.

    Raises:
        typer.BadParameter: two of them ask for different things.
    """
    ours: list[str] = []
    notes: list[str] = []
    asked: dict[str, tuple[str, str]] = {}
    rest = list(arguments)
    while rest and rest[0] != "--":
        written, *rest = rest
        if written in _NEEDLESS and "--precision" in options:
            notes.append(f"{written} changes nothing: {_NEEDLESS[written]}")
            continue
        option, value, said, rest = _one(written, rest, options)
        if value is None:
            ours.append(written)
            continue
        if said:
            notes.append(f"{said} is {option} {value} here")
        before, said_before = asked.get(option, (value, ""))
        if before != value and (said or said_before):  # of two of our own the last counts, as everywhere
            raise typer.BadParameter(f"{option} {before} and {option} {value} are both asked for")
        asked[option] = (value, said)
        ours += [option, value]
    return ours + rest, notes


def _one(written: str, rest: list[str], options: Sequence[str]) -> tuple[str, str | None, str, list[str]]:
    """Our option, its value (None: this is none of those looked for), what A1111 called it, and what is left."""
    option, value = _SWITCHES.get(written, ("", ""))
    if option in options:
        return option, value, written, rest
    option, equals, value = written.partition("=")
    if option not in ("--precision", "--memory") or option not in options or not (equals or rest):
        return option, None, "", rest
    if not equals:
        value, *rest = rest
    meant = _VALUES.get(value) if option == "--precision" else None
    return option, meant or value, f"{option} {value}" if meant else "", rest


class A1111Command(TyperCommand):
    """A command that reads A1111's switches in place of its own options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `translated`; the notes go to stderr, so that what is piped on stays clean."""
        ours, notes = translated(args, [name for parameter in self.params for name in parameter.opts])
        for note in notes:
            typer.echo(f"note: {note}", err=True)
        return super().parse_args(ctx, ours)
