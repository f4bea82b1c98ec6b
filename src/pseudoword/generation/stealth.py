"""Text hidden in the lowest bits of a picture's alpha channel, as NovelAI and an extension of A1111 put it there.

Bits run down the columns, left to right: a mark of 15 letters, the number of data bits in 32 bits, the data; after
`stealth_pngcomp` these are gzip.
"""

import zlib
from typing import Any

import numpy as np
from PIL import Image

_PLAIN, _PACKED = b"stealth_pnginfo", b"stealth_pngcomp"
_MOST = 4 << 20
"""Bytes of a hidden text; a packed one could be a bomb."""


def hidden_text(image: Image.Image) -> str:
    """The text in the alpha channel of an RGBA picture; empty where there is none. Decodes the picture."""
    if image.mode != "RGBA":
        return ""
    alpha: Any = np.asarray(image.getchannel("A")).T
    columns = -(-(len(_PLAIN) + 4) * 8 // max(1, alpha.shape[1]))
    head = np.packbits(alpha[:columns].reshape(-1) & 1).tobytes()
    mark, length = head[: len(_PLAIN)], int.from_bytes(head[len(_PLAIN) : len(_PLAIN) + 4], "big") // 8
    if mark not in (_PLAIN, _PACKED) or not 0 < length <= _MOST:
        return ""
    data = np.packbits(alpha.reshape(-1) & 1).tobytes()[len(mark) + 4 :][:length]
    if mark == _PACKED:
        try:
            data = zlib.decompressobj(wbits=31).decompress(data, _MOST)
        except zlib.error:
            return ""
    return data.decode("utf-8", "replace")
