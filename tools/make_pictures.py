"""Makes the pictures of the README and the guide from the demo's own output, so that what is shown is what comes out.

    python tools/make_pictures.py --demo demo --subject build/demo-mirp --out docs/images
    python tools/make_pictures.py --only sibling.png        # one picture alone

`--demo` and `--subject` are what `pseudoword demo` wrote for its two words; a missing one is made first. Every picture
has a row in `PICTURES`; a test holds docs/images against it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pseudoword.events import PictureDone, Warned
from pseudoword.generation.grid import labelled_rows
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.models.folder import BUNDLED, NIGHT
from pseudoword.services.generate import Studio
from pseudoword.settings import Settings

BOTH_DRAW = ("cat", "car", "smiling face", "strawberry", "tree", "rocket", "apple on a red background", "guitar")
BOTH_SEED = 3
ONE_WORD = ("apple", "star", "car", "tree", "smiling face", "crown")
ONE_WORD_SEED = 5
TWO_WORDS = (
    ("a mirp", "the subject alone"),
    ("smiling face, hikon style", "the style alone"),
    ("a mirp, hikon style", "both"),
    ("a mirp, [hikon style:0.3]", "both, the style after 3 of 10 steps"),
    ("a mirp AND hikon style:0.5", "both, the style beside it at half its weight"),
)
TWO_WORDS_SEEDS = range(8)
OTHER_MODEL = ("apple, hikon style", "star, hikon style", "car, hikon style", "smiling face, hikon style")
OTHER_MODEL_SEED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """The folders that the demo wrote for its style (hikon) and for its subject (mirp)."""

    style: Path
    subject: Path

    def settings(self, folder: Path) -> Settings:
        """Settings whose embeddings folder, made in `folder`, holds both words."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.style / "hikon.safetensors", folder / "hikon.safetensors")
        shutil.copyfile(self.subject / "mirp.safetensors", folder / "mirp.safetensors")
        return Settings(embeddings_dir=folder)


def copied(folder: str, name: str) -> Callable[[Words, Path], None]:
    """A picture that the demo itself made."""
    return lambda words, path: shutil.copyfile(getattr(words, folder) / name, path) and None


