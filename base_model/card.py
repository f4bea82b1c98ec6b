"""Stage 6: the model card, from what the stages recorded: data, licences, recipe, time, figures.

Writes `card/README.md`, `card/loss.png`, `card/samples.png` and `card/prompt-gap.json`. Nothing in the card
is typed by hand but the weaknesses, which are read from a file, because judging pictures takes eyes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from base_model.export import pipeline_folder
from base_model.figures import PROMPTS, draw_losses, draw_samples
from base_model.journal import Journal
from base_model.latents import load_latents
from base_model.options import option
from base_model.prompt_gap import Denoise, GapRow, prompt_gap
from base_model.sets import BY_NAME, KEPT_BACK
from base_model.sizes import SIZES, TEXT_LENGTH
from base_model.work import Refused, Work
from pseudoword.files import atomic_write, write_json

WEAKNESSES = Path(__file__).with_name("known-weaknesses.md")
TRAINED = ("autoencoder", "denoiser")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """Options of `card`."""

    weaknesses: Path = option(WEAKNESSES, "file with the list of weaknesses", Path)  # noqa: RUF009
    sample_steps: int = option(20, "steps of the sampler for the grid", int)
    threads: int = option(2, "threads", int)


def check(work: Work, options: CardOptions) -> None:
    """Refuse early.

    Raises:
        Refused: there is no file of weaknesses.
    """
    if not options.weaknesses.is_file():
        raise Refused(f"{options.weaknesses} is not there. Write the known weaknesses into it, or give another")


def run(work: Work, options: CardOptions) -> None:
    """Measure, draw and write.

    Raises:
        Refused: an earlier stage is not finished.
    """
    facts = {stage: work.facts(stage) for stage in ("render", "autoencoder", "latents", "denoiser", "export")}
    torch.set_num_threads(options.threads)
    folder = work.folder("card")
    pipeline = load_pipeline(work)
    rows = prompt_gap(_denoise(pipeline), load_latents(work), work.recipe().seed)
    write_json(folder / "prompt-gap.json", [asdict(row) for row in rows])
    draw_losses({stage: Journal(work.folder(stage) / "log.jsonl").lines() for stage in TRAINED}, folder / "loss.png")
    draw_samples(pipeline, folder / "samples.png", options.sample_steps)
    weaknesses = options.weaknesses.read_text("utf-8").strip()
    atomic_write(folder / "README.md", card_text(facts, rows, weaknesses).encode())
    work.finish("card", {})
    print(f"model card in {folder}")


def load_pipeline(work: Work) -> Any:
    """The exported pipeline, by plain diffusers (fp32)."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(pipeline_folder(work))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _denoise(pipeline: Any) -> Denoise:
    def predict(noised: torch.Tensor, timesteps: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        padding = {"padding": "max_length", "truncation": True, "max_length": TEXT_LENGTH}
        ids = pipeline.tokenizer(list(prompts), **padding, return_tensors="pt").input_ids
        states = pipeline.text_encoder(ids).last_hidden_state
        return pipeline.unet(noised, timesteps, states).sample

    return predict


def card_text(facts: dict[str, dict[str, Any]], rows: Sequence[GapRow], weaknesses: str) -> str:
    """The card as Markdown; `facts` by stage."""
    sections = (
        _head(facts),
        _data(facts),
        _recipe(facts),
        _gap(rows),
        f"## What it draws\n\n![samples](samples.png)\n\nA column per prompt, a row per seed: {'; '.join(PROMPTS)}.",
        f"## Known weaknesses\n\n{weaknesses}",
    )
    return "\n\n".join(sections) + "\n"


def _head(facts: dict[str, dict[str, Any]]) -> str:
    pixels = SIZES[facts["render"]["recipe"]["size"]].pixels
    export = facts["export"]
    weights = ", ".join(f"{part} {number:,}" for part, number in export["weights"].items())
    return (
        "# Model card\n\n"
        f"A text-to-image latent diffusion model of the shape of Stable Diffusion 1, {pixels} × {pixels} "
        "pixels, trained from nothing on icons. A complete `StableDiffusionPipeline` folder in half "
        f"precision ({export['bytes'] / 1e6:.1f} MB). Weights: {weights}. v-prediction, "
        f"{facts['denoiser']['vocabulary']} tokens."
    )


def _data(facts: dict[str, dict[str, Any]]) -> str:
    lines = ["## Data", "", "| set | style word | author | licence | pictures |", "|---|---|---|---|---|"]
    for name, one in facts["render"]["sets"].items():
        title = f"[{one['title']}]({one['url']})" if one["url"] else one["title"]
        licence = f"[{one['licence']}]({one['licence_url']})" if one["licence_url"] else one["licence"]
        style = BY_NAME[name].style
        lines.append(f"| {title} | {style} | {one['author']} | {licence} | {one['pictures']} |")
    learned = facts["latents"]
    lines += [
        "",
        f"npm packages `@iconify-json/<set>`. The autoencoder saw {facts['autoencoder']['pictures']} "
        f"pictures; text encoder and UNet saw {learned['pictures']} of {learned['concepts']} concepts that at "
        f"least {facts['render']['recipe']['shared_by']} sets share. Kept back, never trained on: "
        f"{', '.join(KEPT_BACK)}.",
    ]
    return "\n".join(lines)


def _recipe(facts: dict[str, dict[str, Any]]) -> str:
    lines = ["## Training", "", "| stage | steps | batch | time | last loss |", "|---|---|---|---|---|"]
    for stage in TRAINED:
        one = facts[stage]
        minutes = one["seconds"] / 60
        lines.append(f"| {stage} | {one['steps']} | {one['batch']} | {minutes:.1f} min | {one['loss']:.4f} |")
    scale = facts["latents"]["scaling_factor"]
    return "\n".join([*lines, "", f"Scaling factor of the latents: {scale:.6f}.", "", "![loss curves](loss.png)"])


def _gap(rows: Sequence[GapRow]) -> str:
    lines = [
        "## Does it understand words?",
        "",
        "Denoising loss in v-space on training pictures; the further apart, the more a word counts.",
        "",
        "| t | right | wrong concept | wrong style | empty |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = (row.right, row.wrong_concept, row.wrong_style, row.empty)
        lines.append(f"| {row.timestep} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
    return "\n".join(lines)
