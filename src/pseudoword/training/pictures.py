"""The pictures of some folders, as a model wants them: upright, opaque, in a size that it can take, in -1 … 1."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from pseudoword import rng
from pseudoword.errors import BadPictures
from pseudoword.events import Event, Progress, Warned
from pseudoword.training.buckets import Size, bucket_sizes, nearest_size
from pseudoword.training.captions import words_for
from pseudoword.training.crops import crop_box, focal_point
from pseudoword.training.sources import Source, candidates, captions_in, mask_file

_GROUND = "white"
_SHARES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """How files become pictures."""

    resolution: int
    """Edge in pixels of the pictures that the model was trained on."""
    multiple: int = 8
    """What edges must be divisible by."""
    crop: str = "centre"
    """`bucket`: sizes by proportions; `centre`, `random` or `focal`: the middle, some, or the most telling square."""
    flip: bool = False
    """Add every picture's mirror image."""
    masks: str = "none"
    """Where weights of places come from: `none`, `alpha`, or `files` (`NAME-masklabel.png`)."""
    seed: int = 0

    def sizes(self) -> tuple[Size, ...]:
        """The sizes that a picture can get."""
        if self.crop == "bucket":
            return bucket_sizes(self.resolution, self.multiple)
        return ((self.resolution, self.resolution),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One training picture: `pixels` [3, h, w] in -1 … 1, the words of its caption, a digest of file and words."""

    path: Path
    name: str
    """Unique among all folders."""
    words: str
    sha256: str
    pixels: torch.Tensor
    mask: torch.Tensor | None = None
    """Weights of places [h, w], 0 to 1."""
    original: Size = (0, 0)
    """Width and height of the file, upright."""
    repeats: int = 1
    weight: float = 1.0
    flipped: bool = False


def load_pictures(sources: Sequence[Source], how: Preparation) -> Iterator[Event | list[Picture]]:
    """Yield events while reading and, last, the pictures in the order of folders and names.

    Every file that Pillow reads counts; EXIF rotation is applied, alpha is laid on white, nothing is squashed.
    A file that cannot be read is named in a `Warned` and passed over.

    Args:
        sources: folders, looked through without their subfolders, hidden files left out.
        how: size, crop, mirror images, masks.

    Raises:
        BadPictures: a folder does not exist or no file can be read as a picture.
        BadFile: a folder's captions file is damaged.
    """
    files = [(source, number, file) for number, source in enumerate(sources) for file in candidates(source.folder)]
    captions = [captions_in(source.folder) for source in sources]
    found: list[Picture] = []
    for done, (source, number, file) in enumerate(files, 1):
        try:
            picture = _load(file, source, captions[number].get(file.name), how)
        except Exception as problem:  # noqa: BLE001  # decoders raise anything for damaged files
            kind = "no picture" if isinstance(problem, UnidentifiedImageError) else "damaged"
            yield Warned(message=f"{file.name} is skipped: {kind}")
        else:
            found.append(replace(picture, name=f"{number}/{file.name}" if number else file.name))
        yield Progress(label="reading pictures", done=done, total=len(files))
    if not found:
        folders = ", ".join(str(source.folder) for source in sources)
        raise BadPictures(
            f"no picture in {folders} ({len(files)} other files)",
            expected="PNG, JPEG, WebP or any other format that Pillow reads",
            next_move="Put a few pictures there (5 to 30 are enough)",
        )
    yield [entry for picture in found for entry in ((picture, _mirrored(picture)) if how.flip else (picture,))]


def _load(file: Path, source: Source, caption: str | None, how: Preparation) -> Picture:
    content = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata of files that it reads well
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            size = nearest_size(*image.size, how.sizes())
            box = crop_box(image.size, size, _centre(image, content, how))
            shown = opaque(image).resize(size, Image.Resampling.LANCZOS, box=box)
            mask, mask_bytes = _mask(image, file, size, box, how)
            original = image.size
    words = words_for(file, caption)
    array = np.asarray(shown, dtype=np.float32) / 127.5 - 1
    return Picture(
        path=file,
        name=file.name,
        words=words,
        sha256=hashlib.sha256(content + b"\0" + words.encode() + mask_bytes).hexdigest(),
        pixels=torch.from_numpy(array).permute(2, 0, 1).contiguous(),
        mask=mask,
        original=original,
        repeats=source.repeats,
        weight=source.weight,
    )


def _centre(image: Image.Image, content: bytes, how: Preparation) -> tuple[float, float]:
    if how.crop == "focal":
        return focal_point(opaque(image))
    if how.crop == "random":
        purpose = f"crop {hashlib.sha256(content).hexdigest()}"
        x, y = rng.integers(_SHARES, how.seed, purpose, 0, (0, 1))
        return x / _SHARES, y / _SHARES
    return 0.5, 0.5


def _mask(
    image: Image.Image, file: Path, size: Size, box: tuple[float, float, float, float], how: Preparation
) -> tuple[torch.Tensor | None, bytes]:
    """Weights [h, w], and the bytes of the file that they come from, if any."""
    if how.masks == "alpha" and image.has_transparency_data:
        return _weights(image.convert("RGBA").getchannel("A"), size, box), b""
    beside = mask_file(file) if how.masks == "files" else None
    if beside is None:
        return None, b""
    with Image.open(beside) as opened:
        grey = ImageOps.exif_transpose(opened).convert("L").resize(image.size, Image.Resampling.BILINEAR)
    return _weights(grey, size, box), beside.read_bytes()


def _weights(grey: Image.Image, size: Size, box: tuple[float, float, float, float]) -> torch.Tensor:
    array = np.asarray(grey.resize(size, Image.Resampling.BOX, box=box), dtype=np.float32) / 255
    return torch.from_numpy(array)


def _mirrored(picture: Picture) -> Picture:
    mask = None if picture.mask is None else picture.mask.flip(1)
    return replace(picture, pixels=picture.pixels.flip(2).contiguous(), mask=mask, flipped=True)


def opaque(image: Image.Image) -> Image.Image:
    """RGB; whatever is transparent shows white."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    ground = Image.new("RGBA", rgba.size, _GROUND)
    return Image.alpha_composite(ground, rgba).convert("RGB")
