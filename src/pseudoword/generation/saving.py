"""Where pictures go and how a PNG carries its infotext.

Folders and numbers follow A1111: `outputs/txt2img-images/<date>/<NNNNN>-<seed>.png`, grids in
`outputs/txt2img-grids/<date>/grid-<NNNN>.png`, each number one above the highest that is there.
"""

import re
from datetime import date
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pseudoword.errors import BadFile
from pseudoword.files import atomic_path

_PICTURE = re.compile(r"(\d+)-")
_GRID = re.compile(r"grid-(\d+)")


def next_picture_path(outputs_dir: Path, seed: int, today: date) -> Path:
    """A free path for one picture of this seed."""
    folder = outputs_dir / "txt2img-images" / today.isoformat()
    return folder / f"{_next_number(folder, _PICTURE):05d}-{seed}.png"


def next_grid_path(outputs_dir: Path, today: date) -> Path:
    """A free path for a grid."""
    folder = outputs_dir / "txt2img-grids" / today.isoformat()
    return folder / f"grid-{_next_number(folder, _GRID):04d}.png"


def save_png(image: Image.Image, path: Path, infotext: str = "") -> None:
    """Write a PNG whole or not at all, the infotext in its text chunk `parameters`."""
    info = PngInfo()
    if infotext:
        _add_text(info, infotext)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG", pnginfo=info)


def read_infotext(path: Path) -> str:
    """The infotext of a PNG, empty where there is none.

    Raises:
        BadFile: the file is no picture.
    """
    try:
        with Image.open(path) as image:
            return str(image.info.get("parameters", ""))
    except OSError as problem:
        raise BadFile(f"{path} cannot be read as a picture", expected="a PNG") from problem


def _add_text(info: PngInfo, text: str) -> None:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        info.add_itxt("parameters", text)
    else:
        info.add_text("parameters", text)


def _next_number(folder: Path, pattern: re.Pattern[str]) -> int:
    if not folder.is_dir():
        return 0
    found = (pattern.match(file.name) for file in folder.iterdir())
    return max((int(match.group(1)) for match in found if match), default=-1) + 1
