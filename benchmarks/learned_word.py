"""How well the demo's words are learned: held-back loss and style closeness against the best plain words.

    .venv/bin/python -m benchmarks.learned_word style
    .venv/bin/python -m benchmarks.learned_word subject
    .venv/bin/python -m benchmarks.learned_word style demo/hikon.safetensors

Each trains the demo's word as `pseudoword demo` does, or takes the file that it wrote, then measures on pictures that
were never trained on, with noise and noise levels that no training saw. Prints the figures and writes them as JSON into
benchmarks/results/.
"""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.embeddings import read_embedding
from pseudoword.evaluation.style import gram_features, style_closeness
from pseudoword.events import PictureDone
from pseudoword.generation.draw import draw
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.load import load_model
from pseudoword.services.demo import STYLE, SUBJECT, DemoWord
from pseudoword.services.samples import sample_folder
from pseudoword.services.train import train_word
from pseudoword.settings import Settings
from pseudoword.training.fixed_batch import FixedBatch, fixed_loss, make_fixed_batch
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.pictures import Picture, Preparation, load_pictures
from pseudoword.training.sources import Source

STYLE_SETS = ("noto", "blob", "twitter", "fluent 3d", "fluent flat", "emojione", "firefox", "line art")
"""The model's style words: one for each set of pictures that it was trained on."""
LOOKS = ("grayscale", "sepia", "silhouette", "pixel art", "negative", "sketch", "neon", "duotone")
"""Words for the synthetic looks that a part of those pictures went through; two of them are black on white too."""
NOUNS = (
    *("face", "smiling face", "smiling face with horns", "grinning face", "face with big eyes", "cat", "bear"),
    *("ghost", "robot", "star", "heart", "frog", "pig", "balloon", "apple", "egg", "speech balloon", "alien"),
    *("octopus", "grapes", "eggplant", "monster", "owl", "fish", "purple face", "alien monster"),
)
STYLE_CAPTION = "{words}, {word} style"
SUBJECT_CAPTION = "a {word} {words}"
THINGS = ("cat", "rocket", "pizza", "bear", "crown", "sunflower", "dragon", "car")
SEEDS = 4
ROUNDS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured for one word."""

    word: str
    learned_loss: float
    initial_loss: float
    best_plain_word: str
    best_plain_loss: float
    plain_losses: dict[str, float]
    closer: int | None = None
    """Pictures of THINGS × SEEDS that are closer in style to the held-back pictures than the initial word's."""
    pictures: int | None = None
    mean_closeness: tuple[float, float] | None = None
    """Of the initial and of the learned word."""
    spread_over_prompts: float | None = None
    """Mean squared difference between the learned word's pictures of different things, over that between the
    initial word's: near 0 if the word decided what is drawn instead of the prompt."""

    @property
    def gain(self) -> float:
        """Share by which the learned word's loss is below the best plain word's."""
        return 1 - self.learned_loss / self.best_plain_loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A trained word on its model with the held-back pictures."""

    conditioner: Conditioner
    words: Words
    held_back: list[Picture]
    batch: FixedBatch


def learn(demo: DemoWord, folder: Path, model: str = "bundled", file: Path | None = None) -> Bench:
    """Train the word as the demo does, unless its `file` is given, and prepare the held-back pictures."""
    if file is not None:
        return bench_on(demo, model, read_embedding(file).vectors, folder)
    settings = Settings(embeddings_dir=folder, runs_dir=folder / "runs", cache_dir=folder / "cache")
    for _ in train_word(replace(demo.options(seed=0), model=model), settings):
        pass
    return bench_on(demo, model, read_embedding(folder / f"{demo.word}.safetensors").vectors, folder)


def bench_on(demo: DemoWord, model: str, vectors: Mapping[str, torch.Tensor], folder: Path) -> Bench:
    """The word on a model, the one that it was learned on or another, with the held-back pictures."""
    loaded = load_model(model, device="auto", precision="auto", hash_cache=folder / "hashes.json")
    source = Source(folder=sample_folder(demo.samples, "held-back"))
    *_, held_back = load_pictures([source], Preparation(resolution=loaded.resolution))
    *_, latents = encode_latents(loaded, held_back, "held-back")
    assert isinstance(latents, Latents)
    words = [picture.words for picture in held_back]
    return Bench(
        conditioner=Conditioner(loaded),
        words={demo.word: vectors},
        held_back=held_back,
        batch=make_fixed_batch(latents, words, loaded.schedule, rounds=ROUNDS),
    )


def measure(demo: DemoWord, bench: Bench, caption: str, plain: Sequence[str]) -> Figures:
    """Held-back losses of the learned word, its initial text and the plain words."""

    def loss(word: str) -> float:
        return fixed_loss(
            bench.conditioner, bench.batch, lambda words: caption.format(word=word, words=words), bench.words
        )

    losses = {word: loss(word) for word in dict.fromkeys((*plain, demo.init))}
    best = min(plain, key=lambda word: losses[word])
    return Figures(
        word=demo.word,
        learned_loss=loss(demo.word),
        initial_loss=losses[demo.init],
        best_plain_word=best,
        best_plain_loss=losses[best],
        plain_losses=losses,
    )


def measure_style(folder: Path, file: Path | None = None) -> Figures:
    """The style word: losses, and how many pictures are closer in style than the initial word's."""
    bench = learn(STYLE, folder, file=file)
    figures = measure(STYLE, bench, STYLE_CAPTION, (*STYLE_SETS, *LOOKS))
    vae = bench.conditioner.model.vae
    references = gram_features(vae, torch.stack([picture.pixels for picture in bench.held_back]))
    drawn = {
        word: draw_prompts(
            bench.conditioner, [STYLE_CAPTION.format(words=thing, word=word) for thing in THINGS], bench.words
        )
        for word in (STYLE.init, STYLE.word)
    }
    before, after = (style_closeness(gram_features(vae, pixels), references) for pixels in drawn.values())
    values = asdict(figures) | {
        "closer": int((after > before).sum()),
        "pictures": len(after),
        "mean_closeness": (float(before.mean()), float(after.mean())),
        "spread_over_prompts": _spread(drawn[STYLE.word]) / _spread(drawn[STYLE.init]),
    }
    return Figures(**values)


