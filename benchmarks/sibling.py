"""Two checkpoints, one word: does a word learned on one of the bundled models work on the other?

    .venv/bin/python -m benchmarks.sibling look
    .venv/bin/python -m benchmarks.sibling word

`look` compares what both draw for the same plain prompts and seeds. `word` learns the demo's style word on each of
the two, with the demo's settings, and measures it on both, with the held-back pictures of `benchmarks.learned_word`.
Prints the figures and writes them as JSON into benchmarks/results/.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.functional import normalize

from benchmarks.learned_word import SEEDS, STYLE_CAPTION, THINGS, Bench, bench_on, draw_prompts, learn
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.evaluation.style import gram_features, style_closeness
from pseudoword.models.folder import BUNDLED, NIGHT
from pseudoword.models.load import load_model
from pseudoword.services.demo import STYLE
from pseudoword.training.fixed_batch import fixed_loss

_LUMA = torch.tensor((0.299, 0.587, 0.114)).view(1, 3, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """THINGS × SEEDS pictures of each checkpoint, the same prompts and seeds."""

    pictures: int
    mean_colour: dict[str, tuple[float, float, float]]
    """Red, green, blue in 0 … 1 by model."""
    closeness_to_base: dict[str, float]
    """Mean style closeness to the base's pictures of the other seeds, by model."""
    farther: int
    """Pictures of the sibling that are less close than every picture of the base is."""
    same_thing: int
    """Pictures of the sibling whose edges agree best with the base's picture of the same prompt, of THINGS with that
    seed; one in eight would by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnModel:
    """A word learned on one model, used on one model: held-back loss and style closeness."""

    learned_on: str
    used_on: str
    learned_loss: float
    initial_loss: float
    closeness: float
    initial_closeness: float
    closer: int
    """Of THINGS × SEEDS pictures: closer to the held-back pictures than the initial word's on the same model."""

    @property
    def gain(self) -> float:
        """Share by which the word's loss is below the initial word's on the model that it is used on."""
        return 1 - self.learned_loss / self.initial_loss


def measure_look(folder: Path) -> Look:
    """What the two draw for the same plain prompts."""
    models = {
        name: load_model(name, device="auto", precision="auto", hash_cache=folder / "hashes.json")
        for name in (BUNDLED, NIGHT)
    }
    drawn = {name: draw_prompts(Conditioner(model), list(THINGS), {}) for name, model in models.items()}
    features = {name: gram_features(models[BUNDLED].vae, pixels) for name, pixels in drawn.items()}
    closeness = {name: _closeness_to_other_seeds(rows, features[BUNDLED]) for name, rows in features.items()}
    colours = {name: tuple((pixels / 2 + 0.5).mean((0, 2, 3)).tolist()) for name, pixels in drawn.items()}
    return Look(
        pictures=len(THINGS) * SEEDS,
        mean_colour={name: (colour[0], colour[1], colour[2]) for name, colour in colours.items()},
        closeness_to_base={name: float(values.mean()) for name, values in closeness.items()},
        farther=int((closeness[NIGHT] < closeness[BUNDLED].min()).sum()),
        same_thing=same_thing(drawn[NIGHT], drawn[BUNDLED]),
    )


def _closeness_to_other_seeds(features: torch.Tensor, base: torch.Tensor) -> torch.Tensor:
    """Closeness [n] of each row to the base's rows of all things with other seeds (no picture is its own measure)."""
    seeds = torch.arange(len(features)) % SEEDS
    parts = torch.empty(len(features))
    for seed in range(SEEDS):
        parts[seeds == seed] = style_closeness(features[seeds == seed], base[seeds != seed])
    return parts


def same_thing(pixels: torch.Tensor, others: torch.Tensor) -> int:
    """How many pictures [THINGS × SEEDS, 3, h, w] have most edges in common with the other of the same thing."""
    ours, theirs = (_edges(side).view(len(THINGS), SEEDS, -1) for side in (pixels, others))
    agreement = torch.einsum("asf,bsf->sab", ours, theirs)
    return int((agreement.argmax(-1) == torch.arange(len(THINGS))).sum())


def _edges(pixels: torch.Tensor) -> torch.Tensor:
    """Strength of brightness edges at a quarter of the size, mean taken off, unit length; [n, f]."""
    grey = F.avg_pool2d((pixels * _LUMA).sum(1, keepdim=True), 2)
    across = (grey[..., :-1, 1:] - grey[..., :-1, :-1]).square()
    down = (grey[..., 1:, :-1] - grey[..., :-1, :-1]).square()
    strength = F.avg_pool2d((across + down).sqrt(), 2).flatten(1)
    return normalize(strength - strength.mean(1, keepdim=True), dim=1)


def measure_word(folder: Path) -> Iterator[OnModel]:
    """The demo's style word learned on each of the two and used on each of the two; a row as soon as it is there."""
    before: dict[str, torch.Tensor] = {}
    for learned_on in (BUNDLED, NIGHT):
        home = learn(STYLE, folder / learned_on, learned_on)
        for used_on in (BUNDLED, NIGHT):
            bench = home if used_on == learned_on else bench_on(STYLE, used_on, home.words[STYLE.word], folder)
            if used_on not in before:
                before[used_on] = _closeness(bench, STYLE.init)
            yield _on_model(bench, learned_on, used_on, before[used_on])


def _closeness(bench: Bench, word: str) -> torch.Tensor:
    """Style closeness [THINGS × SEEDS] to the held-back pictures of what is drawn with a word."""
    prompts = [STYLE_CAPTION.format(words=thing, word=word) for thing in THINGS]
    vae = bench.conditioner.model.vae
    references = gram_features(vae, torch.stack([picture.pixels for picture in bench.held_back]))
    return style_closeness(gram_features(vae, draw_prompts(bench.conditioner, prompts, bench.words)), references)


def _on_model(bench: Bench, learned_on: str, used_on: str, before: torch.Tensor) -> OnModel:
    def loss(word: str) -> float:
        return fixed_loss(
            bench.conditioner, bench.batch, lambda words: STYLE_CAPTION.format(word=word, words=words), bench.words
        )

    after = _closeness(bench, STYLE.word)
    return OnModel(
        learned_on=learned_on,
        used_on=used_on,
        learned_loss=loss(STYLE.word),
        initial_loss=loss(STYLE.init),
        closeness=float(after.mean()),
        initial_closeness=float(before.mean()),
        closer=int((after > before).sum()),
    )


def main() -> None:
    """Measure one of the two and report."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "look"
    with tempfile.TemporaryDirectory() as name:
        if kind == "look":
            result: Any = asdict(measure_look(Path(name)))
        else:
            result = []
            for row in measure_word(Path(name)):
                print(row, flush=True)
                result.append(asdict(row) | {"gain": row.gain})
    path = Path(__file__).parent / "results" / f"sibling-{kind}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
