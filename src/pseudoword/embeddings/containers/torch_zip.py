"""The zip that `torch.save` writes, reduced on writing to the members that every reader takes.

A1111 1.10 refuses a zip with any other member than `<dir>/data.pkl`, `<dir>/data/<digits>`, `<dir>/version`
and `<dir>/byteorder` (reference a1111.md §1.6); torch ≥ 2.7 adds two. Stored and dated 1980, so that the
bytes are the same every time.
"""

import io
import re
import zipfile
from collections.abc import Mapping

import torch

from pseudoword import unpickle
from pseudoword.embeddings.containers.raw import Raw

_KEPT = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder)")
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_MODE = 0o644 << 16


def recognise(content: bytes) -> bool:
    """Whether the content is a zip."""
    return unpickle.is_zip(content)


def read(content: bytes, label: str) -> Raw:
    """The object that was saved.

    Raises:
        BadFile, UnsafePickle: as `pseudoword.unpickle.loads`.
    """
    return Raw(value=unpickle.loads(content, label))


def write(value: Mapping[str, object]) -> bytes:
    """`value` as a torch zip. Tensors are to own their storage, texts to be interned (see `_provenance`)."""
    full = io.BytesIO()
    torch.save(dict(value), full)
    reduced = io.BytesIO()
    with zipfile.ZipFile(full) as source, zipfile.ZipFile(reduced, "w", zipfile.ZIP_STORED) as target:
        for name in source.namelist():
            if _KEPT.fullmatch(name):
                target.writestr(_member(name), source.read(name))
    return reduced.getvalue()


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.create_system = _UNIX
    member.external_attr = _MODE
    return member
