"""Pictures encoded once, kept as mean and deviation so that every step can still draw a fresh sample.

Kept in memory, or on disk for sets that are too large for it: one safetensors file a picture, named by a digest of
the pixels and the model, so that a changed picture, crop or model never meets an old file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from pseudoword.events import Event, Progress
from pseudoword.files import atomic_write
from pseudoword.models.protocols import BaseModel
from pseudoword.training.pictures import Picture

_ENCODE_AT_ONCE = 4
_PIXELS_AT_ONCE = 512 * 512
"""Pictures are encoded one by one above this: the autoencoder's activations would otherwise be the peak of a run."""
_PARTS = ("mean", "deviation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Latents:
    """One `mean` and `deviation` [c, h, w] a picture in float32 on the CPU, scaled as the UNet wants them."""

    mean: Sequence[torch.Tensor]
    deviation: Sequence[torch.Tensor]

    def __len__(self) -> int:
        return len(self.mean)

    def sample(self, index: int, noise: torch.Tensor) -> torch.Tensor:
        """mean + deviation · noise for one picture, [c, h, w]."""
        return self.mean[index] + self.deviation[index] * noise

    def subset(self, indices: Sequence[int]) -> "Latents":
        """Those of some pictures."""
        return Latents(mean=[self.mean[i] for i in indices], deviation=[self.deviation[i] for i in indices])


class _OnDisk(Sequence[torch.Tensor]):
    """One part of all files, read when it is asked for."""

    def __init__(self, files: Sequence[Path], part: str) -> None:
        self._files = files
        self._part = part

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> torch.Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[torch.Tensor]: ...
    def __getitem__(self, index: int | slice) -> torch.Tensor | Sequence[torch.Tensor]:
        if isinstance(index, slice):
            return _OnDisk(self._files[index], self._part)
        return load_file(self._files[index])[self._part]


def encode_latents(
    model: BaseModel, pictures: Sequence[Picture], label: str, cache: Path | None = None
) -> Iterator[Event | Latents]:
    """Yield `Progress` and, last, the latents, in the pictures' order.

    Args:
        model: its autoencoder is used.
        pictures: of any sizes.
        label: of the progress.
        cache: folder of the files; None keeps the latents in memory.

    Raises:
        BadFile: the cache cannot be written.
    """
    files = [cache / f"{_key(model, picture)}.safetensors" for picture in pictures] if cache else []
    kept: list[tuple[torch.Tensor, torch.Tensor]] = []
    done = 0
    for group in _groups(pictures):
        if cache is None:
            kept += _encode(model, [pictures[i] for i in group])
        elif missing := [i for i in group if not _is_whole(files[i])]:
            for i, parts in zip(missing, _encode(model, [pictures[i] for i in missing]), strict=True):
                atomic_write(files[i], save(dict(zip(_PARTS, parts, strict=True))))
        done += len(group)
        yield Progress(label=label, done=done, total=len(pictures))
    if cache is not None:
        yield Latents(mean=_OnDisk(files, "mean"), deviation=_OnDisk(files, "deviation"))
    else:
        yield Latents(mean=[mean for mean, _ in kept], deviation=[deviation for _, deviation in kept])


def _groups(pictures: Sequence[Picture]) -> Iterator[list[int]]:
    """Neighbours of one size, a few at a time."""
    group: list[int] = []
    for i, picture in enumerate(pictures):
        full = len(group) == _ENCODE_AT_ONCE or (len(group) + 1) * picture.pixels[0].numel() > _PIXELS_AT_ONCE
        if group and (full or picture.pixels.shape != pictures[group[0]].pixels.shape):
            yield group
            group = []
        group.append(i)
    if group:
        yield group


def _encode(model: BaseModel, group: Sequence[Picture]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    mean, deviation = model.encode_pictures(torch.stack([picture.pixels for picture in group]))
    pairs = zip(mean.float().cpu(), deviation.float().cpu(), strict=True)
    return [(one.contiguous(), other.contiguous()) for one, other in pairs]


def _key(model: BaseModel, picture: Picture) -> str:
    shape = "x".join(map(str, picture.pixels.shape))
    return hashlib.sha256(
        f"{model.hash} {model.hashes.vae} {shape} ".encode() + picture.pixels.numpy().tobytes()
    ).hexdigest()


def _is_whole(file: Path) -> bool:
    try:
        return set(load_file(file)) == set(_PARTS)
    except (OSError, SafetensorError):
        return False
