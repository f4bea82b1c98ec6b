"""What reading a torch file raises, turned into this package's errors with the file's name in them."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pseudoword.errors import BadFile, UnsafePickle

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


@contextmanager
def clear_damage(label: str) -> Iterator[None]:
    """Name the file `label` in whatever is raised inside the block.

    Raises:
        UnsafePickle: the pickle names something that is not on the allow-list.
        BadFile: everything else that damage can cause.
    """
    try:
        yield
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


def _damaged(label: str, reason: str) -> BadFile:
    return BadFile(
        f"{label}: the torch file is damaged or of an unknown kind ({reason})",
        expected="a whole file that torch.save wrote",
        next_move="Download or copy it again",
    )


def _words(problem: BaseException) -> str:
    text = " ".join(str(problem).split())
    return f"{type(problem).__name__}: {text[:160]}" if text else type(problem).__name__
