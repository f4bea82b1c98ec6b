"""Pictures that carry an embedding: PNG, WebP, AVIF and JPEG XL (reference a1111.md §1.4).

The text chunk `sd-ti-embedding` of a PNG is looked at first, else the pixels are. Sizes are read and bounded
before a picture is decoded. Pillow decodes all but JPEG XL, for which pylibjxl does (BSD, as libjxl itself;
the plugin for Pillow is GPL).
"""

import base64
import io
import json
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pseudoword.embeddings.containers import card_text, pixels, png_text
from pseudoword.embeddings.containers.raw import Raw
from pseudoword.errors import BadFile, PlainPicture

if TYPE_CHECKING:
    from pseudoword.embeddings.containers.pixels import Pixels

CHUNK = "sd-ti-embedding"
MAX_PIXELS = 1 << 24
"""Larger pictures are not looked at; a card is a picture of about half a megapixel."""

_TEXT_ROOM = 2
"""Base64 takes 4 bytes for 3."""

_PNG_SIZE = slice(16, 24)
"""Width and height in the first chunk."""
_MAX_OURS = 1 << 16

_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    SyntaxError,
    RuntimeError,
    EOFError,
    OverflowError,
    MemoryError,
    Warning,
    struct.error,
    zlib.error,
)


def is_png(content: bytes) -> bool:
    """Whether the content begins as a PNG does."""
    return content.startswith(png_text.SIGNATURE)


def is_webp(content: bytes) -> bool:
    """Whether the content begins as a WebP does."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def is_avif(content: bytes) -> bool:
    """Whether the content begins as an AVIF does."""
    return content[4:8] == b"ftyp" and any(brand in content[8:64] for brand in (b"avif", b"avis"))


def is_jxl(content: bytes) -> bool:
    """Whether the content begins as a JPEG XL does, bare or in a container."""
    return content.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"))


def read_png(content: bytes, label: str) -> Raw:
    """The mapping in the text chunk, else in the pixels; errors as `read_webp`."""
    try:
        chunk = png_text.find(content, CHUNK, _TEXT_ROOM * card_text.MAX_TEXT)
        if chunk is not None:
            return Raw(value=card_text.decode(_from_base64(chunk)), metadata=_ours(content))
    except BadFile as problem:
        raise _in_file(label, problem) from None
    return _from_pixels(label, lambda: _by_pillow(content, "PNG"))


def read_webp(content: bytes, label: str) -> Raw:
    """The mapping in the pixels.

    Raises:
        PlainPicture: there is none.
        BadFile: the picture or what it carries is damaged.
    """
    return _from_pixels(label, lambda: _by_pillow(content, "WEBP"))


def read_avif(content: bytes, label: str) -> Raw:
    """The mapping in the pixels; errors as `read_webp`."""
    return _from_pixels(label, lambda: _by_pillow(content, "AVIF"))


def read_jxl(content: bytes, label: str) -> Raw:
    """The mapping in the pixels; errors as `read_webp`."""
    return _from_pixels(label, lambda: _by_libjxl(content))


def _ours(content: bytes) -> dict[str, str]:
    """The provenance that this package puts beside an embedding for two encoders."""
    text = png_text.find(content, "pseudoword", _MAX_OURS) or b"{}"
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {key: value for key, value in fields.items() if isinstance(value, str)} if isinstance(fields, dict) else {}


def _from_base64(chunk: bytes) -> bytes:
    try:
        return base64.b64decode(chunk)
    except ValueError as problem:
        raise BadFile(f"the text chunk {CHUNK} is no base64") from problem


def _from_pixels(label: str, decode: "Callable[[], Pixels]") -> Raw:
    try:
        text = pixels.extract(decode(), card_text.MAX_TEXT)
        if text is None:
            raise PlainPicture("a picture that carries no embedding", expected="a card of an embedding")
        return Raw(value=card_text.decode(text))
    except BadFile as problem:
        raise _in_file(label, problem) from None
    except _DAMAGE as problem:
        reason = " ".join(str(problem).split())[:120] or type(problem).__name__
        raise BadFile(
            f"{label}: a picture, which is damaged ({reason})", next_move="Download or copy it again"
        ) from problem


def _in_file(label: str, problem: BadFile) -> BadFile:
    return type(problem)(f"{label}: {problem.got}", expected=problem.expected, next_move=problem.next_move)


def _bounded(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PlainPicture(
            f"a picture of {width} × {height} pixels, larger than cards of embeddings are",
            expected=f"at most {MAX_PIXELS} pixels",
        )


def _by_pillow(content: bytes, kind: str) -> "Pixels":
    import numpy as np
    from PIL import Image

    if kind == "WEBP":
        _bounded(*_webp_size(content))  # Pillow takes memory for the whole canvas when it opens the file
    if kind == "PNG" and len(content) > _PNG_SIZE.stop:
        _bounded(*struct.unpack(">II", content[_PNG_SIZE]))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=(kind,)) as picture:
                _bounded(*picture.size)
                return np.asarray(picture.convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as problem:
        raise PlainPicture("a picture that is larger than cards of embeddings are") from problem


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height in a WebP's first chunk. https://developers.google.com/speed/webp/docs/riff_container"""
    kind, data = content[12:16], content[20:30]
    if len(data) < 10:
        raise BadFile("the picture ends in its header")
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(data[6:8], "little") & 0x3FFF, int.from_bytes(data[8:10], "little") & 0x3FFF


def _by_libjxl(content: bytes) -> "Pixels":
    import numpy as np

    try:
        import pylibjxl
    except ImportError as problem:
        raise BadFile(
            "a JPEG XL picture, which nothing here can decode",
            next_move="pip install pylibjxl",
        ) from problem
    jxl: Any = pylibjxl
    header = jxl.probe(content)
    _bounded(header["width"], header["height"])
    decoded = np.asarray(jxl.decode(content))
    return (
        decoded[:, :, :3]
        if decoded.ndim == 3 and decoded.shape[2] >= 3
        else np.repeat(decoded.reshape(*decoded.shape[:2], -1)[:, :, :1], 3, axis=2)
    )
