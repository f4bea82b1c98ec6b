"""Reads torch pickles (zip and legacy) without running anything that they say; the only place that unpickles.

Neither `pickle` nor `torch.load` is used. `_machine` interprets the opcodes over plain values; `_allowed` is
the list of names that a file may mention, each with a stand-in of ours that checks its arguments;
`_torch_file` finds the pickle and its storages in either kind of file. A subclass of `pickle.Unpickler` would
be shorter, but its BUILD opcode sets attributes on whatever lies on the stack, the stand-ins included.
"""

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from pseudoword.errors import BadFile, UnsafePickle
from pseudoword.unpickle._torch_file import is_legacy, is_zip, read_legacy, read_zip

__all__ = ["MAX_FILE", "is_legacy", "is_zip", "load_pickle", "loads"]

MAX_FILE = 256 << 20
"""Bytes; a file above this size is a model, no embedding, and is not read into memory."""

_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    OverflowError,
    EOFError,
    OSError,
    MemoryError,
    Warning,  # an invalid escape in a protocol-0 text, where warnings are errors
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    lzma.LZMAError,
)


def load_pickle(path: Path) -> object:
    """Read the object that `torch.save` wrote to `path`.

    Raises:
        UnsafePickle: the pickle names something that is not on the allow-list.
        BadFile: missing, too large, no torch file, or damaged.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadFile(f"{path.name}: {path.stat().st_size >> 20} MiB", expected=f"at most {MAX_FILE >> 20} MiB")
        content = path.read_bytes()
    except OSError as problem:
        raise BadFile(f"{path.name}: {problem.strerror or problem}") from problem
    return loads(content, path.name)


def loads(content: bytes, label: str) -> object:
    """Read the object that `torch.save` wrote as `content`: mappings, lists, numbers, texts and tensors.

    Mappings come as `dict` (ParameterDict and OrderedDict too), tensors, parameters and numpy arrays as plain
    tensors on the CPU, which may be views of one storage.

    Args:
        content: the whole file.
        label: what to call it in errors.

    Raises:
        UnsafePickle: the pickle names something that is not on the allow-list.
        BadFile: no torch file, or damaged.
    """
    try:
        if is_zip(content):
            return read_zip(content)
        if is_legacy(content):
            return read_legacy(content)
    except UnsafePickle as problem:
        raise UnsafePickle(
            f"{label}: its pickle calls {problem.got}; nothing of it was run",
            expected="only what tensors are made of",
            next_move="Do not open this file with other programs; get a .safetensors of it",
        ) from None
    except BadFile as problem:
        raise _damaged(label, problem.got) from None
    except _DAMAGE as problem:
        raise _damaged(label, _words(problem)) from problem
    raise BadFile(f"{label}: no torch file by its content", expected="a file that torch.save wrote")


def _damaged(label: str, reason: str) -> BadFile:
    return BadFile(
        f"{label}: the torch file is damaged or of an unknown kind ({reason})",
        expected="a whole file that torch.save wrote",
        next_move="Download or copy it again",
    )


def _words(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text[:160]}" if text else type(problem).__name__
