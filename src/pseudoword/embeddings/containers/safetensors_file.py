"""The safetensors container: an 8-byte header length, a JSON header, then raw little-endian values.

Both ways are written here. The safetensors library writes a header's metadata in an order that differs from run to
run, and reads every tensor of a file, where of a LoRA file a few are wanted: here tensors are views of the file.
Everything that the format forbids is refused: https://github.com/huggingface/safetensors#format
"""

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from pseudoword.embeddings.containers.raw import Raw
from pseudoword.errors import BadFile

_LENGTH = 8
_ALIGNMENT = 8
_MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""
_MAX_SIGNS = 1_000_000
"""Of each of `{ [ , :` in a header: what bounds the objects that parsing makes."""
_MAX_TENSORS = 50_000
_MAX_DIMENSIONS = 16
_METADATA = "__metadata__"

_DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
    "U16": torch.uint16,
    "U32": torch.uint32,
    "U64": torch.uint64,
}


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


def recognise(content: bytes) -> bool:
    """Whether the content begins with a plausible header length and an opening brace."""
    return content[_LENGTH : _LENGTH + 1] == b"{" and int.from_bytes(content[:_LENGTH], "little") <= _MAX_HEADER


def read(content: bytes, label: str) -> Raw:
    """Tensors by key, in the order of their values in the file, and the header's `__metadata__`.

    Raises:
        BadFile: the file is damaged.
    """
    entries, metadata, start = _parse(content, label)
    values = bytearray(memoryview(content)[start:])
    return Raw(value={entry.key: _tensor(values, entry, 0) for entry in entries}, metadata=metadata)


def read_large(path: Path) -> Raw:
    """As `read`, for a file that is not read into memory; only what is looked at later is.

    Raises:
        BadFile: the file is damaged.
    """
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    entries, metadata, start = _parse(cast("bytes", content), path.name)
    return Raw(value={entry.key: _tensor(content, entry, start) for entry in entries}, metadata=metadata)


def _tensor(values: bytearray | mmap.mmap, entry: _Entry, start: int) -> torch.Tensor:
    count = math.prod(entry.shape)
    if count == 0:
        return torch.empty(entry.shape, dtype=entry.dtype)
    values_from = start + entry.start
    return torch.frombuffer(values, dtype=entry.dtype, count=count, offset=values_from).reshape(entry.shape)


def _parse(content: bytes, label: str) -> tuple[list[_Entry], dict[str, str], int]:
    """Entries in the order of their values, metadata, and where the values begin."""
    length = int.from_bytes(content[:_LENGTH], "little")
    start = _LENGTH + length
    if start > len(content):
        raise _damaged(label, f"its header says {length} bytes, {max(0, len(content) - _LENGTH)} are there")
    try:
        header = _header(content[_LENGTH:start])
        metadata = _metadata(header.pop(_METADATA, None))
        entries = sorted((_entry(key, about) for key, about in header.items()), key=lambda entry: entry.start)
        _check_gapless(entries, len(content) - start)
    except (ValueError, RecursionError) as problem:
        raise _damaged(label, " ".join(str(problem).split())[:160]) from problem
    return entries, metadata, start


def _header(text: bytes) -> dict[str, object]:
    if max(text.count(sign) for sign in (b"{", b"[", b",", b":")) > _MAX_SIGNS:
        raise ValueError("a header of more parts than any model has")
    header = json.loads(text, object_pairs_hook=_without_doubles)
    if not isinstance(header, dict) or len(header) > _MAX_TENSORS:
        raise ValueError("a header that is no mapping, or of too many tensors")
    return cast("dict[str, object]", header)


def _without_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key that is there twice")
    return mapping


def _metadata(value: object) -> dict[str, str]:
    texts = value if value is not None else {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("metadata that is no mapping of texts")
    return cast("dict[str, str]", texts)


def _entry(key: str, about: object) -> _Entry:
    if not isinstance(about, dict) or set(about) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{key[:40]!r} without dtype, shape and data_offsets")
    fields = cast("dict[str, object]", about)
    dtype = _DTYPES.get(str(fields["dtype"]))
    if dtype is None:
        raise ValueError(f"{key[:40]!r} has the number type {str(fields['dtype'])[:20]}")
    shape = _counts(fields["shape"], _MAX_DIMENSIONS)
    offsets = _counts(fields["data_offsets"], 2)
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{key[:40]!r} has a shape that does not fit its data_offsets")
    return _Entry(key, dtype, shape, *offsets)


def _counts(value: object, most: int) -> tuple[int, ...]:
    if not isinstance(value, list) or len(cast("list[object]", value)) > most:
        raise ValueError("a shape or offsets that are no short list")
    counts = tuple(cast("list[int]", value))
    if not all(type(count) is int and 0 <= count < 1 << 48 for count in counts):
        raise ValueError("a shape or offsets that are no counts")
    return counts


def _check_gapless(entries: list[_Entry], num_bytes: int) -> None:
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        if entry.start != position:
            raise ValueError(f"values of {entry.key[:40]!r} that overlap others or leave a gap")
        position = entry.end
    if position != num_bytes:
        raise ValueError(f"{num_bytes} bytes of values where the header says {position}")


def write(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Float32 tensors in the mapping's order behind a header that is always the same for the same input."""
    header: dict[str, object] = {_METADATA: {"format": "pt", **metadata}}
    values: list[bytes] = []
    position = 0
    for key, tensor in tensors.items():
        raw = tensor.to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
        header[key] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [position, position + len(raw)],
        }
        values.append(raw)
        position += len(raw)
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(_LENGTH, "little") + text + b"".join(values)


def _damaged(label: str, reason: str) -> BadFile:
    return BadFile(
        f"{label}: the safetensors file is damaged ({reason})",
        expected="a whole file",
        next_move="Download or copy it again",
    )
