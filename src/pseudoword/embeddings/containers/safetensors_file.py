"""The safetensors container: an 8-byte header length, a JSON header, then raw little-endian values.

Reading goes through the safetensors library; writing is done here, because the library puts the header's
metadata in an order that differs from run to run, and our files are to be the same bytes every time.
Format: https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Mapping
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from pseudoword.embeddings.containers.raw import Raw
from pseudoword.errors import BadFile

_LENGTH = 8
_ALIGNMENT = 8
_MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""


def recognise(content: bytes) -> bool:
    """Whether the content begins with a plausible header length and an opening brace."""
    return content[_LENGTH : _LENGTH + 1] == b"{" and int.from_bytes(content[:_LENGTH], "little") <= _MAX_HEADER


def read(content: bytes, label: str) -> Raw:
    """Tensors by key, and the header's `__metadata__`.

    Raises:
        BadFile: the file is damaged.
    """
    length = int.from_bytes(content[:_LENGTH], "little")
    if length > len(content) - _LENGTH:
        raise _damaged(label, f"its header says {length} bytes, {len(content) - _LENGTH} are there")
    try:
        tensors = load(content)
        header = cast("dict[str, object]", json.loads(content[_LENGTH : _LENGTH + length]))
    except (SafetensorError, ValueError, TypeError, LookupError, RuntimeError, OverflowError) as problem:
        raise _damaged(label, " ".join(str(problem).split())[:160]) from problem
    metadata = header.get("__metadata__") or {}
    return Raw(value=tensors, metadata=cast("dict[str, str]", metadata))


def write(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Float32 tensors in the mapping's order behind a header that is always the same for the same input."""
    header: dict[str, object] = {"__metadata__": {"format": "pt", **metadata}}
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
