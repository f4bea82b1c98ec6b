"""The names that a torch pickle may mention, each with a stand-in that checks what it is given.

Covers what A1111 1.10's restricted reader allows (reference a1111.md §1.6), and the few names that newer torch
and numpy write for the same values. Tensors are built as views of their storage, checked to lie inside it; no
memory is taken for a size that a file merely claims.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch

from pseudoword.errors import BadFile, UnsafePickle

_MAX_EXPANDED = 1 << 24
"""Values that a tensor may show beyond its storage's own (a stride of 0)."""

_MAX_DIMENSIONS = 8


@dataclass(frozen=True, slots=True)
class StandIn:
    """A function or class of the file, replaced by one of ours."""

    name: str
    call: Callable[..., object]


@dataclass(frozen=True, slots=True)
class StorageType:
    """A storage class; `dtype` is None for untyped bytes."""

    dtype: torch.dtype | None


class Node:
    """An object of the file that gets its content by a later BUILD; `built` is its value from then on."""

    built: object = None

    def build(self, state: object) -> None:
        """Take the state.

        Raises:
            BadFile: it is not what the class saves.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes of a file that tensors are views of; `dtype` is None for untyped bytes."""

    content: bytearray | memoryview
    dtype: torch.dtype | None

    def tensor(self, offset: object, size: object, stride: object, dtype: torch.dtype | None = None) -> torch.Tensor:
        """A view of shape `size`; offset and stride count values.

        Raises:
            BadFile: it would reach outside the storage.
        """
        dtype = self.dtype or dtype
        if dtype is None:
            raise BadFile("a tensor without a number type")
        sizes, strides = _counts(size), _counts(stride)
        (start,) = _counts((offset,))
        if len(sizes) != len(strides):
            raise BadFile("a tensor whose sizes and strides do not match")
        if 0 in sizes:
            return torch.empty(sizes, dtype=dtype)
        num_values = len(self.content) // dtype.itemsize
        last = start + sum((length - 1) * step for length, step in zip(sizes, strides, strict=True))
        if last >= num_values or math.prod(sizes) > max(num_values, _MAX_EXPANDED):
            raise BadFile("a tensor that reaches outside its storage")
        flat = torch.frombuffer(self.content, dtype=dtype, count=num_values)
        return flat.as_strided(sizes, strides, start)


