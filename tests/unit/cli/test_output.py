"""Lines about events: what a user wrote comes back as it was written."""

import io

from rich.console import Console

from pseudoword.cli._output import Display
from pseudoword.events import Warned


def test_brackets_and_colons_of_a_prompt_are_shown_as_they_are():
    stream = io.StringIO()
    with Display(Console(file=stream, width=200)) as display:
        display.show(Warned(message="column 3: '<lora:x:1>' [red] :cat: is left out"))
    assert "note: column 3: '<lora:x:1>' [red] :cat: is left out" in stream.getvalue()
