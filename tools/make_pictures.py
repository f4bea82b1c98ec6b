"""Makes the pictures of the README and the guide from the demo's own output, so that what is shown is what comes out.

    python tools/make_pictures.py --demo demo --out docs/images

Copies what `make demo` wrote (the style), runs the demo of the subject for its picture, compares the style's
checkpoints, and draws the same prompts with both bundled models, without and with the demo's word. `--only sibling`
makes that last picture alone.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pseudoword.generation.grid import labelled_rows
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.models.folder import BUNDLED, NIGHT
from pseudoword.services.generate import Studio, draw_images
from pseudoword.settings import Settings

BOTH_DRAW = ("cat", "car", "smiling face", "strawberry", "tree", "rocket", "apple on a red background", "guitar")
BOTH_SEED = 3


def make_pictures(demo: Path, out: Path) -> None:
    """Fill `out` with the style's and the subject's before/after pictures and the style's loss plot."""
    if not (demo / "before-after.png").is_file():
        sys.exit(f"no {demo}/before-after.png; run make demo first")
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(demo / "before-after.png", out / "style-before-after.png")
    shutil.copyfile(demo / "loss.png", out / "style-loss.png")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pseudoword", "demo", "--word", "mirp", "--out", folder]
        subprocess.run(command, check=True)
        shutil.copyfile(Path(folder) / "before-after.png", out / "subject-before-after.png")
    compare(demo, ("checkpoint=runs/hikon", "seed=1..3"), out / "compare-checkpoints.png")
    compare(demo, ("model=bundled,bundled-night", "embedding=hikon,none"), out / "compare-models.png")
    draw_sibling(demo, out / "sibling.png")


def compare(demo: Path, axes: tuple[str, str], path: Path) -> None:
    """An example of docs/guide/compare.md, on the demo's run."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "embeddings").mkdir()
        shutil.copyfile(demo / "hikon.safetensors", here / "embeddings" / "hikon.safetensors")
        runs = sorted((demo / "runs").iterdir(), key=lambda run: run.stat().st_mtime)
        shutil.copytree(runs[-1], here / "runs" / "hikon")
        flags = [word for axis in axes for word in ("--axis", axis)]
        command = [sys.executable, "-m", "pseudoword", "compare", "a cat, hikon style", *flags]
        subprocess.run(command, check=True, cwd=here)
        [grid] = (here / "outputs" / "comparisons").glob("*/grid.png")
        shutil.copyfile(grid, path)


def draw_sibling(embeddings: Path, path: Path, sibling: str = NIGHT) -> None:
    """Both bundled models with the same prompts and seeds, then both with “hikon” of the folder `embeddings`."""
    rows = []
    word = "hikon"
    settings = Settings(embeddings_dir=embeddings)
    studios = {model: Studio.open(settings, model=model) for model in (BUNDLED, sibling)}
    for ending, label in (("", "{}"), (f", {word} style", "{}, with the word “hikon”, which was learned on bundled")):
        for model, studio in studios.items():
            requests = [GenerateOptions(prompt=thing + ending, seed=BOTH_SEED) for thing in BOTH_DRAW]
            rows.append((label.format(Path(model).name), [draw_images(studio, request)[0] for request in requests]))
    save_png(labelled_rows(rows, [thing.replace(" background", "") for thing in BOTH_DRAW]), path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", choices=("sibling",))
    chosen = parser.parse_args()
    if chosen.only == "sibling":
        draw_sibling(chosen.demo, chosen.out / "sibling.png")
    else:
        make_pictures(chosen.demo, chosen.out)


if __name__ == "__main__":
    main()
