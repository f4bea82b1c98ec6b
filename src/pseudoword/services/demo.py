"""The main job from end to end on shipped material: learn a word, write it in three containers, show it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pseudoword.embeddings import read_embedding, write_embedding
from pseudoword.errors import BadOption
from pseudoword.evaluation.plots import plot_losses
from pseudoword.events import Event, PictureDone, Progress, RunStarted, Saved
from pseudoword.generation.grid import labelled_rows, stacked
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.services.generate import Studio
from pseudoword.services.samples import sample_folder
from pseudoword.services.train import train_word
from pseudoword.settings import Settings
from pseudoword.training.logs import read_losses
from pseudoword.training.options import TrainOptions
from pseudoword.training.run import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoWord:
    """A shipped set and the settings that teach it to the bundled model."""

    word: str
    samples: str
    template: str
    init: str
    vectors: int
    learning_rate: str
    steps: int
    batch_size: int
    prompts: tuple[str, ...]
    """With `[name]` for the word; drawn once with the initial text and once with the word."""

    def options(self, seed: int) -> TrainOptions:
        """The training that the demo makes."""
        return TrainOptions(
            name=self.word,
            pictures=str(sample_folder(self.samples, "training")),
            held_back=str(sample_folder(self.samples, "held-back")),
            template=self.template,
            init=self.init,
            vectors=self.vectors,
            learning_rate=self.learning_rate,
            steps=self.steps,
            batch_size=self.batch_size,
            seed=seed,
            evaluate_every=25,
            preview_every=self.steps,
            save_every=50,
            keep="last",  # the best on the held-back pictures would be chosen by what it is then judged by
            overwrite=True,
        )


STYLE = DemoWord(
    word="hikon",
    samples="high-contrast",
    template="style",
    init="silhouette",
    vectors=4,
    learning_rate="2e-2:60, 5e-3",
    steps=120,
    batch_size=8,
    prompts=tuple(f"{thing}, [name] style" for thing in ("cat", "car", "smiling face", "strawberry", "tree", "rocket")),
)
SUBJECT = DemoWord(
    word="mirp",
    samples="mascot",
    template="subject",
    init="smiling face with horns",
    vectors=6,
    learning_rate="1e-2:80, 5e-3:140, 1e-3",
    steps=200,
    batch_size=8,
    prompts=(
        "a [name]",
        *(f"a [name] on a {ground} background" for ground in ("pink", "sky blue", "yellow", "white", "blue")),
    ),
)
DEMO_WORDS = {demo.word: demo for demo in (STYLE, SUBJECT)}
_PREVIEW_SEED = 3
_EXAMPLES = 6


def demo_word(word: str) -> DemoWord:
    """The demo of this word.

    Raises:
        BadOption: there is none.
    """
    if word not in DEMO_WORDS:
        raise BadOption(f"--word {word!r}", expected=" or ".join(DEMO_WORDS))
    return DEMO_WORDS[word]


def run_demo(out: Path, settings: Settings, *, demo: DemoWord = STYLE, seed: int = 0) -> Iterator[Event]:
    """Teach the bundled model the demo's word and write everything into `out`.

    `<word>.safetensors`, `.pt` and `.bin`; `before-after.png`; `loss.png`; `training-log.csv`; the run itself
    below `runs/`.

    Args:
        out: made if it is not there; files of an earlier demo are replaced.
        settings: for the cache; embeddings and runs go below `out`.
        demo: which word.
        seed: of the training.
    """
    for suffix in (".pt", ".bin"):  # an earlier demo's: the word must be found under one file only
        (out / f"{demo.word}{suffix}").unlink(missing_ok=True)
    here = replace(settings, embeddings_dir=out, runs_dir=out / "runs")
    run = RunFolder(out)
    for event in train_word(demo.options(seed), here):
        if isinstance(event, RunStarted):
            run = RunFolder(event.run)
        yield event
    learned = read_embedding(out / f"{demo.word}.safetensors")
    for suffix, what in ((".pt", "embedding for A1111"), (".bin", "embedding for diffusers")):
        path = out / f"{demo.word}{suffix}"
        write_embedding(learned, path)
        yield Saved(path=path, what=what)
    yield from _write_plot(run, out, demo)
    yield from _draw_before_after(demo, here, out / "before-after.png")


def _write_plot(run: RunFolder, out: Path, demo: DemoWord) -> Iterator[Event]:
    steps, losses, evaluations = read_losses(run)
    title = f"“{demo.word}”: loss while learning; fixed batch of held-back pictures"
    plot_losses(steps, losses, evaluations, out / "loss.png", title)
    yield Saved(path=out / "loss.png", what="loss plot")
    shutil.copyfile(run.losses, out / "training-log.csv")
    yield Saved(path=out / "training-log.csv", what="training log")


def _draw_before_after(demo: DemoWord, settings: Settings, path: Path) -> Iterator[Event]:
    studio = Studio.open(settings, model="bundled")
    rows: list[tuple[str, list[Image.Image]]] = []
    done, total = 0, 2 * len(demo.prompts)
    for word, label in (
        (demo.init, f"before: the plain word “{demo.init}”"),
        (demo.word, f"after: the learned word “{demo.word}”, same prompts, same seeds"),
    ):
        pictures: list[Image.Image] = []
        for prompt in demo.prompts:
            pictures.append(_draw_one(studio, prompt.replace("[name]", word)))
            done += 1
            yield Progress(label="drawing before and after", done=done, total=total)
        rows.append((label, pictures))
    examples = _examples(demo, studio.conditioner.model.resolution)
    learned_from = labelled_rows([(f"some of the pictures that “{demo.word}” was learned from", examples)], [])
    drawn = labelled_rows(rows, [prompt.replace("[name]", "…").replace(" background", "") for prompt in demo.prompts])
    save_png(stacked([learned_from, drawn]), path)
    yield Saved(path=path, what="the same prompts before and after")


def _draw_one(studio: Studio, prompt: str) -> Image.Image:
    events = studio.draw(GenerateOptions(prompt=prompt, seed=_PREVIEW_SEED))
    return next(event.image for event in events if isinstance(event, PictureDone))


def _examples(demo: DemoWord, resolution: int) -> list[Image.Image]:
    files = sorted(sample_folder(demo.samples, "training").glob("*.png"))[:_EXAMPLES]
    return [Image.open(file).convert("RGB").resize((resolution, resolution)) for file in files]
