"""Ctrl-C as a wish, not as an exception in the middle of a step; a second one stops at once."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from pseudoword.cli._output import Display, display
from pseudoword.events import Event


class StopWish:
    """Whether a signal to stop has come."""

    def __init__(self) -> None:
        self.wished = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if self.wished:
            raise KeyboardInterrupt
        self.wished = True


@contextmanager
def listening() -> Iterator[StopWish]:
    """Turn the first SIGINT, SIGTERM or, when a terminal closes, SIGHUP inside the block into a wish.

    What is ignored already stays so: nohup means it.
    """
    wish = StopWish()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP"):  # not on Windows
        numbers.append(signal.SIGHUP)
    before = {
        number: signal.signal(number, wish.handle)
        for number in numbers
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def show_until_stopped(events: Iterable[Event]) -> tuple[Display, bool]:
    """Draw events to their end or to the first wish to stop; closing the generator saves its state."""
    iterator = iter(events)
    with listening() as wish, display() as shown:
        for event in iterator:
            shown.show(event)
            if wish.wished:
                break
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
    return shown, wish.wished
