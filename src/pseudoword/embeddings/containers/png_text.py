"""Text chunks of a PNG file, read without decoding the picture. https://www.w3.org/TR/png-3/#11textinfo"""

import struct
import zlib
from collections.abc import Iterator

from pseudoword.errors import BadFile

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNKS = 100_000


def find(content: bytes, keyword: str, limit: int) -> bytes | None:
    """The value of the first text chunk with this keyword, or None.

    Args:
        content: the file.
        keyword: ASCII.
        limit: bytes that a compressed value may inflate to.

    Raises:
        BadFile: the value is longer, or cannot be inflated.
    """
    wanted = keyword.encode() + b"\0"
    for kind, start, end in _chunks(content):
        if kind in (b"tEXt", b"zTXt", b"iTXt") and content[start : start + len(wanted)] == wanted:
            return _value(kind, content[start + len(wanted) : end], limit)
    return None


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of every whole chunk before the picture's end."""
    position = len(SIGNATURE)
    for _ in range(_MAX_CHUNKS):
        if position + 12 > len(content):
            return
        length, kind = struct.unpack(">I4s", content[position : position + 8])
        end = position + 8 + length
        if end > len(content) or kind == b"IEND":
            return
        yield kind, position + 8, end
        position = end + 4


def _value(kind: bytes, rest: bytes, limit: int) -> bytes:
    if kind == b"tEXt":
        return rest[: limit + 1]
    if kind == b"zTXt":
        return _inflate(rest[1:], limit)
    is_compressed, languages = rest[:1] == b"\1", rest[2:].split(b"\0", 2)
    text = languages[2] if len(languages) == 3 else b""
    return _inflate(text, limit) if is_compressed else text[: limit + 1]


def _inflate(content: bytes, limit: int) -> bytes:
    inflating = zlib.decompressobj()
    try:
        text = inflating.decompress(content, limit + 1)
    except zlib.error as problem:
        raise BadFile("a text chunk of the picture is damaged") from problem
    if len(text) > limit:
        raise BadFile("a text chunk of the picture is too long")
    return text
