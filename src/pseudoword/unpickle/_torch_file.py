"""The two files that `torch.save` writes: a zip (since torch 1.6) and the legacy chain of pickles.

Zip: `<dir>/data.pkl` with storages in `<dir>/data/<key>`. Legacy: five pickles (magic number, protocol,
system, the object, the keys of its storages), then per storage a little-endian int64 count and raw values.
Bounded: member count, central directory and the sum of all bytes read are held against the file's own size.
"""

import io
import re
import struct
import zipfile
from typing import IO, cast

import torch

from pseudoword.errors import BadFile
from pseudoword.unpickle._allowed import StandIn, Storage, StorageType
from pseudoword.unpickle._machine import MAX_OPCODES, interpret

_MAGIC = 0x1950A86A20F9469CFC6C
_MAGIC_TEXT = b"L%dL\n." % _MAGIC
"""The same as protocol 1 has it, which puts no mark of its own before it."""
_PROTOCOL = 1001
_MAX_MEMBERS = 10_000
_MAX_DIRECTORY = 4 << 20
_MAX_INFLATED = 64 << 20
"""Bytes that compressed members may hold beyond the file's own size (torch itself never compresses)."""

_END = b"PK\x05\x06"
_PICKLE_MEMBER = re.compile(r"([^/]+)/data\.pkl")


def is_zip(content: bytes) -> bool:
    """Whether the content begins as a zip does."""
    return content.startswith(b"PK\x03\x04")


def is_legacy(content: bytes) -> bool:
    """Whether the content begins as a binary pickle does (PROTO and a protocol number), or with torch's number."""
    return (len(content) > 2 and content[0] == 0x80 and content[1] <= 5) or content.startswith(_MAGIC_TEXT)


