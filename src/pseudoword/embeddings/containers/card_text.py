"""A1111's JSON form of an embedding, in which a tensor is `{"TORCHTENSOR": nested list of numbers}`.

Picture cards carry it, as base64 in a text chunk and deflated in their pixels (reference a1111.md §1.4).
"""

import json
from collections.abc import Mapping
from typing import cast

import torch

from pseudoword.errors import BadFile

MAX_TEXT = 16 << 20
"""Bytes of JSON; 75 vectors for two encoders take 4 MiB."""

_TENSOR = "TORCHTENSOR"


def decode(text: bytes) -> dict[str, object]:
    """The mapping with its tensors in float32.

    Raises:
        BadFile: too long, no JSON, no mapping, or a tensor that is none.
    """
    if len(text) > MAX_TEXT:
        raise BadFile(f"{len(text) >> 20} MiB of JSON", expected=f"at most {MAX_TEXT >> 20} MiB")
    try:
        value = json.loads(text, object_hook=_tensor)
    except (ValueError, TypeError, RuntimeError, RecursionError, OverflowError) as problem:
        raise BadFile(f"the embedding in the picture is damaged ({type(problem).__name__})") from problem
    if not isinstance(value, dict):
        raise BadFile("the picture holds JSON that is no embedding")
    return cast("dict[str, object]", value)


def _tensor(mapping: dict[str, object]) -> object:
    if set(mapping) != {_TENSOR}:
        return mapping
    return torch.tensor(mapping[_TENSOR], dtype=torch.float32)


def encode(value: Mapping[str, object]) -> bytes:
    """UTF-8 JSON; numbers in the shortest form that gives the same float32 back."""
    return json.dumps(value, default=_plain).encode()


def _plain(value: object) -> object:
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"a card has no form for a {type(value).__name__}")
    return {_TENSOR: value.tolist()}
