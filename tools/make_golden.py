"""Draws the golden pictures anew, and measures how far other ways of computing come from them.

    python tools/make_golden.py [--word demo/hikon.safetensors]    # tests/golden/*.png and hashes.json
    python tools/make_golden.py --measure                          # the table of tests/golden/README.md; writes nothing

`--word` replaces the golden word by one that was learned on the present bundled model. Hashes of other machines stay in
`hashes.json` unless a picture has changed by more than rounding; then they are dropped, for they speak of old pictures.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image
from tests.golden import cases


def make_golden(word: Path | None) -> None:
    """Write every picture and this machine's hashes of them."""
    if word is not None:
        shutil.copyfile(word, cases.WORD)
    kept = json.loads(cases.HASHES.read_text("utf-8")) if cases.HASHES.is_file() else {}
    studios = cases.open_studios()
    hashes: dict[str, str] = {}
    with cases.computing_threads(1):
        for case in cases.CASES:
            image = cases.draw(case, studios)
            if case.path.is_file() and not _alike(image, case.path):
                kept = {}
            image.save(case.path, optimize=True)
            hashes[case.name] = cases.pixel_hash(image)
            print(f"{case.path.name}  {case.path.stat().st_size:,} bytes  {hashes[case.name]}")
    kept[cases.machine_key()] = hashes
    cases.HASHES.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", "utf-8")


def _alike(image: Image.Image, path: Path) -> bool:
    mean, far = cases.difference(image, Image.open(path))
    return mean <= cases.MEAN_LEVELS and far <= cases.FAR_SHARE


WAYS: dict[str, tuple[str, int, dict[str, float]]] = {
    "the same": ("fp32", 1, {}),
    "guidance 10 % higher": ("fp32", 1, {"cfg_scale": 4.4}),
    "another seed": ("fp32", 1, {"seed": 4}),
    "bf16": ("bf16", 1, {}),
    "two threads": ("fp32", 2, {}),
}
"""Precision, computing threads, changed options."""


def measure() -> None:
    """How far the pictures are from the golden ones when drawn in other ways: smallest to largest over all."""
    print(f"{cases.machine_key()}\n| way | mean levels | share beyond {cases.FAR_LEVELS} |\n|---|---|---|")
    for way, (precision, threads, changes) in WAYS.items():
        studios = cases.open_studios(precision)
        with cases.computing_threads(threads):
            apart = [
                cases.difference(cases.draw(case, studios, **changes), Image.open(case.path)) for case in cases.CASES
            ]
        means, shares = zip(*apart, strict=True)
        print(f"| {way} | {min(means):.4f} … {max(means):.4f} | {min(shares):.4f} … {max(shares):.4f} |", flush=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--word", type=Path)
    parser.add_argument("--measure", action="store_true")
    chosen = parser.parse_args()
    if chosen.measure:
        measure()
    else:
        make_golden(chosen.word)


if __name__ == "__main__":
    main()
