"""What every container is read into, before any layout of keys is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """The object of a file; for embeddings a mapping from keys to tensors and plain values."""

    value: object
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Header texts, where the container has them."""
