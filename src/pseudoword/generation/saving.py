"""Where pictures go, and how each format carries its infotext.

Folders and numbers follow A1111 (reference a1111.md §3.4): `outputs/txt2img-images/<date>/<NNNNN>-<name>.png`, grids
in `outputs/txt2img-grids/<date>/grid-<NNNN>.png`, each number one above the highest that is there. The text goes
into a PNG's chunk `parameters`, and into EXIF `UserComment` elsewhere.
"""

import re
import struct
from datetime import date
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pseudoword.errors import BadFile, BadOption
from pseudoword.files import atomic_path
from pseudoword.generation.metadata import EXIF_IFD, USER_COMMENT
from pseudoword.generation.naming import SUFFIXES, format_of

_QUALITY: dict[str, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": "4:4:4"},
    "webp": {"quality": 95},
    "avif": {"quality": 90},
}
_LONG, _UNDEFINED = 4, 7
"""Types of TIFF fields."""
_PICTURE = re.compile(r"(\d+)-")
_GRID = re.compile(r"grid-(\d+)")


def next_picture_path(
    outputs_dir: Path, name: str | int, today: date, suffix: str = ".png", kind: str = "txt2img"
) -> Path:
    """A free path for one picture; `name` is what follows the number, A1111's own choice being the seed."""
    folder = outputs_dir / f"{kind}-images" / today.isoformat()
    number = f"{_next_number(folder, _PICTURE):05d}"
    return folder / f"{number}-{name}{suffix}"


def next_grid_path(outputs_dir: Path, today: date, suffix: str = ".png", kind: str = "txt2img") -> Path:
    """A free path for a grid."""
    folder = outputs_dir / f"{kind}-grids" / today.isoformat()
    return folder / f"grid-{_next_number(folder, _GRID):04d}{suffix}"


def save_picture(image: Image.Image, path: Path, infotext: str = "") -> None:
    """Write a picture in the format of its suffix, whole or not at all, the infotext inside.

    Raises:
        BadFile: the text is longer than the format can carry (JPEG: about 32,000 letters), or it cannot be written.
    """
    kind = format_of(path)
    if kind is None:
        raise BadOption(f"the file name {path.name}", expected=f"one that ends in {', '.join(SUFFIXES.values())}")
    extra: dict[str, Any] = {}
    if infotext:
        extra = {"pnginfo": _chunk(infotext)} if kind == "png" else {"exif": _exif(infotext)}
    with atomic_path(path) as temporary:
        try:
            image.save(temporary, format=kind.upper(), **_QUALITY[kind], **extra)
        except ValueError as problem:
            raise BadFile(
                f"{path.name} cannot hold a text of {len(infotext)} letters ({problem})", next_move="Save it as PNG"
            ) from problem


def save_png(image: Image.Image, path: Path, infotext: str = "") -> None:
    """As `save_picture`, for paths that end in `.png`."""
    assert path.suffix.lower() == ".png"
    save_picture(image, path, infotext)


def _chunk(text: str) -> PngInfo:
    info = PngInfo()
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        info.add_itxt("parameters", text)
    else:
        info.add_text("parameters", text)
    return info


def _exif(text: str) -> bytes:
    """A TIFF block of one EXIF field, of the type UNDEFINED: Pillow would write BYTE, which A1111 cannot read."""
    comment = b"UNICODE\0" + text.encode("utf-16-be")
    pointer = struct.pack(">4sIHHHIII", b"MM\0*", 8, 1, EXIF_IFD, _LONG, 1, 26, 0)
    entry = struct.pack(">HHHIII", 1, USER_COMMENT, _UNDEFINED, len(comment), 44, 0)
    return b"Exif\0\0" + pointer + entry + comment


def _next_number(folder: Path, pattern: re.Pattern[str]) -> int:
    if not folder.is_dir():
        return 0
    found = (pattern.match(file.name) for file in folder.iterdir())
    return max((int(match.group(1)) for match in found if match), default=-1) + 1
