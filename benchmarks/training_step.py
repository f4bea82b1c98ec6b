"""A training step here against a plain loop written with diffusers, side by side in one run.

    make bench

Both train the same number of rows on the bundled model in the same precision, from the same latents (encoded
beforehand in both), with the same batch, captions and AdamW. The plain loop is the usual one: the tokenizer and
the token table are grown, the whole table is the parameter, and the other rows are copied back after every step.
The loops take turns in blocks of steps, so that a machine that changes its speed changes both; medians are
reported. Prints the ratio (above 1: ours takes longer) and writes benchmarks/results/training-step.json.
"""

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.models.device import choose_dtype, precision_name
from pseudoword.models.folder import find_model
from pseudoword.models.load import load_model
from pseudoword.services.samples import sample_folder
from pseudoword.training.captions import load_templates
from pseudoword.training.draws import Drawing, TrainingData
from pseudoword.training.fixed_batch import make_fixed_batch
from pseudoword.training.initial import initial_rows
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.loop import take_step
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.rate import parse_rates
from pseudoword.training.run import RunFolder
from pseudoword.training.sources import Source
from pseudoword.training.state import RowOptimizer, TrainState
from pseudoword.training.task import Task

WORD, INIT, VECTORS, RATE = "hikon", "silhouette", 4, 1e-2


def our_step(precision: str, batch: int, folder: Path) -> tuple[Callable[[], None], Latents, list[str]]:
    """One optimiser step of the product's own loop, and the material that it works on."""
    model = load_model("bundled", device="cpu", precision=precision, hash_cache=folder / "h.json")
    pictures_dir = sample_folder("high-contrast", "training")
    *_, pictures = load_pictures([Source(folder=pictures_dir)], Preparation(resolution=model.resolution))
    *_, latents = encode_latents(model, pictures, "")
    words = [picture.words for picture in pictures]
    options = TrainOptions(
        name=WORD,
        pictures=str(pictures_dir),
        init=INIT,
        vectors=VECTORS,
        learning_rate=str(RATE),
        steps=10**6,
        batch_size=batch,
    )
    task = Task(
        conditioner=Conditioner(model),
        data=TrainingData(latents=latents, words=tuple(words), templates=load_templates("style"), name=WORD),
        fixed_batch=make_fixed_batch(latents, words, model.schedule),
        options=options,
        drawing=Drawing(seed=options.seed, per_step=batch),
        rates=parse_rates(str(RATE)),
        clip_limits=parse_rates(options.clip_grad_value),
        num_steps=10**6,
        folder=RunFolder(folder),
        save_copy=lambda *_: None,
        draw_preview=lambda *_: None,
        nearest=lambda _: (),
    )
    state = TrainState.start(initial_rows(model, INIT, VECTORS))
    optimizer = RowOptimizer(state, model.device, options)
    return lambda: (take_step(task, state, optimizer), None)[1], latents, words


def plain_step(dtype: torch.dtype, batch: int, latents: Latents, words: list[str]) -> Callable[[], None]:
    """One step of the usual loop: grown table, all of it trained, the old rows copied back."""
    folder = find_model("bundled").path
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    text_encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=dtype)
    AutoencoderKL.from_pretrained(folder / "vae")  # loaded as such loops do; the latents are cached here
    scheduler = DDPMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction"
    )
    placeholders = [WORD, *(f"{WORD}_{i}" for i in range(1, VECTORS))]
    tokenizer.add_tokens(placeholders)
    text_encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = text_encoder.get_input_embeddings().weight
    first_new = len(tokenizer) - VECTORS
    initial = tokenizer(INIT, add_special_tokens=False).input_ids
    with torch.no_grad():
        for i in range(VECTORS):
            table[first_new + i] = table[initial[i * len(initial) // VECTORS]]
    unet.requires_grad_(False)
    text_encoder.requires_grad_(False)
    text_encoder.to(dtype)
    table.requires_grad_(True)
    original = table.detach().clone()
    optimizer = torch.optim.AdamW([table], lr=RATE, weight_decay=0.0)
    templates = load_templates("style").with_words
    generator = torch.Generator().manual_seed(0)

    def step() -> None:
        chosen = torch.randint(len(words), (batch,), generator=generator).tolist()
        means, deviations = (torch.stack([part[i] for i in chosen]) for part in (latents.mean, latents.deviation))
        noise = torch.randn(means.shape, generator=generator)
        clean = means + deviations * torch.randn(noise.shape, generator=generator)
        times = torch.randint(1000, (batch,), generator=generator)
        lines = torch.randint(len(templates), (batch,), generator=generator).tolist()
        captions = [
            templates[line].replace("[filewords]", words[i]).replace("[name]", " ".join(placeholders))
            for line, i in zip(lines, chosen, strict=True)
        ]
        ids = tokenizer(captions, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
        hidden = text_encoder(ids)[0].to(dtype)
        prediction = unet(scheduler.add_noise(clean, noise, times).to(dtype), times, hidden).sample
        wanted = scheduler.get_velocity(clean, noise, times)
        torch.nn.functional.mse_loss(prediction.float(), wanted).backward()
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            table[:first_new] = original[:first_new]

    return step


def time_block(step: Callable[[], None], steps: int) -> float:
    """Seconds per step over one block."""
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    """Measure both in turns and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--steps", type=int, default=4, help="steps per block")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training-step.json")
    chosen = parser.parse_args()
    dtype = choose_dtype(chosen.precision, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        ours, latents, words = our_step(precision_name(dtype), chosen.batch, Path(folder))
        plain = plain_step(dtype, chosen.batch, latents, words)
        for step in (ours, plain):
            time_block(step, 2)
        pairs = [(time_block(ours, chosen.steps), time_block(plain, chosen.steps)) for _ in range(chosen.blocks)]
    result = {
        "ours_seconds_per_step": statistics.median(pair[0] for pair in pairs),
        "plain_seconds_per_step": statistics.median(pair[1] for pair in pairs),
        "ratio_ours_to_plain": statistics.median(a / b for a, b in pairs),
        "ratio_range": [min(a / b for a, b in pairs), max(a / b for a, b in pairs)],
        "precision": precision_name(dtype),
        "batch": chosen.batch,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    print(f"a step here takes {result['ratio_ours_to_plain']:.2f} times as long as the plain loop's", file=sys.stderr)


if __name__ == "__main__":
    main()
