"""Does half precision learn as well? The demo's style word in fp32, bf16 and fp16, several seeds each.

    .venv/bin/python -m benchmarks.half_precision                      # everything; goes on where it stopped
    .venv/bin/python -m benchmarks.half_precision --precisions bf16 --seeds 2

Each training is a process of its own, so that its memory can be told, and keeps its last rows without looking at
held-back pictures. All words are judged by the same model in fp32: loss on held-back pictures with noise that no
training saw, length of the vectors, and pictures of the same prompts and seeds. Results go into
benchmarks/results/half-precision/: figures as JSON and as a table, the words, and pictures.png.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from benchmarks.learned_word import ROUNDS, STYLE_CAPTION
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import read_embedding
from pseudoword.events import PictureDone, RunEnded
from pseudoword.generation.draw import draw
from pseudoword.generation.grid import labelled_rows
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.saving import save_png
from pseudoword.models.device import bf16_speed_ratio
from pseudoword.models.load import load_model
from pseudoword.services.demo import STYLE
from pseudoword.services.samples import sample_folder
from pseudoword.services.train import train_word
from pseudoword.settings import Settings
from pseudoword.training.fixed_batch import fixed_loss, make_fixed_batch
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.sources import Source

PRECISIONS = ("fp32", "bf16", "fp16")
SEEDS = 5
PROMPTS = ("cat, {word} style", "rocket, {word} style", "tree, {word} style")
OUT = Path(__file__).parent / "results" / "half-precision"


def train_one(precision: str, seed: int, steps: int) -> None:
    """Train in this process and note its time and peak memory; processor time tells more on a busy machine."""
    folder = OUT / f"{precision}-{seed}"
    options = replace(
        STYLE.options(seed=seed),
        precision=precision,
        steps=steps,
        held_back="",
        keep="last",
        evaluate_every=0,
        preview_every=0,
        save_every=0,
    )
    settings = Settings(embeddings_dir=folder, runs_dir=folder / "runs", cache_dir=OUT / "cache")
    ended = next(event for event in train_word(options, settings) if isinstance(event, RunEnded))
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "seconds_per_step": ended.seconds_per_step,
        "peak_mib": round(used.ru_maxrss / 1024),
    }
    (folder / "figures.json").write_text(json.dumps(figures))


def judge(runs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Figures of every trained word, all by the model in fp32."""
    model = load_model("bundled", device="cpu", precision="fp32", hash_cache=OUT / "hashes.json")
    source = Source(folder=sample_folder(STYLE.samples, "held-back"))
    *_, held_back = load_pictures([source], Preparation(resolution=model.resolution))
    *_, latents = encode_latents(model, held_back, "held-back")
    assert isinstance(latents, Latents)
    batch = make_fixed_batch(latents, [picture.words for picture in held_back], model.schedule, rounds=ROUNDS)
    conditioner = Conditioner(model)
    rows: list[dict[str, Any]] = []
    for precision, seed in runs:
        folder = OUT / f"{precision}-{seed}"
        file = folder / f"{STYLE.word}.safetensors"
        vectors = read_embedding(file).vectors
        words = {STYLE.word: vectors}
        loss = fixed_loss(conditioner, batch, lambda text: STYLE_CAPTION.format(word=STYLE.word, words=text), words)
        pictures = folder / "pictures.png"
        if not pictures.is_file():
            _draw(conditioner, words, pictures)
        norm = float(torch.cat([table.norm(dim=1) for table in vectors.values()]).mean())
        own = json.loads((folder / "figures.json").read_text())
        rows.append({"precision": precision, "seed": seed, "held_back_loss": loss, "norm": norm, **own})
    return rows


def _draw(conditioner: Conditioner, words: Any, path: Path) -> None:
    images: list[Image.Image] = []
    for prompt in PROMPTS:
        request = GenerateOptions(prompt=prompt.format(word=STYLE.word), seed=3)
        images += [event.image for event in draw(conditioner, request, words) if isinstance(event, PictureDone)]
    sheet = Image.new("RGB", (sum(image.width for image in images), images[0].height))
    x = 0
    for image in images:
        sheet.paste(image, (x, 0))
        x += image.width
    save_png(sheet, path, "")


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and sample deviation of each precision."""
    found: list[dict[str, Any]] = []
    for precision in PRECISIONS:
        own = [row for row in rows if row["precision"] == precision]
        if not own:
            continue
        entry: dict[str, Any] = {"precision": precision, "seeds": len(own)}
        for name in ("held_back_loss", "norm", "cpu_seconds", "seconds_per_step", "peak_mib"):
            values = [row[name] for row in own]
            entry[name] = statistics.mean(values)
            entry[f"{name}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
        found.append(entry)
    return found


def _sheet(runs: list[tuple[str, int]]) -> Image.Image:
    labels = [f"{precision}, seed {seed}" for precision, seed in runs]
    pictures = [Image.open(OUT / f"{precision}-{seed}" / "pictures.png").convert("RGB") for precision, seed in runs]
    by_seed = sorted({seed for _, seed in runs})
    lines: list[tuple[str, list[Image.Image]]] = []
    for seed in by_seed:
        own = [i for i, (_, other) in enumerate(runs) if other == seed]
        lines.append(("    |    ".join(labels[i] for i in own), [pictures[i] for i in own]))
    return labelled_rows(lines, [])


def main() -> None:
    """Train what is not there yet, judge everything that is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STYLE.steps)
    parser.add_argument("--one", nargs=2, metavar=("PRECISION", "SEED"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    if given.one:
        train_one(given.one[0], int(given.one[1]), given.steps)
        return
    for seed in range(given.seeds):
        for precision in given.precisions:
            if not (OUT / f"{precision}-{seed}" / "figures.json").is_file():
                own = ["--one", precision, str(seed), "--steps", str(given.steps)]
                subprocess.run([sys.executable, "-m", "benchmarks.half_precision", *own], check=True)
    runs = [
        (precision, seed)
        for seed in range(given.seeds)
        for precision in PRECISIONS
        if (OUT / f"{precision}-{seed}" / "figures.json").is_file()
    ]
    rows = judge(runs)
    result = {
        "machine": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "bf16_speed_ratio": bf16_speed_ratio(),
        "steps": given.steps,
        "summary": summary(rows),
        "runs": rows,
    }
    (OUT / "half-precision.json").write_text(json.dumps(result, indent=2) + "\n")
    save_png(_sheet(runs), OUT / "pictures.png", "")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
