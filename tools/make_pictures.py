"""Makes the pictures of the README and the guide from the demo's own output, so that what is shown is what comes out.

    python tools/make_pictures.py --demo demo --out docs/images

Copies what `make demo` wrote (the style), runs the demo of the subject for its picture, and compares the style's
checkpoints.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


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
    compare_checkpoints(demo, out / "compare-checkpoints.png")


def compare_checkpoints(demo: Path, path: Path) -> None:
    """The first example of docs/guide/compare.md, on the demo's run."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "embeddings").mkdir()
        shutil.copyfile(demo / "hikon.safetensors", here / "embeddings" / "hikon.safetensors")
        runs = sorted((demo / "runs").iterdir(), key=lambda run: run.stat().st_mtime)
        shutil.copytree(runs[-1], here / "runs" / "hikon")
        axes = ["--axis", "checkpoint=runs/hikon", "--axis", "seed=1..3"]
        command = [sys.executable, "-m", "pseudoword", "compare", "a cat, hikon style", *axes]
        subprocess.run(command, check=True, cwd=here)
        [grid] = (here / "outputs" / "comparisons").glob("*/grid.png")
        shutil.copyfile(grid, path)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("demo"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    chosen = parser.parse_args()
    make_pictures(chosen.demo, chosen.out)


if __name__ == "__main__":
    main()
