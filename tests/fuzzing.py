"""Mutated embedding files for fuzzing every reader; used by a short seeded test and by `tools/fuzz_readers.py`.

The invariant: whatever the bytes are, reading ends soon in embeddings whose numbers are finite or in BadFile.
"""

import io
import time
import zipfile
from typing import Any

import torch
from hypothesis import strategies as st

from pseudoword.embeddings import Embedding, embedding_to_bytes, embeddings_from_bytes
from pseudoword.errors import BadFile
from tests.embedding_files import all_files

SLOW = 5.0
"""Seconds that no reading may take, on a machine with other work."""

INTERESTING = (
    *(b"\0", b"\xff", b"\x80\x02", b"}", b"]", b"cos\nsystem\n", b"R", b"b", b"\x85", b"K\x01", b"q\x00", b"\x93"),
    *(b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b'"dtype"', b"9999999999", b"PK\x01\x02", b"ispe"),
)


def seeds() -> list[bytes]:
    """Small sound files of every container and layout."""
    small = Embedding(name="cat", vectors={"clip_l": torch.linspace(-1, 1, 64).reshape(2, 32)})
    cards = [embedding_to_bytes(small, suffix) for suffix in (".png", ".webp", ".jxl")]
    return [content for content, _, _ in all_files().values() if len(content) < 60_000] + cards + [_avif()]


def _avif() -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.new("RGB", (48, 32), (200, 10, 90)).save(content, "AVIF")
    return content.getvalue()


@st.composite
def files(draw: Any, start: list[bytes]) -> bytes:
    """A sound file with a few changes: bytes set, cut out, repeated, spliced from another file."""
    content = bytearray(draw(st.sampled_from(start)))
    if content[:2] == b"PK" and draw(st.booleans()):
        content = bytearray(_inside_zip(bytes(content), draw))
    for _ in range(draw(st.integers(1, 6))):
        _change(content, draw, start)
    return bytes(content)


def _change(content: bytearray, draw: Any, start: list[bytes]) -> None:
    reach = len(content) if draw(st.booleans()) else min(len(content), 600)  # headers are at the front
    at = draw(st.integers(0, max(0, reach - 1)))
    kind = draw(st.integers(0, 5))
    if kind == 0 and content:
        content[at] = draw(st.integers(0, 255))
    elif kind == 1:
        piece = draw(st.sampled_from(INTERESTING))
        content[at : at + len(piece)] = piece
    elif kind == 2:
        content[at:at] = draw(st.sampled_from(INTERESTING) | st.binary(max_size=12))
    elif kind == 3:
        del content[at : at + draw(st.integers(1, 64))]
    elif kind == 4:
        content[at:at] = content[at : at + draw(st.integers(1, 64))]
    else:
        other = draw(st.sampled_from(start))
        begin = draw(st.integers(0, len(other)))
        content[at:at] = other[begin : begin + 256]


def _inside_zip(content: bytes, draw: Any) -> bytes:
    """Change the pickle in a torch zip, so that the zip itself stays sound."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            member = bytearray(source.read(name))
            if name.endswith("data.pkl"):
                for _ in range(draw(st.integers(1, 4))):
                    _change(member, draw, [bytes(member)])
            target.writestr(name, bytes(member))
    return changed.getvalue()


def check(content: bytes) -> str:
    """Read it and hold the outcome against the invariant; returns "read" or the error's class."""
    began = time.monotonic()
    try:
        found = embeddings_from_bytes(content, "cat", label="cat.pt")
    except BadFile as problem:
        outcome = type(problem).__name__
    else:
        outcome = "read"
        assert found
        for one in found:
            assert all(bool(torch.isfinite(rows).all()) for rows in one.embedding.vectors.values())
    seconds = time.monotonic() - began
    assert seconds < SLOW, f"{seconds:.1f} s"
    return outcome
