"""The pictures of a folder, as a model wants them: upright, opaque, square, in -1 … 1."""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from pseudoword.errors import BadPictures
from pseudoword.events import Event, Progress, Warned
from pseudoword.training.captions import words_for

_IGNORED = {".txt", ".md", ".json", ".jsonl", ".csv", ".svg", ".ini", ".db", ".pt", ".bin", ".safetensors"}
_GROUND = "white"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One training picture: `pixels` [3, r, r] in -1 … 1, the words of its caption, a digest of file and words."""

    path: Path
    words: str
    sha256: str
    pixels: torch.Tensor


def load_pictures(folder: Path, resolution: int) -> Iterator[Event | list[Picture]]:
    """Yield events while reading and, last, the pictures in the order of their names.

    Every file that Pillow reads counts; EXIF rotation is applied, alpha is laid on white, the middle square
    is taken (nothing is squashed). A file that cannot be read is named in a `Warned` and passed over.

    Args:
        folder: looked through without its subfolders, hidden files left out.
        resolution: edge of the result in pixels.

    Raises:
        BadPictures: the folder does not exist or no file in it can be read as a picture.
    """
    check_pictures_folder(folder)
    candidates = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.suffix.lower() not in _IGNORED
    )
    found: list[Picture] = []
    for number, file in enumerate(candidates, 1):
        try:
            found.append(_load(file, resolution))
        except Exception as problem:  # noqa: BLE001  # decoders raise anything for damaged files
            kind = "no picture" if isinstance(problem, UnidentifiedImageError) else "damaged"
            yield Warned(message=f"{file.name} is skipped: {kind}")
        yield Progress(label="reading pictures", done=number, total=len(candidates))
    if not found:
        raise BadPictures(
            f"no picture in {folder} ({len(candidates)} other files)",
            expected="PNG, JPEG, WebP or any other format that Pillow reads",
            next_move="Put a few pictures there (5 to 30 are enough)",
        )
    yield found


def check_pictures_folder(folder: Path) -> None:
    """Whether there is such a folder.

    Raises:
        BadPictures: there is none.
    """
    try:
        there = folder.is_dir()
    except (OSError, ValueError):  # too long, or with a null character
        there = False
    if not there:
        raise BadPictures(f"no folder {folder}", expected="a folder with pictures", next_move="Check the path")


def _load(file: Path, resolution: int) -> Picture:
    content = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata of files that it reads well
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            square = ImageOps.fit(_opaque(image), (resolution, resolution), Image.Resampling.LANCZOS)
    words = words_for(file)
    array = np.asarray(square, dtype=np.float32) / 127.5 - 1
    return Picture(
        path=file,
        words=words,
        sha256=hashlib.sha256(content + b"\0" + words.encode()).hexdigest(),
        pixels=torch.from_numpy(array).permute(2, 0, 1).contiguous(),
    )


def _opaque(image: Image.Image) -> Image.Image:
    """RGB; whatever is transparent shows white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, _GROUND)
    return Image.alpha_composite(ground, rgba).convert("RGB")
