"""Reads what a picture says about itself, from the text chunks of a PNG, EXIF of JPEG, WebP and AVIF, or a GIF comment.

Where A1111 puts its text: PNG `parameters`; EXIF `UserComment` elsewhere (reference a1111.md §3.4). Files come from
strangers: only these five decoders are let in, and size and pixels are looked at before anything is decoded.
"""

import io
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pseudoword.errors import BadFile
from pseudoword.generation.foreign import as_object, recognise
from pseudoword.generation.infotext import PRODUCT, Infotext, read_infotext
from pseudoword.generation.stealth import hidden_text

FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
MAX_BYTES = 256 << 20
MAX_PIXELS = 100_000_000

EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
_MAKER_NOTE = 0x927C
_TEXT_TAGS = {0x010E: "Description", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software"}
_TELLING = {"parameters", "prompt", "workflow", "Comment", "invokeai_metadata", "sd-metadata", "Dream"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, struct.error, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInfo:
    """A picture's own account of itself."""

    format: str
    size: tuple[int, int]
    program: str = ""
    """Who wrote it: Pseudoword, A1111, ComfyUI, InvokeAI, NovelAI, SwarmUI, Fooocus; empty where nobody is known."""
    infotext: Infotext | None = None
    """What it says, by A1111's keys; None where it says nothing that can be read."""
    text: str = ""
    """The infotext as it stands in the file, or made of what another program wrote."""
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    """Every text of the file, by the name of its chunk or EXIF field."""


def read_picture(source: Path | bytes) -> PictureInfo:
    """Everything that a picture says about itself; its pixels are decoded only if the texts may lie behind them.

    Raises:
        BadFile: it is not there, is no picture of a known format, is damaged or too large.
    """
    label = "the picture" if isinstance(source, bytes) else str(source)
    content = _content(source, label)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own warning about size; ours is an error, below
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _check_pixels(image, label)
                texts = _texts(image)
                return _account(str(image.format), image.size, texts)
    except (*_DAMAGE, Image.DecompressionBombError) as problem:
        raise BadFile(
            f"{label} cannot be read as a picture",
            expected=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}, up to {MAX_PIXELS // 1_000_000} million pixels",
        ) from problem


def _content(source: Path | bytes, label: str) -> bytes:
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        if size > MAX_BYTES:
            raise BadFile(f"{label} has {size >> 20} MiB", expected=f"a picture of {MAX_BYTES >> 20} MiB at most")
        return source if isinstance(source, bytes) else source.read_bytes()
    except (OSError, ValueError) as problem:  # ValueError: a null character in the path
        raise BadFile(f"{label} cannot be read", expected="a picture", next_move="Check the path") from problem


def _check_pixels(image: Image.Image, label: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise BadFile(
            f"{label} has {image.width} × {image.height} pixels",
            expected=f"{MAX_PIXELS // 1_000_000} million pixels at most",
        )


def _account(kind: str, size: tuple[int, int], texts: Mapping[str, str]) -> PictureInfo:
    program, infotext = recognise(texts)
    if infotext is not None and program == "NovelAI":
        infotext = infotext.with_values({"Size": infotext.values.get("Size", size)})
    text = "" if infotext is None else infotext.with_values({"Version": program}).text()
    written = texts.get("parameters", "")
    if infotext is None and written and not as_object(written):
        infotext, text = read_infotext(written), written
        version = str(infotext.values.get("Version", ""))
        program = "Pseudoword" if version.startswith(PRODUCT) else _program(version) if infotext.values else program
    return PictureInfo(format=kind, size=size, program=program, infotext=infotext, text=text, texts=texts)


def _program(version: str) -> str:
    """Of the many programs that write A1111's text; those without a mark of their own pass as A1111."""
    others = {"ComfyUI": "ComfyUI", "f": "Forge", "neo": "Forge", "Fooocus": "Fooocus", "SD.Next": "SD.Next"}
    return next((name for mark, name in others.items() if version.startswith(mark)), "A1111")


def _texts(image: Image.Image) -> dict[str, str]:
    texts = _plain(image.info)
    if image.format == "PNG" and not texts.keys() & _TELLING:
        image.load()  # chunks may stand behind the pixels
        texts = _plain(image.info)
    if image.format == "GIF" and "comment" in texts:
        texts.setdefault("parameters", texts["comment"])
    texts |= _exif_texts(image)
    return texts if texts.keys() & _TELLING else {**texts, **_hidden(image)}


def _hidden(image: Image.Image) -> dict[str, str]:
    """NovelAI hides the very chunks that it writes, as JSON; A1111's extension the infotext."""
    text = hidden_text(image)
    chunks = {key: value for key, value in as_object(text).items() if isinstance(value, str)}
    return chunks or ({"parameters": text} if text else {})


def _plain(info: Mapping[Any, Any]) -> dict[str, str]:
    kept = ((str(key), value) for key, value in info.items() if isinstance(key, str))
    decoded = {key: _decoded(value) if key == "comment" and isinstance(value, bytes) else value for key, value in kept}
    return {key: str(value) for key, value in decoded.items() if isinstance(value, str)}


def _exif_texts(image: Image.Image) -> dict[str, str]:
    exif = image.getexif()
    found: dict[str, str] = {}
    for tag, name in _TEXT_TAGS.items():
        value = exif.get(tag)
        if isinstance(value, str | bytes):
            found |= _comfy_fields(name, _decoded(value) if isinstance(value, bytes) else value)
    inner = exif.get_ifd(EXIF_IFD)
    comment, note = inner.get(USER_COMMENT), inner.get(_MAKER_NOTE)
    if isinstance(comment, str | bytes):
        found["parameters"] = user_comment(comment) if isinstance(comment, bytes) else comment
    if isinstance(note, bytes) and note.startswith(b"fooocus"):
        found["fooocus_scheme"] = "fooocus"
    return found


def _comfy_fields(name: str, value: str) -> dict[str, str]:
    """ComfyUI puts `prompt:{…}` and `workflow:{…}` into whichever EXIF fields are free."""
    for key in ("prompt", "workflow"):
        if value.startswith(key + ":"):
            return {key: value.removeprefix(key + ":")}
    return {name: value}


def user_comment(raw: bytes) -> str:
    """The text of an EXIF `UserComment`: eight bytes that name the encoding, then the text.

    UNICODE is UTF-16, and programs differ in byte order: a mark decides, else the side on which the zeros are.
    """
    head, body = raw[:8], raw[8:]
    if head == b"UNICODE\0":
        if body[:2] in (b"\xfe\xff", b"\xff\xfe"):
            return body.decode("utf-16", "replace").rstrip("\0")
        little = body[1::2].count(0) > body[::2].count(0)
        return body.decode("utf-16-le" if little else "utf-16-be", "replace").rstrip("\0")
    if head in (b"ASCII\0\0\0", b"\0" * 8):
        return _decoded(body)
    return _decoded(raw)


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode().rstrip("\0")
    except UnicodeDecodeError:
        return raw.decode("latin-1").rstrip("\0")
