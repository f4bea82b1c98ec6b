"""The report of a training as one HTML file: curves, pictures, copies, times, settings, and how to use the word.

The file asks nothing of the network and needs no script. What stands in it comes as plain values.
"""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from pseudoword._version import __version__

_MOST_BYTES = 8 << 20
"""Of a picture as it is; a larger one goes into the page as WebP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A saved embedding of the run."""

    step: int
    file: str
    """Its place, seen from the report."""
    loss: float | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What the page shows."""

    name: str
    summary: Sequence[str]
    """Sentences."""
    figures: Sequence[str]
    """SVG figures (curves.py)."""
    pictures: Path | None
    """All previews side by side."""
    copies: Sequence[Copy]
    facts: Mapping[str, str]
    """Times, model, pictures."""
    nearest: Sequence[tuple[str, str]]
    """Which vector, and the words it is near to."""
    usage: Sequence[tuple[str, str, str]]
    """Program, what to do, and what to write."""
    settings: str
    """The configuration file."""
    made: str


def report_html(report: RunReport) -> str:
    """The whole file."""
    template = Template((files("pseudoword.evaluation") / "run_report.html").read_text("utf-8"))
    pictures = ""
    if report.pictures is not None:
        source = picture_data(report.pictures)
        pictures = f'<h2>Previews</h2><div class="wide"><img alt="previews over the steps" src="{source}"></div>'
    return template.substitute(
        title=html.escape(report.name),
        summary="".join(f"<p>{html.escape(sentence)}</p>" for sentence in report.summary),
        figures="".join(report.figures),
        pictures=pictures,
        copies=_copies(report.copies),
        facts=_pairs(report.facts.items()),
        nearest=f"<h2>Nearest words of the vocabulary</h2>{_pairs(report.nearest)}" if report.nearest else "",
        usage="".join(_usage(*one) for one in report.usage),
        settings=html.escape(report.settings),
        product=f"Pseudoword {__version__}",
        made=html.escape(report.made),
    )


def _copies(copies: Sequence[Copy]) -> str:
    if not copies:
        return "<p>None were kept.</p>"
    rows = "".join(
        f"<tr><td>{copy.step}</td><td>{'' if copy.loss is None else f'{copy.loss:.4f}'}</td>"
        f'<td><a href="{html.escape(copy.file)}">{html.escape(copy.file)}</a></td>'
        f"<td>{html.escape(copy.note)}</td></tr>"
        for copy in copies
    )
    heads = "<tr><th>step</th><th>loss on the fixed batch</th><th>file</th><th></th></tr>"
    return f"<table><thead>{heads}</thead><tbody>{rows}</tbody></table>"


def _pairs(pairs: object) -> str:
    items = list(pairs)  # pyright: ignore[reportArgumentType]
    rows = "".join(f"<tr><th>{html.escape(key)}</th><td>{html.escape(value)}</td></tr>" for key, value in items)
    return f"<table><tbody>{rows}</tbody></table>"


def _usage(program: str, what: str, written: str) -> str:
    return f"<h3>{html.escape(program)}</h3><p>{html.escape(what)}</p><pre>{html.escape(written)}</pre>"


def picture_data(path: Path) -> str:
    """A PNG file as a data URL."""
    if path.stat().st_size <= _MOST_BYTES:
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, format="WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
