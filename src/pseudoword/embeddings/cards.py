"""Picture cards: an embedding in a PNG (text chunk and pixels), or in the pixels of a lossless WebP or JPEG XL.

A card is a picture that A1111 reads as an embedding file (reference a1111.md §1.4). Without a picture of its own, a
card shows its vectors: a band for each, a field for every few numbers, and the word above.
"""

import base64
import colorsys
import io
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pseudoword.embeddings import _express
from pseudoword.embeddings._provenance import header_fields
from pseudoword.embeddings.containers import card_text, pixels
from pseudoword.embeddings.containers.pictures import CHUNK, MAX_PIXELS
from pseudoword.embeddings.embedding import Embedding
from pseudoword.errors import BadFile

if TYPE_CHECKING:
    from PIL import Image

    from pseudoword.embeddings.containers.pixels import Pixels

EDGE = 512
"""Pixels of a card's own picture, as A1111's are."""

_MARGIN, _HEAD, _FOOT = 16, 72, 48
_COLUMNS = 48
_FONT = "mpl-data/fonts/ttf/DejaVuSans.ttf"
_HUES = (0.58, 0.04)
"""Of numbers below and above zero: blue and red."""
_NUM_SHADES = 1024
_OURS = "pseudoword"


def card_bytes(embedding: Embedding, suffix: str, picture: Path | None = None) -> bytes:
    """The card's file.

    Args:
        embedding: for one text encoder, or for clip_l and clip_g.
        suffix: .png, .webp or .jxl.
        picture: a picture file to show; without, the vectors are drawn.

    Raises:
        BadOption: the embedding is for other text encoders.
        BadFile: the picture cannot be read, or the file type cannot be written here.
    """
    import numpy as np

    value = _express.card(embedding)
    cover = _open(picture) if picture else _draw(embedding)
    rows = next(iter(embedding.vectors.values()))
    text = card_text.encode(value)
    shown = np.asarray(cover.convert("RGB"))
    return _WRITERS[suffix.lower()](pixels.insert(shown, text, rows[0, :_NUM_SHADES].tolist()), text, embedding)


def _open(path: Path) -> "Image.Image":
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.width * picture.height > MAX_PIXELS // 2:
                raise BadFile(f"{path.name}: {picture.width} × {picture.height} pixels", expected="a smaller picture")
            return picture.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as problem:
        raise BadFile(f"{path} cannot be read as a picture", next_move="Choose another picture") from problem


def _draw(embedding: Embedding) -> "Image.Image":
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (EDGE, EDGE), (24, 26, 34))
    draw = ImageDraw.Draw(picture)
    tables = list(embedding.vectors.values())
    bands = [row for table in tables for row in table]
    top, height = _HEAD, (EDGE - _HEAD - _FOOT) / len(bands)
    for number, band in enumerate(bands):
        _draw_band(draw, band.tolist(), top + number * height, height)
    known = embedding.provenance
    step = "" if known.step is None else f", {known.step} steps"
    widths = " + ".join(str(width) for width in embedding.widths.values())
    draw.text((_MARGIN, 18), f"<{embedding.name}>"[:40], (245, 245, 248), _font(30))
    foot = f"{embedding.num_vectors} × {widths}{step}  {known.base_model or ''}"[:70]
    draw.text((_MARGIN, EDGE - 32), foot, (170, 174, 186), _font(15))
    return picture


def _font(size: int) -> Any:
    """DejaVu Sans, which matplotlib brings along; Pillow's own font has no letters beyond ASCII."""
    from PIL import ImageFont

    matplotlib = find_spec("matplotlib")
    folders = (matplotlib and matplotlib.submodule_search_locations) or []
    path = next((found for folder in folders if (found := Path(folder) / _FONT).is_file()), None)
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


def _draw_band(draw: Any, numbers: list[float], top: float, height: float) -> None:
    largest = max(max(abs(number) for number in numbers), 1e-12)
    width = (EDGE - 2 * _MARGIN) / _COLUMNS
    for column in range(_COLUMNS):
        number = numbers[column * len(numbers) // _COLUMNS] / largest
        red, green, blue = colorsys.hsv_to_rgb(_HUES[number > 0], 0.75, 0.18 + 0.8 * abs(number) ** 0.5)
        left = _MARGIN + column * width
        box = (round(left), round(top), round(left + width) - 1, max(round(top), round(top + height) - 2))
        draw.rectangle(box, (round(255 * red), round(255 * green), round(255 * blue)))


def _png(shown: "Pixels", text: bytes, embedding: Embedding) -> bytes:
    from PIL import Image, PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_text(CHUNK, base64.b64encode(text).decode())
    if len(embedding.vectors) > 1:  # A1111 takes no key but the tensors' own, so provenance stands beside
        texts.add_text(_OURS, json.dumps(header_fields(embedding)))
    content = io.BytesIO()
    Image.fromarray(shown).save(content, "PNG", pnginfo=texts)
    return content.getvalue()


def _webp(shown: "Pixels", _: bytes, __: Embedding) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(shown).save(content, "WEBP", lossless=True, exact=True)
    return content.getvalue()


def _jxl(shown: "Pixels", _: bytes, embedding: Embedding) -> bytes:
    try:
        import pylibjxl
    except ImportError as problem:
        raise BadFile(f"{embedding.name} as JPEG XL", next_move="pip install pylibjxl, or write a .png") from problem
    jxl: Any = pylibjxl
    return bytes(jxl.encode(shown, lossless=True))


_WRITERS: Mapping[str, Callable[["Pixels", bytes, Embedding], bytes]] = {".png": _png, ".webp": _webp, ".jxl": _jxl}
SUFFIXES = tuple(_WRITERS)
