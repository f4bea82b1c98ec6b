"""How much earlier does `--stop auto` end than a fixed long run, and how much of its quality does it reach?

One long run for each word and seed, judged every few steps on held-back pictures. An automatic run makes the same
steps with the same bits until it stops (tests/unit/services/test_train_ends.py), so its end and what it keeps are read
off the long run's judgements, and its time is what the clock showed then, judging included. The long run's time is that
of its steps alone, as a run that nobody judges would take. Both results are then judged by pictures that neither has
seen: half of the held-back ones decide, the other half judge.

    make bench-stopping ARGS="--steps 400 --seeds 3"
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import read_embedding
from pseudoword.events import Evaluated, StepDone
from pseudoword.models.load import load_model
from pseudoword.services.demo import STYLE, SUBJECT, DemoWord
from pseudoword.services.samples import sample_folder
from pseudoword.services.train import train_word
from pseudoword.settings import Settings
from pseudoword.training.fixed_batch import fixed_loss, make_fixed_batch
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.sources import Source
from pseudoword.training.stopping import has_settled

RATE = "1e-2"
ROUNDS = 8
CAPTIONS = {"style": "{words}, {word} style", "subject": "a {word} {words}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One word and seed."""

    word: str
    seed: int
    stop_step: int
    """Where the automatic run ends; the long run's own end where it never settled."""
    auto_seconds: float
    long_seconds: float
    initial_loss: float
    """On the judging half, of the text that it began with."""
    auto_loss: float
    """Of the best rows until the stop."""
    long_loss: float
    """Of the last rows of the long run."""

    @property
    def time_ratio(self) -> float:
        """Time of the automatic run over that of the long one."""
        return self.auto_seconds / self.long_seconds

    @property
    def gain_share(self) -> float:
        """What the automatic run gained over the initial text, over what the long run gained."""
        return (self.initial_loss - self.auto_loss) / (self.initial_loss - self.long_loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The half of the held-back pictures that decides nothing."""

    conditioner: Conditioner
    latents: Latents
    words: list[str]
    template: str

    def loss(self, word: str, file: Path | None) -> float:
        """Of a learned word, or of a plain text where there is no file."""
        batch = make_fixed_batch(self.latents, self.words, self.conditioner.model.schedule, rounds=ROUNDS)
        vectors = {word: read_embedding(file).vectors} if file else {}
        caption = CAPTIONS[self.template]
        return fixed_loss(self.conditioner, batch, lambda words: caption.format(word=word, words=words), vectors)


def halves(demo: DemoWord, folder: Path) -> tuple[Path, Path]:
    """Two folders with every second held-back picture each."""
    files = sorted(path for path in sample_folder(demo.samples, "held-back").iterdir() if path.suffix == ".png")
    for place, name in enumerate(("deciding", "judging")):
        (folder / name).mkdir(parents=True)
        for file in files[place::2]:
            shutil.copy(file, folder / name)
    return folder / "deciding", folder / "judging"


def make_judge(demo: DemoWord, pictures: Path, precision: str) -> Judge:
    """The judging half, encoded."""
    model = load_model("bundled", device="cpu", precision=precision, hash_cache=pictures.parent / "h.json")
    *_, shown = load_pictures([Source(folder=pictures)], Preparation(resolution=model.resolution))
    *_, latents = encode_latents(model, shown, "")
    assert isinstance(latents, Latents)
    words = [picture.words for picture in shown]
    return Judge(conditioner=Conditioner(model), latents=latents, words=words, template=demo.template)


def long_run(options: TrainOptions, settings: Settings) -> tuple[list[tuple[int, float, float]], float]:
    """Step, deciding loss and seconds so far of every judgement; seconds of all steps."""
    judged: list[tuple[int, float, float]] = []
    stepping, start = 0.0, time.monotonic()
    for event in train_word(options, settings):
        if isinstance(event, StepDone):
            stepping += event.seconds
        elif isinstance(event, Evaluated):
            judged.append((event.step, event.loss, time.monotonic() - start))
    first = judged[0][2]
    return [(step, loss, seconds - first) for step, loss, seconds in judged], stepping


def measure(demo: DemoWord, seed: int, judge: Judge, deciding: Path, options: argparse.Namespace) -> Outcome:
    """Run, stop in hindsight, judge both."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(embeddings_dir=folder, runs_dir=folder / "runs", cache_dir=folder / "cache")
        asked = replace(
            demo.options(seed), held_back=str(deciding), learning_rate=RATE, steps=options.steps, batch_size=4,
            evaluate_every=options.every, save_every=options.every, preview_every=0, precision=options.precision,
            device="cpu",
        )  # fmt: skip
        judged, stepping = long_run(asked, settings)
        losses = [loss for _, loss, _ in judged]
        ends = (n for n in range(1, len(losses) + 1) if has_settled(losses[:n], asked.patience, asked.settle))
        count = next(ends, len(losses))
        best = min(judged[1:count], key=lambda one: one[1])[0]
        copies = folder / "runs" / demo.word / "embeddings"
        return Outcome(
            word=demo.word,
            seed=seed,
            stop_step=judged[count - 1][0],
            auto_seconds=judged[count - 1][2],
            long_seconds=stepping,
            initial_loss=judge.loss(demo.init, None),
            auto_loss=judge.loss(demo.word, copies / f"{demo.word}-{best}.safetensors"),
            long_loss=judge.loss(demo.word, folder / f"{demo.word}.safetensors"),
        )


def measured(demos: list[DemoWord], chosen: argparse.Namespace) -> Iterator[Outcome]:
    """All words with one seed, then with the next; told as they come."""
    with tempfile.TemporaryDirectory() as name:
        prepared: list[tuple[DemoWord, Judge, Path]] = []
        for demo in demos:
            deciding, judging = halves(demo, Path(name) / demo.word)
            prepared.append((demo, make_judge(demo, judging, chosen.precision), deciding))
        for seed in range(chosen.seeds):
            for demo, judge, deciding in prepared:
                outcome = measure(demo, seed, judge, deciding, chosen)
                print(json.dumps(asdict(outcome)), flush=True)
                yield outcome


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600, help="of the fixed long run")
    parser.add_argument("--every", type=int, default=20, help="steps between judgements")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--words", nargs="+", default=[STYLE.word, SUBJECT.word])
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "stopping.json")
    chosen = parser.parse_args()
    outcomes = list(measured([demo for demo in (STYLE, SUBJECT) if demo.word in chosen.words], chosen))
    result = {
        "outcomes": [asdict(one) | {"time_ratio": one.time_ratio, "gain_share": one.gain_share} for one in outcomes],
        "median_time_ratio": statistics.median(one.time_ratio for one in outcomes),
        "median_gain_share": statistics.median(one.gain_share for one in outcomes),
        "steps": chosen.steps,
        "evaluate_every": chosen.every,
        "precision": chosen.precision,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    print(
        f"auto took {result['median_time_ratio']:.2f} times as long as {chosen.steps} steps and reached "
        f"{result['median_gain_share']:.0%} of their gain (medians of {len(outcomes)} runs)",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
