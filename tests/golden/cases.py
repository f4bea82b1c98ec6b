"""The golden pictures: what is asked for, and how two pictures are compared.

Used by the tests beside it and by `tools/make_golden.py`, which draws them anew. Everything is drawn in fp32 on the
processor with one computing thread; `README.md` beside it says what other ways of computing change.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pseudoword.generation.options import GenerateOptions
from pseudoword.models.folder import BUNDLED, NIGHT
from pseudoword.services.generate import Studio, draw_images
from pseudoword.settings import Settings

FOLDER = Path(__file__).resolve().parent
WORD = FOLDER / "hikon.safetensors"
HASHES = FOLDER / "hashes.json"
MEAN_LEVELS = 0.5
"""Pictures may differ by this on average, in levels of 255; argued in README.md."""
FAR_LEVELS = 24
FAR_SHARE = 0.002
"""At most this share of all values may differ by more than `FAR_LEVELS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One golden picture: `<name>.png` in this folder."""

    name: str
    options: dict[str, Any]
    model: str = BUNDLED

    @property
    def path(self) -> Path:
        """Where the picture is kept."""
        return FOLDER / f"{self.name}.png"


_SMALL = {"width": 64, "height": 64, "steps": 8, "seed": 3}
CASES = (
    Case(name="plain", options={"prompt": "a cat", "seed": 3}),
    Case(name="word", options={"prompt": "a (strawberry:1.1), hikon style", "seed": 3, "steps": 12}),
    Case(name="euler", options={"prompt": "smiling face", "sampler": "Euler", **_SMALL}),
    Case(
        name="dpmpp-2m-karras",
        options={"prompt": "smiling face", "sampler": "DPM++ 2M", "scheduler": "Karras", **_SMALL},
    ),
    Case(
        name="dpmpp-sde-karras",
        options={"prompt": "smiling face", "sampler": "DPM++ SDE", "scheduler": "Karras", **_SMALL},
    ),
    Case(name="ddim", options={"prompt": "smiling face", "sampler": "DDIM", **_SMALL}),
    Case(name="unipc", options={"prompt": "smiling face", "sampler": "UniPC", **_SMALL}),
    Case(
        name="img2img",
        options={
            "prompt": "smiling face on a blue background",
            "init_image": FOLDER / "euler.png",
            "denoising_strength": 0.7,
            **_SMALL,
        },
    ),
    Case(name="night", options={"prompt": "a car, hikon style", **_SMALL}, model=NIGHT),
)


def open_studios(precision: str = "fp32", cache: Path | None = None) -> dict[str, Studio]:
    """Both bundled models on the processor, with the golden word."""
    settings = Settings(embeddings_dir=FOLDER) if cache is None else Settings(embeddings_dir=FOLDER, cache_dir=cache)
    models = dict.fromkeys(case.model for case in CASES)
    return {model: Studio.open(settings, model=model, device="cpu", precision=precision) for model in models}


def draw(case: Case, studios: dict[str, Studio], **changes: Any) -> Image.Image:
    """The picture of a case, with some options changed for comparison."""
    [image] = draw_images(studios[case.model], GenerateOptions(**(case.options | changes)))
    return image


@contextmanager
def computing_threads(number: int) -> Iterator[None]:
    """So many threads inside of the block: sums are split among them, and so rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def difference(drawn: Image.Image, kept: Image.Image) -> tuple[float, float]:
    """Mean absolute difference in levels of 255, and the share of values that are more than `FAR_LEVELS` apart."""
    levels = np.abs(np.asarray(drawn.convert("RGB"), float) - np.asarray(kept.convert("RGB"), float))
    return float(levels.mean()), float((levels > FAR_LEVELS).mean())


def pixel_hash(image: Image.Image) -> str:
    """First 16 hex digits of sha256 over the picture's RGB bytes: PNG's own compression does not count."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()[:16]


def machine_key() -> str:
    """What exact bits hang on: torch, the instruction set, and the processor, whose caches size the kernels' blocks."""
    features = [
        name
        for name, there in (("amx", "_is_amx_tile_supported"), ("bf16", "_is_avx512_bf16_supported"))
        if getattr(torch.cpu, there, lambda: False)()
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    return " / ".join([f"torch {torch.__version__}", "+".join([capability, *features]), _processor()])


def _processor() -> str:
    """Vendor, family and model as Linux tells them; `unknown` elsewhere, for which no hashes are kept."""
    told = Path("/proc/cpuinfo")
    if not told.is_file():
        return "unknown"
    rows = [line.split(":", 1) for line in told.read_text("utf-8", "replace").split("\n\n", 1)[0].splitlines()]
    values = {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}
    return " ".join(values.get(key, "?") for key in ("vendor_id", "cpu family", "model"))
