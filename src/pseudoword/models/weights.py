"""Opens a file of weights lazily: names and shapes at once, each tensor when it is asked for.

`.safetensors` and torch files (zip and legacy) are told apart by content, not by name. What is neither is named
for what it is. Memory: the file is mapped, so that a tensor costs nothing before it is looked at.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch

from pseudoword.errors import BadFile, BadModel, UnsafePickle
from pseudoword.unpickle import is_legacy, is_zip
from pseudoword.unpickle.mapped import load_mapped

_MAX_HEADER = 100 << 20
"""Bytes; the limit of the safetensors library."""
_WANTED = "a whole .safetensors or .ckpt file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Names, shapes and, on demand, values of a file; `plain` names what in it is no tensor."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], torch.Tensor] = field(repr=False)
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    plain: frozenset[str] = frozenset()


def open_weights(path: Path) -> Weights:
    """Open a file of weights.

    Raises:
        BadModel: it is missing, cut short, or no such file.
        UnsafePickle: its pickle names something that is not on the allow-list.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as problem:
        raise BadModel(f"{path} cannot be read ({problem.strerror or problem})") from problem
    if not start:
        raise BadModel(f"{path} is an empty file", expected=_WANTED, next_move="Download or copy it again")
    if start[8:9] == b"{":  # first: a header's length may begin as a pickle does
        return _open_safetensors(path, size)
    if is_zip(start) or is_legacy(start):
        return _open_torch(path)
    raise BadModel(f"{path} is {_describe(start)}", expected=_WANTED)


def _describe(start: bytes) -> str:
    """Words for a file that holds no weights, by its first bytes."""
    known = {
        b"\x89PNG": "a PNG picture",
        b"\xff\xd8\xff": "a JPEG picture",
        b"RIFF": "a WebP picture",
        b"GGUF": "a GGUF file, whose quantised weights are not read here",
        b"\x1f\x8b": "a gzip archive",
        b"Rar!": "a RAR archive",
        b"7z\xbc\xaf": "a 7z archive",
    }
    if found := next((words for magic, words in known.items() if start.startswith(magic)), None):
        return found
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself"
    try:
        text = start.decode("utf-8", errors="strict" if len(start) < 512 else "ignore")
    except UnicodeDecodeError:
        return "no file of weights by its content"
    if any(ord(letter) < 9 for letter in text):
        return "no file of weights by its content"
    return "a web page, saved in place of the file" if "<html" in text.lower() else "a text file"


def _open_safetensors(path: Path, size: int) -> Weights:
    from safetensors import SafetensorError, safe_open

    header = _read_header(path, size)
    names = {name: about for name, about in header.items() if name != "__metadata__"}
    try:
        shapes = {name: tuple(about["shape"]) for name, about in names.items()}
        opened = safe_open(path, framework="pt")
    except (SafetensorError, KeyError, TypeError, OSError) as problem:
        raise BadModel(
            f"{path} is a damaged .safetensors file ({problem})", next_move="Download or copy it again"
        ) from problem
    metadata = {str(key): str(value) for key, value in (header.get("__metadata__") or {}).items()}
    return Weights(path=path, shapes=shapes, read=opened.get_tensor, metadata=metadata)


def _read_header(path: Path, size: int) -> dict[str, Any]:
    """The JSON at the file's beginning, which also tells how long the file must be."""
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > _MAX_HEADER:
            raise BadModel(f"{path} is a damaged .safetensors file", next_move="Download or copy it again")
        raw = stream.read(length)
    if len(raw) < length:
        raise _cut_short(path, size)
    try:
        header = cast("dict[str, Any]", json.loads(raw))
        ends = [about["data_offsets"][1] for name, about in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadModel(f"{path} is no .safetensors file ({problem!r})", expected=_WANTED) from problem
    if size < 8 + length + max(ends, default=0):
        raise _cut_short(path, size, 8 + length + max(ends))
    return header


def _cut_short(path: Path, size: int, whole: int = 0) -> BadModel:
    of_all = f" of {whole:,}" if whole else ""
    return BadModel(f"{path} is only a part of a file ({size:,}{of_all} bytes)", next_move="Download or copy it again")


def _open_torch(path: Path) -> Weights:
    try:
        found = load_mapped(path)
    except UnsafePickle:
        raise
    except BadFile as problem:
        raise BadModel(problem.got, expected=problem.expected, next_move=problem.next_move) from problem
    tensors: dict[str, torch.Tensor] = {}
    plain: set[str] = set()
    for name, value in _entries(found):
        if isinstance(value, torch.Tensor):
            tensors[name] = value
        else:
            plain.add(name)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return Weights(path=path, shapes=shapes, read=tensors.__getitem__, plain=frozenset(plain))


def _entries(found: object) -> Iterator[tuple[str, object]]:
    """The weights of a checkpoint lie at the top or, where a trainer wrote it, under `state_dict`."""
    if not isinstance(found, dict):
        return
    items = cast("dict[object, object]", found)
    inner = items.get("state_dict")
    for name, value in (cast("dict[object, object]", inner) if isinstance(inner, dict) else items).items():
        yield str(name), value