def read_zip(content: bytes) -> object:
    """The object of a zip that `torch.save` wrote.

    Raises:
        UnsafePickle, BadFile, and what `zipfile` raises on damage.
    """
    _check_directory(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return Archive(archive, len(content)).load()


def _check_directory(content: bytes) -> None:
    """Look at the end record before `zipfile` builds one object per member."""
    position = content.rfind(_END, max(0, len(content) - (1 << 16) - 22))
    if position < 0 or position + 22 > len(content):
        raise BadFile("the end of the zip is missing")
    num_members, size = struct.unpack("<HI", content[position + 10 : position + 16])
    if num_members > _MAX_MEMBERS or size > _MAX_DIRECTORY:
        raise BadFile("a zip with more members than a torch file of this kind has")


class Archive:
    """One zip file; `mapped` reads large ones in another way."""

    max_opcodes = MAX_OPCODES

    def __init__(self, archive: zipfile.ZipFile, file_size: int) -> None:
        self.archive = archive
        self.budget = file_size + _MAX_INFLATED
        self.members = {info.filename: info for info in archive.infolist()}
        if len(self.members) != len(archive.infolist()):
            raise BadFile("a zip with two members of one name")
        found = [match[1] for name in self.members if (match := _PICKLE_MEMBER.fullmatch(name))]
        if len(found) != 1:
            raise BadFile("a zip that torch.save did not write")
        self.folder = found[0]
        self.storages: dict[str, bytearray | memoryview] = {}

    def load(self) -> object:
        order = self.members.get(f"{self.folder}/byteorder")
        if order is not None and self._read(order).strip() != b"little":
            raise BadFile("values in big-endian order")
        pickled = self._read(self.members[f"{self.folder}/data.pkl"])
        return interpret(io.BytesIO(pickled), self.storage, self.max_opcodes)

    def content_of(self, info: zipfile.ZipInfo) -> bytearray | memoryview:
        return bytearray(self._read(info))

    def _read(self, info: zipfile.ZipInfo) -> bytes:
        self.budget -= info.file_size
        if self.budget < 0:
            raise BadFile("a zip whose members hold far more than the file")
        with self.archive.open(info) as member:
            return member.read(info.file_size)

    def storage(self, key: object) -> Storage:
        storage_type, name, num_values = _storage_key(key)
        if name not in self.storages:
            self.storages[name] = self.content_of(self.members[f"{self.folder}/data/{name}"])
        content = self.storages[name]
        dtype = storage_type.dtype
        if num_values * (dtype.itemsize if dtype else 1) > len(content):
            raise BadFile("a storage that is shorter than the pickle says")
        return Storage(content, dtype)


def _storage_key(key: object) -> tuple[StorageType, str, int]:
    """Type, key and count of `("storage", type, key, location, count, …)`."""
    parts = cast("tuple[object, ...]", key) if isinstance(key, tuple) else ()
    if len(parts) < 5 or parts[0] != "storage":
        raise BadFile("a reference that is no storage")
    _, storage_type, name, _, num_values = parts[:5]
    if not isinstance(storage_type, StorageType) or not isinstance(name, str):
        raise BadFile("a storage without type or key")
    if not isinstance(num_values, int) or not 0 <= num_values < 1 << 40:
        raise BadFile("a storage without a count")
    return storage_type, name, num_values


def read_legacy(content: bytes) -> object:
    """The object of a file that `torch.save` wrote before 1.6, or with the old serialisation.

    Raises:
        UnsafePickle, BadFile, and what parsing raises on damage.
    """
    return Legacy(io.BytesIO(content), len(content)).load()


class Legacy:
    """One legacy file, read from its beginning; `mapped` reads large ones in another way."""

    def __init__(self, stream: IO[bytes], file_size: int) -> None:
        self.stream = stream
        self.budget = file_size
        self.storages: dict[str, Storage] = {}

    def load(self) -> object:
        self.check_header()
        loaded = interpret(self.stream, self.reference)
        for key in self.keys():
            self._fill(self.storages[key])
        return loaded

    def check_header(self) -> None:
        if self._plain() != _MAGIC:
            raise BadFile("a pickle that torch.save did not write")
        if self._plain() != _PROTOCOL:
            raise BadFile("an unknown version of the legacy torch format")
        system = self._plain()
        if isinstance(system, dict) and cast("dict[object, object]", system).get("little_endian") is False:
            raise BadFile("values in big-endian order")

    def keys(self) -> list[str]:
        keys = self._plain()
        if not isinstance(keys, list):
            raise BadFile("a list of storages that is none")
        return [str(key) for key in cast("list[object]", keys)]

    def _plain(self) -> object:
        return interpret(self.stream, _no_reference)

    def reference(self, key: object) -> object:
        parts = cast("tuple[object, ...]", key) if isinstance(key, tuple) else ()
        if len(parts) == 4 and parts[0] == "module" and isinstance(parts[1], StandIn):
            return parts[1]  # a class, saved together with its source text, which is left unread
        return self._storage(key)

    def _storage(self, key: object) -> Storage:
        storage_type, name, num_values = _storage_key(key)
        view = cast("tuple[object, ...]", key)[5:]
        if view not in ((), (None,)):
            raise BadFile("a view of a storage, which torch has not written since 0.4")
        if name not in self.storages:
            dtype = storage_type.dtype
            num_bytes = num_values * (dtype.itemsize if dtype else 1)
            self.budget -= num_bytes
            if self.budget < 0:
                raise BadFile("storages that are longer than the file")
            self.storages[name] = self.make_storage(num_bytes, dtype)
        return self.storages[name]

    def make_storage(self, num_bytes: int, dtype: torch.dtype | None) -> Storage:
        return Storage(bytearray(num_bytes), dtype)

    def _fill(self, storage: Storage) -> None:
        itemsize = storage.dtype.itemsize if storage.dtype else 1
        (num_values,) = struct.unpack("<q", self.stream.read(8))
        if num_values * itemsize != len(storage.content):
            raise BadFile("a storage of another length than the pickle says")
        values = self.stream.read(len(storage.content))
        if len(values) != len(storage.content):
            raise BadFile("the file ends inside a storage")
        storage.content[:] = values


def _no_reference(_: object) -> object:
    raise BadFile("a storage where none can be")