def compared(*axes: str) -> Callable[[Words, Path], None]:
    """An example of docs/guide/compare.md, on the demo's run."""

    def make(words: Words, path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            here = Path(folder)
            words.settings(here / "embeddings")
            runs = sorted((words.style / "runs").iterdir(), key=lambda run: run.stat().st_mtime)
            shutil.copytree(runs[-1], here / "runs" / "hikon")
            flags = [word for axis in axes for word in ("--axis", axis)]
            command = [sys.executable, "-m", "pseudoword", "compare", "a cat, hikon style", *flags]
            subprocess.run(command, check=True, cwd=here)
            [grid] = (here / "outputs" / "comparisons").glob("*/grid.png")
            shutil.copyfile(grid, path)

    return make


def draw_precisions(words: Words, path: Path) -> None:
    """Ten trainings, of docs/half-precision.md, where benchmarks/results does not have them yet; ten minutes."""
    del words  # the benchmark trains its own
    command = [sys.executable, "-m", "benchmarks.half_precision", "--precisions", "fp32", "bf16"]
    subprocess.run(command, check=True)
    with Image.open(Path("benchmarks/results/half-precision/pictures.png")) as sheet:
        few = sheet.convert("RGB").quantize(64)  # black, white and a few greys: a third of the size
    few.save(path, optimize=True)


def draw_sibling(words: Words, path: Path) -> None:
    """Both bundled models with the same prompts and seeds, then both with the style word."""
    with tempfile.TemporaryDirectory() as folder:
        settings = words.settings(Path(folder))
        rows = [
            (label.format(model), _row(settings, [thing + ending for thing in BOTH_DRAW], [BOTH_SEED], model))
            for ending, label in (
                ("", "{}"),
                (", hikon style", "{}, with the word “hikon”, which was learned on bundled"),
            )
            for model in (BUNDLED, NIGHT)
        ]
    save_png(labelled_rows(rows, [thing.replace(" background", "") for thing in BOTH_DRAW]), path)


def draw_one_word(words: Words, path: Path) -> None:
    """docs/guide/examples.md: the same prompts without and with one learned word."""
    with tempfile.TemporaryDirectory() as folder:
        settings = words.settings(Path(folder))
        rows = [
            ("“…”", _row(settings, ONE_WORD, [ONE_WORD_SEED])),
            ("“…, hikon style”", _row(settings, [f"{thing}, hikon style" for thing in ONE_WORD], [ONE_WORD_SEED])),
        ]
    save_png(labelled_rows(rows, ONE_WORD), path)


def draw_two_words(words: Words, path: Path) -> None:
    """docs/guide/examples.md: a subject alone, a style alone, and both in one prompt; a seed for each column."""
    with tempfile.TemporaryDirectory() as folder:
        settings = words.settings(Path(folder))
        rows = [(f"“{prompt}”: {what}", _row(settings, [prompt], TWO_WORDS_SEEDS)) for prompt, what in TWO_WORDS]
    save_png(labelled_rows(rows, [f"seed {seed}" for seed in TWO_WORDS_SEEDS]), path)


def draw_other_model(words: Words, path: Path) -> None:
    """docs/guide/examples.md: the same prompts and seeds on the word's own model and on another, with the note."""
    with tempfile.TemporaryDirectory() as folder:
        settings = words.settings(Path(folder))
        rows = [
            (f"--model {model}", _row(settings, OTHER_MODEL, [OTHER_MODEL_SEED], model)) for model in (BUNDLED, NIGHT)
        ]
    save_png(labelled_rows(rows, [prompt.split(",")[0] for prompt in OTHER_MODEL]), path)


def _row(settings: Settings, prompts: Sequence[str], seeds: Sequence[int], model: str = BUNDLED) -> list[Image.Image]:
    """A picture of each prompt and seed; what the program has to say about it is printed."""
    studio = Studio.open(settings, model=model)
    images: list[Image.Image] = []
    for options in (GenerateOptions(prompt=prompt, seed=seed) for prompt in prompts for seed in seeds):
        for event in studio.draw(options):
            if isinstance(event, Warned):
                print(f"{options.prompt}: {event.message}")
            elif isinstance(event, PictureDone):
                images.append(event.image)
    return images


PICTURES: dict[str, Callable[[Words, Path], None]] = {
    "style-before-after.png": copied("style", "before-after.png"),
    "style-loss.png": copied("style", "loss.png"),
    "subject-before-after.png": copied("subject", "before-after.png"),
    "compare-checkpoints.png": compared("checkpoint=runs/hikon", "seed=1..3"),
    "compare-models.png": compared("model=bundled,bundled-night", "embedding=hikon,none"),
    "sibling.png": draw_sibling,
    "half-precision.png": draw_precisions,
    "example-one-word.png": draw_one_word,
    "example-two-words.png": draw_two_words,
    "example-other-model.png": draw_other_model,
}


def learn(word: str, out: Path) -> None:
    """Run the demo of a word, unless it was."""
    if not (out / "before-after.png").is_file():
        subprocess.run([sys.executable, "-m", "pseudoword", "demo", "--word", word, "--out", str(out)], check=True)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("demo"))
    parser.add_argument("--subject", type=Path, default=Path("build/demo-mirp"))
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--only", choices=sorted(PICTURES), metavar="FILE", help="one picture: " + ", ".join(PICTURES))
    chosen = parser.parse_args()
    words = Words(style=chosen.demo, subject=chosen.subject)
    learn("hikon", words.style)
    learn("mirp", words.subject)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in [chosen.only] if chosen.only else PICTURES:
        PICTURES[name](words, chosen.out / name)
        print(chosen.out / name)


if __name__ == "__main__":
    main()
