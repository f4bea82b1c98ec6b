"""A labelled sheet: pictures in columns and rows, words above and beside them, one sheet below the other.

Pictures are opened one at a time, and made smaller where the whole would grow beyond `MAX_PIXELS`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

MAX_PIXELS = 64_000_000
_INK, _FAINT, _GROUND = (32, 32, 32), (110, 110, 110), "white"
_GAP, _MARGIN = 8, 16
_LEAST_CELL = 128
"""Narrower columns could not be labelled."""
_ROW_LABEL = 160
"""Longer ones are broken into lines."""
_MOST_LINES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Pictures of one size or of several; `pictures[y][x]`, None where there is none."""

    title: str
    columns: Sequence[str]
    rows: Sequence[str]
    pictures: Sequence[Sequence[Path | None]]


@dataclass(frozen=True, slots=True)
class _Layout:
    edge: tuple[int, int]
    """Of a cell."""
    scale: float
    left: int
    font: Any
    line: int


def labelled_sheets(sheets: Sequence[Sheet], heading: str, notes: Sequence[str] = ()) -> Image.Image:
    """All sheets below each other, a heading above them and notes below."""
    layout = _layout(sheets)
    columns = max(len(sheet.columns) for sheet in sheets)
    width = 2 * _MARGIN + layout.left + columns * (layout.edge[0] + _GAP) - _GAP
    parts = [_words(heading, width, layout, _INK)]
    parts += [_drawn(sheet, width, layout) for sheet in sheets]
    parts += [_words(note, width, layout, _FAINT) for note in notes]
    whole = Image.new("RGB", (width, sum(part.height for part in parts) + _MARGIN), _GROUND)
    top = 0
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height
    return whole


def _layout(sheets: Sequence[Sheet]) -> _Layout:
    paths = [path for sheet in sheets for row in sheet.pictures for path in row if path is not None]
    sizes = [_size(path) for path in paths]
    width = max((size[0] for size in sizes), default=_LEAST_CELL)
    height = max((size[1] for size in sizes), default=_LEAST_CELL)
    cells = sum(len(sheet.rows) * len(sheet.columns) for sheet in sheets)
    scale = min(1.0, math.sqrt(MAX_PIXELS / (cells * width * height)))
    edge = max(_LEAST_CELL, int(width * scale)), int(height * scale)
    points = 15 if edge[0] < 400 else 20
    font = ImageFont.load_default(size=points)
    labels = [line for sheet in sheets for label in sheet.rows for line in label.split("\n")]
    widest = math.ceil(max((font.getlength(label) for label in labels), default=0))
    left = min(widest + 2 * _GAP, max(_ROW_LABEL, edge[0] // 2)) if widest else 0
    return _Layout(edge, scale, left, font, points + 6)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _drawn(sheet: Sheet, width: int, layout: _Layout) -> Image.Image:
    heads = [_wrapped(head, layout.edge[0], layout) for head in sheet.columns]
    top = (2 * layout.line if sheet.title else 0) + max(len(lines) for lines in heads) * layout.line + _GAP
    height = top + len(sheet.rows) * (layout.edge[1] + _GAP)
    image = Image.new("RGB", (width, height), _GROUND)
    draw = ImageDraw.Draw(image)
    if sheet.title:
        draw.text((_MARGIN, layout.line // 2), sheet.title, fill=_INK, font=layout.font)
    for x, lines in enumerate(heads):
        place = _left(x, layout) + layout.edge[0] // 2, top - _GAP // 2
        draw.multiline_text(place, "\n".join(lines), fill=_INK, font=layout.font, anchor="md", align="center")
    for y, (label, row) in enumerate(zip(sheet.rows, sheet.pictures, strict=True)):
        above = top + y * (layout.edge[1] + _GAP)
        lines = _wrapped(label, layout.left - _GAP, layout)
        draw.multiline_text((_MARGIN, above + 4), "\n".join(lines), fill=_INK, font=layout.font)
        for x, path in enumerate(row):
            _paste(image, path, (_left(x, layout), above), layout)
    return image


def _left(column: int, layout: _Layout) -> int:
    return _MARGIN + layout.left + column * (layout.edge[0] + _GAP)


def _paste(whole: Image.Image, path: Path | None, corner: tuple[int, int], layout: _Layout) -> None:
    """In the middle of its cell; a cell without a picture stays a frame."""
    width, height = layout.edge
    if path is None:
        box = (*corner, corner[0] + width - 1, corner[1] + height - 1)
        ImageDraw.Draw(whole).rectangle(box, outline=_FAINT)
        return
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if layout.scale < 1:
        small = (max(1, int(picture.width * layout.scale)), max(1, int(picture.height * layout.scale)))
        picture = picture.resize(small, Image.Resampling.LANCZOS)
    whole.paste(picture, (corner[0] + (width - picture.width) // 2, corner[1] + (height - picture.height) // 2))


def _words(text: str, width: int, layout: _Layout, colour: tuple[int, int, int]) -> Image.Image:
    lines = _wrapped(text, width - 2 * _MARGIN, layout, most=12)
    image = Image.new("RGB", (width, (len(lines) + 1) * layout.line), _GROUND)
    ImageDraw.Draw(image).multiline_text(
        (_MARGIN, layout.line // 2), "\n".join(lines), fill=colour, font=layout.font, spacing=6
    )
    return image


def _wrapped(text: str, width: int, layout: _Layout, most: int = _MOST_LINES) -> list[str]:
    """Lines of at most `width` pixels, broken between words, or inside one that is too long; the last with `…`."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += _broken(paragraph, width, layout)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][:-1] + "…"]
    return lines


def _broken(text: str, width: int, layout: _Layout) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if layout.font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        pieces = _chopped(word, width, layout)
        lines += pieces
    return [line for line in lines if line] or [""]


def _chopped(word: str, width: int, layout: _Layout) -> list[str]:
    pieces = [""]
    for letter in word:
        if layout.font.getlength(pieces[-1] + letter) > width and pieces[-1]:
            pieces.append("")
        pieces[-1] += letter
    return pieces
