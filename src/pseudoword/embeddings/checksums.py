"""Short and long digests of vectors: A1111's four digits, and a sha256 that does not depend on the file.

A1111's checksum (reference a1111.md §1.5): over the float32 values times 100, cut to whole numbers, in row-major
order: r ← (r·281) XOR (k·997) in 32 bits; shown as the last 16 bits. It matches `.optim` files to embeddings, and
old infotexts have it in brackets behind the name.
"""

import hashlib
from collections.abc import Mapping

import torch

_FACTOR, _STIR = 281, 997
_BITS = 0xFFFF
"""Only the last 16 of A1111's 32 bits are shown, and no operation carries bits downwards."""


def a1111_checksum(vectors: Mapping[str, torch.Tensor]) -> str | None:
    """Four hex digits for the lone table of `vectors`.

    Returns:
        None where A1111 has none: for several tables, and for values that are no whole number after cutting (NaN,
        infinity).
    """
    if len(vectors) != 1:
        return None
    (table,) = vectors.values()
    hundredfold = table.detach().to("cpu", torch.float32).reshape(-1) * 100
    if not bool(torch.isfinite(hundredfold).all()):
        return None
    r = 0
    for value in hundredfold.tolist():
        r = (r * _FACTOR ^ int(value) * _STIR) & _BITS
    return f"{r:04x}"


def vectors_sha256(table: torch.Tensor) -> str:
    """sha256, in hex, of a table's values as row-major little-endian float32; half precision is widened exactly."""
    values = table.detach().to("cpu", torch.float32).contiguous().numpy()
    return hashlib.sha256(values.astype("<f4", copy=False).tobytes()).hexdigest()
