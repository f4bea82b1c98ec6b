"""Pictures side by side: plain grids as A1111 lays them out, and labelled rows."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP = 8
_INK = (40, 40, 40)


def make_grid(images: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """All `images` (of one size) without gaps; rows = round(√n) unless `columns` is given."""
    rows = round(math.sqrt(len(images))) if columns is None else math.ceil(len(images) / columns)
    columns = math.ceil(len(images) / rows)
    width, height = images[0].size
    grid = Image.new("RGB", (columns * width, rows * height), "black")
    for i, image in enumerate(images):
        grid.paste(image, (i % columns * width, i // columns * height))
    return grid


def labelled_rows(rows: Sequence[tuple[str, Sequence[Image.Image]]], heads: Sequence[str]) -> Image.Image:
    """Rows of pictures of one size on white, a label above each row and a head above each column.

    Args:
        rows: label and pictures of each row; rows may differ in length.
        heads: words above the columns; empty for none.
    """
    font = ImageFont.load_default(size=15)
    width, height = rows[0][1][0].size
    columns = max(len(pictures) for _, pictures in rows)
    line = 24
    top = line if any(heads) else 0
    row_height = height + line + _GAP
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, top + len(rows) * row_height + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        draw.text((_GAP + column * (width + _GAP), 5), head, fill=_INK, font=font)
    for number, (label, pictures) in enumerate(rows):
        y = top + number * row_height
        draw.text((_GAP, y + 3), label, fill=_INK, font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(picture.convert("RGB"), (_GAP + column * (width + _GAP), y + line))
    return sheet


def stacked(sheets: Sequence[Image.Image]) -> Image.Image:
    """Sheets below each other on white, aligned at the left."""
    width = max(sheet.width for sheet in sheets)
    result = Image.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
    y = 0
    for sheet in sheets:
        result.paste(sheet, (0, y))
        y += sheet.height
    return result