def _counts(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > _MAX_DIMENSIONS:
        raise BadFile("a tensor whose shape is no short list")
    counts = tuple(cast("tuple[object, ...]", values))
    if not all(type(count) is int and 0 <= count < 1 << 40 for count in counts):
        raise BadFile("a tensor whose shape is not made of counts")
    return cast("tuple[int, ...]", counts)


def _storage(value: object) -> Storage:
    if not isinstance(value, Storage):
        raise BadFile("a tensor without a storage")
    return value


def _tensor(value: object) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise BadFile("a parameter that is no tensor")
    return value


def _rebuild_tensor(storage: object, offset: object, size: object, stride: object, *_: object) -> torch.Tensor:
    return _storage(storage).tensor(offset, size, stride)


def _rebuild_tensor_v3(storage: object, offset: object, size: object, stride: object, *rest: object) -> torch.Tensor:
    dtype = rest[2] if len(rest) > 2 else None  # behind requires_grad and the backward hooks
    if not isinstance(dtype, torch.dtype):
        raise BadFile("a tensor without a number type")
    return _storage(storage).tensor(offset, size, stride, dtype)


def _rebuild_parameter(data: object, *_: object) -> torch.Tensor:
    return _tensor(data)


def _rebuild_from_numpy(data: object, dtype: object = None, *_: object) -> torch.Tensor:
    return _tensor(data).to(dtype) if isinstance(dtype, torch.dtype) else _tensor(data)


def _rebuild_from_type(function: object, kind: object, arguments: object, *_: object) -> object:
    """A tensor with attributes of its own, which are left out."""
    if not isinstance(function, StandIn) or not isinstance(kind, StandIn) or not isinstance(arguments, tuple):
        raise BadFile("a tensor that is made by something else")
    return _tensor(function.call(*cast("tuple[object, ...]", arguments)))


def _parameter(data: object = None, *_: object) -> torch.Tensor:
    return _tensor(data)


class _ParameterDict(Node):
    """`torch.nn.ParameterDict`: its `_parameters` (all torch versions), as a dict."""

    def __init__(self, *arguments: object) -> None:
        if arguments:
            raise BadFile("a ParameterDict with arguments")

    def build(self, state: object) -> None:
        held = cast("dict[object, object]", state).get("_parameters") if isinstance(state, dict) else None
        if not isinstance(held, dict):
            raise BadFile("a ParameterDict without parameters")
        self.built = held


_NUMPY_TYPES: dict[str, torch.dtype] = {
    "f2": torch.float16,
    "f4": torch.float32,
    "f8": torch.float64,
    "i1": torch.int8,
    "i2": torch.int16,
    "i4": torch.int32,
    "i8": torch.int64,
    "u1": torch.uint8,
    "b1": torch.bool,
}


class _NumpyType(Node):
    def __init__(self, text: object, *_: object) -> None:
        if text not in _NUMPY_TYPES:
            raise BadFile("a numpy number type that no embedding has")
        self.dtype = _NUMPY_TYPES[str(text)]

    def build(self, state: object) -> None:
        order = cast("tuple[object, ...]", state)[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", "|", "="):
            raise BadFile("numpy values in big-endian order")
        self.built = self


def _numpy_type(value: object) -> torch.dtype:
    if not isinstance(value, _NumpyType):
        raise BadFile("numpy values without a number type")
    return value.dtype


def _raw(value: object) -> bytearray:
    if isinstance(value, str):
        return bytearray(value.encode("latin-1"))  # Python 2 has one type for both
    if not isinstance(value, bytes | bytearray):
        raise BadFile("numpy values without bytes")
    return bytearray(value)


def _numpy_scalar(kind: object, raw: object) -> object:
    dtype, content = _numpy_type(kind), _raw(raw)
    if len(content) != dtype.itemsize:
        raise BadFile("a numpy number of the wrong length")
    return torch.frombuffer(content, dtype=dtype).item()


class _Array(Node):
    def __init__(self, *_: object) -> None:
        """Class, shape and type that numpy gives here are placeholders; BUILD brings the real ones."""

    def build(self, state: object) -> None:
        if not isinstance(state, tuple) or len(cast("tuple[object, ...]", state)) != 5:
            raise BadFile("a numpy array without content")
        _, shape, kind, is_fortran, raw = cast("tuple[object, ...]", state)
        sizes, dtype, content = _counts(shape), _numpy_type(kind), _raw(raw)
        if math.prod(sizes) * dtype.itemsize != len(content):
            raise BadFile("a numpy array whose shape and bytes do not match")
        if not content:
            self.built = torch.empty(sizes, dtype=dtype)
            return
        flat = torch.frombuffer(content, dtype=dtype)
        by_columns = tuple(reversed(range(len(sizes))))
        self.built = flat.reshape(sizes[::-1]).permute(by_columns) if is_fortran else flat.reshape(sizes)


def _array_of_bytes(raw: object, kind: object, shape: object, order: object = "C", *_: object) -> torch.Tensor:
    """numpy's `_frombuffer`, which pickles of protocol 5 have in place of an array that is built."""
    if order not in ("C", "F"):
        raise BadFile("a numpy array in an order that is none")
    array = _Array()
    array.build((1, shape, kind, order == "F", raw))
    return _tensor(array.built)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise BadFile("bytes in an encoding that numpy does not use")
    return text.encode("latin-1")


def _inert(*_: object) -> object:
    raise BadFile("an object of a program that trained a model, where a name of it was expected")


def _empty_bytes(*arguments: object) -> bytes:
    if arguments:
        raise BadFile("bytes made from something else")
    return b""  # protocol 2 has no other way to write it


def _ordered_dict(*arguments: object) -> dict[object, object]:
    if arguments:
        raise BadFile("an OrderedDict with arguments")
    return {}


def _set(items: object = ()) -> set[object]:
    members = cast("list[object]", items) if isinstance(items, tuple | list) else None
    if members is None or not all(isinstance(member, str) for member in members):
        raise BadFile("a set of other things than texts")
    return set(members)


_FUNCTIONS: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _ordered_dict,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
    "builtins.set": _set,
    "__builtin__.set": _set,
    "_codecs.encode": _encode,
    "torch.Size": lambda sizes=(): _counts(sizes),
    "torch.device": lambda *_: None,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
    "torch._utils._rebuild_device_tensor_from_numpy": _rebuild_from_numpy,
    "torch._tensor._rebuild_from_type_v2": _rebuild_from_type,
    "torch.Tensor": _parameter,
    "torch.nn.parameter.Parameter": _parameter,
    "torch.nn.modules.container.ParameterDict": _ParameterDict,
    **{
        f"numpy.{core}.multiarray.{name}": call
        for core in ("core", "_core")
        for name, call in (("scalar", _numpy_scalar), ("_reconstruct", _Array))
    },
    **{f"numpy.{core}.numeric._frombuffer": _array_of_bytes for core in ("core", "_core")},
    **{
        f"{program}.callbacks.model_checkpoint.ModelCheckpoint": _inert  # the key of its settings in a checkpoint
        for program in ("pytorch_lightning", "lightning.pytorch")
    },
    "numpy.dtype": _NumpyType,
    "numpy.ndarray": _Array,
}

_STORAGES: dict[str, torch.dtype | None] = {
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.DoubleStorage": torch.float64,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.ShortStorage": torch.int16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.BoolStorage": torch.bool,
    "torch.UntypedStorage": None,
    "torch.storage.UntypedStorage": None,
}

_DTYPES = frozenset(
    {
        *("float16", "float32", "float64", "bfloat16", "half", "float", "double"),
        *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
        *("uint8", "int8", "int16", "int32", "int64", "bool"),
    }
)


def find_global(module: str, name: str) -> StandIn | StorageType | torch.dtype:
    """The stand-in for a name of the file.

    Raises:
        UnsafePickle: it is not on the list; `got` is the dotted name.
    """
    dotted = f"{module}.{name}"
    if dotted in _FUNCTIONS:
        return StandIn(dotted, _FUNCTIONS[dotted])
    if dotted in _STORAGES:
        return StorageType(_STORAGES[dotted])
    if module == "torch" and name in _DTYPES:
        return cast("torch.dtype", getattr(torch, name))
    raise UnsafePickle(dotted)
