"""Widths: the published configurations of CLIP ViT-L/14, OpenCLIP ViT-H/14 and ViT-bigG/14, and the bundled one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pseudoword.families import FAMILIES, describe, family_of


@pytest.mark.parametrize(
    ("key", "widths"),
    [
        ("bundled", {"clip_l": 256}),
        ("sd1", {"clip_l": 768}),
        ("sd2", {"clip_h": 1024}),
        ("sdxl", {"clip_l": 768, "clip_g": 1280}),
    ],
)
def test_a_family_is_known_by_its_slots_and_widths(key: str, widths: dict[str, int]) -> None:
    assert FAMILIES[key].key == key
    assert FAMILIES[key].widths == widths
    assert family_of(widths) is FAMILIES[key]


@pytest.mark.parametrize("widths", [{}, {"clip_l": 1024}, {"clip_g": 1280}, {"clip_l": 768, "clip_h": 1024}])
def test_other_slots_and_widths_are_of_no_known_family(widths: dict[str, int]) -> None:
    assert family_of(widths) is None


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ({"clip_l": 256}, "the bundled model (256)"),
        ({"clip_h": 1024}, "SD2.x (1024)"),
        ({"clip_l": 768, "clip_g": 1280}, "SDXL (768 + 1280)"),
        ({"clip_l": 32}, "an unknown model (32)"),
    ],
)
def test_widths_are_described_in_words(widths: dict[str, int], words: str) -> None:
    assert describe(widths) == words


def test_the_bundled_family_fits_the_bundled_weights(project_root: Path) -> None:
    bundled = project_root / "src/pseudoword/models/bundled"
    encoder = json.loads((bundled / "text_encoder/config.json").read_text("utf-8"))
    unet = json.loads((bundled / "unet/config.json").read_text("utf-8"))
    vae = json.loads((bundled / "vae/config.json").read_text("utf-8"))
    scale = 2 ** (len(vae["block_out_channels"]) - 1)
    assert FAMILIES["bundled"].widths == {"clip_l": encoder["hidden_size"]}
    assert FAMILIES["bundled"].resolution == unet["sample_size"] * scale


@pytest.mark.parametrize("module", ["errors", "events", "families", "files"])
def test_the_lowest_rooms_do_not_load_torch(module: str) -> None:
    code = f"import sys, pseudoword.{module}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_embeddings_load_nothing_heavier_than_torch() -> None:
    code = (
        "import sys, pseudoword.embeddings, pseudoword.library;"
        "sys.exit(bool({'diffusers', 'transformers', 'matplotlib', 'PIL', 'typer', 'rich'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
