"""Reads torch pickles (zip and legacy) without running anything that they say; the only place that unpickles.

Neither `pickle` nor `torch.load` is used. `_machine` interprets the opcodes over plain values; `_allowed` is
the list of names that a file may mention, each with a stand-in of ours that checks its arguments;
`_torch_file` finds the pickle and its storages in either kind of file. A subclass of `pickle.Unpickler` would
be shorter, but its BUILD opcode sets attributes on whatever lies on the stack, the stand-ins included.
"""

from pathlib import Path

from pseudoword.errors import BadFile, UnsafePickle
from pseudoword.unpickle._errors import clear_damage
from pseudoword.unpickle._torch_file import is_legacy, is_zip, read_legacy, read_zip

__all__ = ["MAX_FILE", "is_legacy", "is_zip", "load_pickle", "loads", "refuse_unsafe_text"]

MAX_FILE = 256 << 20
"""Bytes; a file above this size is a model, no embedding, and is not read into memory."""


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


def refuse_unsafe_text(content: bytes, label: str) -> None:
    """Name what a pickle of the oldest protocols calls; these have no mark to know them by, so other files pass.

    Raises:
        UnsafePickle: it names something that is not on the allow-list.
    """
    try:
        with clear_damage(label):
            read_legacy(content)
    except UnsafePickle:
        raise
    except BadFile:
        return  # no pickle at all


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
    with clear_damage(label):
        if is_zip(content):
            return read_zip(content)
        if is_legacy(content):
            return read_legacy(content)
    refuse_unsafe_text(content, label)
    raise BadFile(f"{label}: no torch file by its content", expected="a file that torch.save wrote")
