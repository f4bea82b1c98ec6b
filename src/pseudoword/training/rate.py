"""The learning-rate schedule string that A1111 users know: `0.005:100, 1e-3:1000, 1e-4`. Pure."""

import math
from dataclasses import dataclass
from itertools import pairwise

from pseudoword.errors import BadOption

_MAX_RATE = 10.0
_EXAMPLE = "'0.005' or '0.005:100, 1e-3:1000, 1e-4'"


@dataclass(frozen=True, slots=True)
class RateSchedule:
    """Pieces (rate, end): `rate` holds for steps below `end`, counted from 0; the last end may be None."""

    pieces: tuple[tuple[float, int | None], ...]

    def at(self, step: int) -> float:
        """The rate of the optimiser step number `step`, counted from 0; the last piece's beyond the end."""
        for rate, end in self.pieces:
            if end is None or step < end:
                return rate
        return self.pieces[-1][0]

    def num_steps(self, wanted: int) -> int:
        """Where training ends: after `wanted` steps, or with the list if that ends earlier."""
        end = self.pieces[-1][1]
        return wanted if end is None else min(wanted, end)


def parse_rates(text: str) -> RateSchedule:
    """Read a schedule. `rate:step` holds until `step` steps are done; a bare `rate` or `rate:-1` holds for good.

    Raises:
        BadOption: anything else, steps that do not rise, or rates that are not positive.
    """
    items = [item.strip() for item in text.split(",")]
    if items and not items[-1]:
        items.pop()
    if not items:
        raise BadOption(f"learning rate {text!r}", expected=_EXAMPLE)
    pieces = [_parse_piece(item, text) for item in items]
    ends = [math.inf if end is None else end for _, end in pieces]
    if any(later <= earlier for earlier, later in pairwise(ends)):
        raise BadOption(f"learning rate {text!r}, whose steps do not rise", expected=_EXAMPLE)
    return RateSchedule(tuple(pieces))


def _parse_piece(item: str, text: str) -> tuple[float, int | None]:
    rate_text, _, end_text = item.partition(":")
    try:
        rate = float(rate_text)
        end = int(end_text) if end_text.strip() else -1
    except ValueError as problem:
        raise BadOption(f"learning rate {text!r}", expected=_EXAMPLE) from problem
    if not 0 < rate <= _MAX_RATE or (end < 1 and end != -1):
        raise BadOption(
            f"learning rate {text!r}",
            expected=f"rates above 0 and up to {_MAX_RATE:g} and positive steps, as in {_EXAMPLE}",
        )
    return rate, None if end == -1 else end
