"""The page of a comparison: one HTML file with every picture in it, that asks nothing of the network."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from PIL import Image

from pseudoword._version import __version__

_MOST_BYTES = 48 << 20
"""Of all pictures as they are; beyond that they go into the page as WebP."""
_QUALITY = 92
_CELLS = (96, 320)
"""Least and most width of a picture when the page opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One cell that is there."""

    path: Path
    text: str
    """Its infotext."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What the page shows; `labels` and `pictures` as in `comparison.Grid`."""

    title: str
    settings: str
    names: Sequence[str]
    labels: tuple[Sequence[str], Sequence[str], Sequence[str]]
    pictures: Mapping[tuple[int, int, int], Picture]
    notes: Sequence[str]
    command: str
    made: str


def page_html(page: Page) -> str:
    """The whole file."""
    template = Template((files("pseudoword.generation") / "compare_page.html").read_text("utf-8"))
    packed = sum(picture.path.stat().st_size for picture in page.pictures.values()) > _MOST_BYTES
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in page.notes)
    return template.substitute(
        title=html.escape(page.title),
        settings=html.escape(page.settings),
        notes=f'<ul class="notes">{notes}</ul>' if notes else "",
        cell=_first_width(page),
        tables="".join(_table(page, z, packed=packed) for z in range(len(page.labels[2]))),
        command=html.escape(page.command),
        product=f"Pseudoword {__version__}",
        made=html.escape(page.made),
    )


def _first_width(page: Page) -> int:
    if not page.pictures:
        return _CELLS[0]
    with Image.open(next(iter(page.pictures.values())).path) as image:
        return min(max(image.width, _CELLS[0]), _CELLS[1])


def _table(page: Page, z: int, *, packed: bool) -> str:
    columns, rows, sheets = page.labels
    title = f"<h2>{_named(page.names, 2, sheets[z])}</h2>" if sheets[z] else ""
    heads = "".join(f'<th scope="col">{_named(page.names, 0, label)}</th>' for label in columns)
    corner = "<td></td>" if any(rows) else ""
    lines = "".join(_row(page, z, y, packed=packed) for y in range(len(rows)))
    return f"{title}<table><thead><tr>{corner}{heads}</tr></thead><tbody>{lines}</tbody></table>"


def _row(page: Page, z: int, y: int, *, packed: bool) -> str:
    label = page.labels[1][y]
    head = f'<th scope="row">{_named(page.names, 1, label)}</th>' if label else ""
    cells = (_cell(page, (z, y, x), packed=packed) for x in range(len(page.labels[0])))
    return f"<tr>{head}{''.join(cells)}</tr>"


def _cell(page: Page, place: tuple[int, int, int], *, packed: bool) -> str:
    picture = page.pictures.get(place)
    if picture is None:
        return '<td><div class="none">not drawn</div></td>'
    z, y, x = place
    where = _joined(page.names, (page.labels[0][x], page.labels[1][y], page.labels[2][z]))
    return (
        f'<td><button data-at="{z},{y},{x}" data-text="{html.escape(picture.text)}">'
        f'<img alt="{html.escape(where)}" src="{_data(picture.path, packed=packed)}" loading="lazy"></button></td>'
    )


def _named(names: Sequence[str], axis: int, label: str) -> str:
    first, _, rest = label.partition("\n")
    small = f"<small>{html.escape(rest)}</small>" if rest else ""
    return f"<small>{html.escape(names[axis])}</small>{html.escape(first)}{small}"


def _joined(names: Sequence[str], labels: Iterable[str]) -> str:
    pairs = zip(names, labels, strict=False)
    return ", ".join(f"{name} {label.replace(chr(10), ' ')}" for name, label in pairs)


def _data(path: Path, *, packed: bool) -> str:
    if not packed:
        return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    with Image.open(path) as image:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, format="WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
