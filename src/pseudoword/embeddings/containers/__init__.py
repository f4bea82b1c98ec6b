"""Containers: what carries an embedding's raw mapping from keys to tensors and plain values.

One file per container, recognised by content, never by extension. A container knows no layout of keys.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pseudoword.embeddings.containers import pictures, safetensors_file, torch_legacy, torch_zip
from pseudoword.embeddings.containers.raw import Raw

__all__ = ["CONTAINERS", "Container", "Raw", "container_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One row of the table."""

    name: str
    recognise: Callable[[bytes], bool]
    read: Callable[[bytes, str], Raw]
    """Content and a label for errors → raw object; raises BadFile or UnsafePickle."""
    is_picture: bool = False
    """Whether the embedding's own name counts, and a file of the kind need not hold one."""


CONTAINERS: tuple[Container, ...] = (
    Container(name="torch-zip", recognise=torch_zip.recognise, read=torch_zip.read),
    Container(name="png", recognise=pictures.is_png, read=pictures.read_png, is_picture=True),
    Container(name="webp", recognise=pictures.is_webp, read=pictures.read_webp, is_picture=True),
    Container(name="avif", recognise=pictures.is_avif, read=pictures.read_avif, is_picture=True),
    Container(name="jxl", recognise=pictures.is_jxl, read=pictures.read_jxl, is_picture=True),
    # Before legacy pickles: a header of 128 + 256n bytes begins as they do, with a brace where no pickle has one.
    Container(name="safetensors", recognise=safetensors_file.recognise, read=safetensors_file.read),
    Container(name="torch-legacy", recognise=torch_legacy.recognise, read=torch_legacy.read),
)


def container_of(content: bytes) -> Container | None:
    """The container that this content is in, or None."""
    return next((container for container in CONTAINERS if container.recognise(content)), None)
