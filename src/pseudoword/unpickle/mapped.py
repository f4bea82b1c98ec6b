"""Reads checkpoints of many gigabytes: the pickle by our machine, the storages as views of the mapped file.

Nothing of a storage is read before somebody looks at its values, so that opening takes memory for the names
only, whatever the file's size. Zip: a stored member lies in the file as it is. Legacy: the storages follow the
pickle, in the order of a list behind it, so the pickle is read twice: for the sizes, then for the tensors.
"""

import mmap
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from pseudoword.errors import BadFile
from pseudoword.unpickle._allowed import Storage
from pseudoword.unpickle._errors import clear_damage
from pseudoword.unpickle._machine import interpret
from pseudoword.unpickle._torch_file import Archive, Legacy, is_legacy, is_zip

_MAX_OPCODES = 4_000_000
"""A pruned checkpoint takes some 60,000; one with averaged weights and an optimiser's state four times that."""
_MAX_MEMBERS = 100_000
_MAX_DIRECTORY = 32 << 20
_MAX_PICKLE = 128 << 20

_TAIL = (1 << 16) + 22 + 20
_END, _END_64, _LOCATOR_64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_LOCAL = b"PK\x03\x04"


def load_mapped(path: Path) -> object:
    """The object that `torch.save` wrote to `path`, of any size; its tensors are views of the mapped file.

    The views are good for reading and copying. The file must not change while they are in use.

    Raises:
        UnsafePickle: the pickle names something that is not on the allow-list.
        BadFile: missing, no torch file, or damaged.
    """
    try:
        stream = path.open("rb")
    except OSError as problem:
        raise BadFile(f"{path.name}: {problem.strerror or problem}") from problem
    with stream, clear_damage(path.name):
        start = stream.read(4)
        stream.seek(0)
        if is_zip(start):
            return _load_zip(stream)
        if is_legacy(start):
            content = _map(stream)
            return _MappedLegacy(stream, content).load()
    raise BadFile(f"{path.name}: no torch file by its content", expected="a file that torch.save wrote")


def _map(stream: IO[bytes]) -> memoryview:
    """The file's bytes, private and copied on writing: torch does not take memory that cannot be written."""
    return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))


def _load_zip(stream: IO[bytes]) -> object:
    content = _map(stream)
    _check_directory(content)
    with zipfile.ZipFile(stream) as archive:
        return _MappedArchive(archive, content).load()


class _MappedArchive(Archive):
    max_opcodes = _MAX_OPCODES

    def __init__(self, archive: zipfile.ZipFile, content: memoryview) -> None:
        super().__init__(archive, len(content))
        self.content = content
        self.budget = _MAX_PICKLE

    def content_of(self, info: zipfile.ZipInfo) -> memoryview:
        """The stored member's own bytes in the mapped file."""
        if info.compress_type != zipfile.ZIP_STORED:
            raise BadFile("a compressed member, which torch.save does not write")
        header = bytes(self.content[info.header_offset : info.header_offset + 30])
        if len(header) < 30 or not header.startswith(_LOCAL):
            raise BadFile("a member that is not where the zip says")
        start = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:30]))
        if start + info.file_size > len(self.content):
            raise BadFile("a member that reaches beyond the file's end")
        return self.content[start : start + info.file_size]


def _check_directory(content: memoryview) -> None:
    """Look at the end record, the 64-bit one where there is one, before `zipfile` builds an object per member."""
    tail = bytes(content[-_TAIL:])
    position = tail.rfind(_END)
    if position < 0 or position + 22 > len(tail):
        raise BadFile("the end of the zip is missing")
    num_members, size = struct.unpack("<HI", tail[position + 10 : position + 16])
    locator = tail[max(0, position - 20) : position]
    if locator.startswith(_LOCATOR_64):
        (start,) = struct.unpack("<Q", locator[8:16])
        record = bytes(content[start : start + 56])
        if len(record) < 56 or not record.startswith(_END_64):
            raise BadFile("the end of the zip is damaged")
        num_members, size = struct.unpack("<QQ", record[32:48])
    if num_members > _MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise BadFile("a zip with more members than a checkpoint has")


@dataclass(frozen=True, slots=True)
class _Unread(Storage):
    """A storage of known size and unknown place; its tensors are empty."""

    num_bytes: int = 0

    def tensor(self, offset: object, size: object, stride: object, dtype: torch.dtype | None = None) -> torch.Tensor:
        """An empty tensor, which nobody looks at."""
        return torch.empty(0)


class _MappedLegacy(Legacy):
    def __init__(self, stream: IO[bytes], content: memoryview) -> None:
        super().__init__(stream, len(content))
        self.content = content

    def load(self) -> object:
        self.check_header()
        start = self.stream.tell()
        interpret(self.stream, self.reference, _MAX_OPCODES)
        for key in self.keys():
            self.storages[key] = self._located(self.storages[key])
        self.stream.seek(start)
        return interpret(self.stream, self.reference, _MAX_OPCODES)

    def make_storage(self, num_bytes: int, dtype: torch.dtype | None) -> Storage:
        """Only its size, at the first reading."""
        return _Unread(bytearray(), dtype, num_bytes)

    def _located(self, storage: Storage) -> Storage:
        if not isinstance(storage, _Unread):
            raise BadFile("a storage that is listed twice")
        itemsize = storage.dtype.itemsize if storage.dtype else 1
        (num_values,) = struct.unpack("<q", self.stream.read(8))
        if num_values * itemsize != storage.num_bytes:
            raise BadFile("a storage of another length than the pickle says")
        start = self.stream.tell()
        if start + storage.num_bytes > len(self.content):
            raise BadFile("the file ends inside a storage")
        self.stream.seek(storage.num_bytes, 1)
        return Storage(self.content[start : start + storage.num_bytes], storage.dtype)
