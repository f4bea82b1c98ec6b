"""The model card's pictures: loss curves and a grid of samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from pseudoword.files import atomic_path

PROMPTS = (
    "cat, noto style",
    "apple, fluent flat style",
    "rocket, twitter style",
    "house",
    "car on a blue background",
    "tree, line art style",
    "smiling face with sunglasses, fluent 3d style",
    "guitar",
    "strawberry",
    "fish, firefox style",
)
SEEDS = (0, 1, 2)
GUIDANCE_SCALE = 4.0


def draw_losses(curves: dict[str, Sequence[dict[str, Any]]], path: Path) -> None:
    """One panel per stage: the loss over the steps, from the stages' log lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(curves), 3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (stage, lines) in zip(panels, curves.items(), strict=True):
        panel.plot([line["step"] for line in lines], [line["loss"] for line in lines])
        panel.set(title=stage, xlabel="step", ylabel="loss (smoothed)", yscale="log")
        panel.grid(alpha=0.3, which="both")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_samples(pipeline: Any, path: Path, steps: int) -> None:
    """A column per prompt and a row per seed, by plain diffusers."""
    rows = []
    for seed in SEEDS:
        generators = [torch.Generator().manual_seed(seed) for _ in PROMPTS]
        made = pipeline(
            list(PROMPTS),
            generator=generators,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE_SCALE,
        )
        rows.append(made.images)
    with atomic_path(path) as temporary:
        grid(rows).save(temporary)


def grid(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures of one size side by side and below each other."""
    width, height = rows[0][0].size
    whole = Image.new("RGB", (width * len(rows[0]), height * len(rows)))
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            whole.paste(picture, (column * width, row * height))
    return whole