def measure_subject(folder: Path, file: Path | None = None) -> Figures:
    """The subject's word: losses against plain nouns."""
    return measure(SUBJECT, learn(SUBJECT, folder, file=file), SUBJECT_CAPTION, NOUNS)


def _spread(pixels: torch.Tensor) -> float:
    """Mean squared difference between pictures of one seed and different things."""
    by_thing = pixels.view(len(THINGS), SEEDS, -1)
    return float(by_thing.var(dim=0).mean())


def draw_prompts(conditioner: Conditioner, prompts: Sequence[str], words: Words) -> torch.Tensor:
    """SEEDS pictures of each prompt: pixels [prompts × SEEDS, 3, H, W] in -1 … 1."""
    from PIL import Image

    pixels: list[torch.Tensor] = []
    for prompt in prompts:
        request = GenerateOptions(prompt=prompt, seed=0, batch_size=SEEDS)
        for event in draw(conditioner, request, words):
            if isinstance(event, PictureDone):
                image: Image.Image = event.image
                flat = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
                pixels.append(flat.view(image.height, image.width, 3).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(pixels)


def main() -> None:
    """Measure one word and report."""
    kind, *rest = sys.argv[1:] or ["style"]
    with tempfile.TemporaryDirectory() as folder:
        measured = {"style": measure_style, "subject": measure_subject}[kind]
        figures = measured(Path(folder), Path(rest[0]) if rest else None)
    result = asdict(figures) | {"gain": figures.gain}
    path = Path(__file__).parent / "results" / f"learned-{kind}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
