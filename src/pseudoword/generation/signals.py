"""What a caller may send into a running generation: `events.send(Signal.SKIP)` in answer to a `Progress`.

Closing the generator stops at once and gives nothing; a signal ends the sampling and still gives its picture.
"""

from enum import Enum


class Signal(Enum):
    """As the two buttons of A1111."""

    SKIP = "skip"
    """Finish this batch as it is and go on with the next."""
    INTERRUPT = "interrupt"
    """Finish this batch as it is and end."""
