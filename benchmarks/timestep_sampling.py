"""Could a training be shortened by drawing some noise levels more often than others?

    .venv/bin/python -m benchmarks.timestep_sampling [EMBEDDING]

Importance sampling draws timestep t with probability p(t) and weighs its loss by 1/(T·p(t)): the gradient stays right
in the mean, only its variance changes. The least variance is that of p(t) ∝ √E‖g_t‖² (Zhao & Zhang 2015, arXiv
1401.2753), and then the second moment E‖g‖² falls from mean_t(E‖g_t‖²) to (mean_t √E‖g_t‖²)². This measures E‖g_t‖², g
the gradient in the demo's style word, in ten bands of noise, and prints the ratio of the two: the share of samples with
which the best importance sampling would give the same noise in the gradient. Measured where the demo starts, and where
the embedding of the argument is.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

from pseudoword import rng
from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import read_embedding
from pseudoword.models.load import load_model
from pseudoword.services.demo import STYLE
from pseudoword.services.samples import sample_folder
from pseudoword.training.captions import load_templates
from pseudoword.training.initial import initial_rows
from pseudoword.training.latents import Latents, encode_latents
from pseudoword.training.objective import add_noise, mean_squared_error, target
from pseudoword.training.pictures import Preparation, load_pictures
from pseudoword.training.sources import Source

BANDS = 10
SAMPLES = 16
"""For each band."""


def second_moments(
    conditioner: Conditioner, latents: Latents, captions: list[str], rows: dict[str, torch.Tensor]
) -> tuple[list[float], float]:
    """Mean squared length of a sample's gradient in each band, and the squared length of the mean gradient."""
    model = conditioner.model
    moments: list[float] = []
    total: torch.Tensor | None = None
    width = model.schedule.num_timesteps // BANDS
    for band in range(BANDS):
        squares = 0.0
        for sample in range(SAMPLES):
            number = band * SAMPLES + sample
            picture = rng.integers(len(captions), 1, "picture", 0, [number])[0]
            step = torch.tensor([band * width + rng.integers(width, 1, "timestep", 0, [number])[0]])
            clean = latents.mean[picture].unsqueeze(0)
            noise = rng.normal(clean.shape[1:], 1, "noise", 0, [number])
            own = {slot: values.clone().requires_grad_() for slot, values in rows.items()}
            conditioning = conditioner.encode([captions[picture]], {STYLE.word: own})
            prediction = model.predict(add_noise(clean, noise, step, model.schedule), step, conditioning)
            mean_squared_error(prediction, target(clean, noise, step, model.schedule)).sum().backward()
            gradient = torch.cat([values.grad.flatten() for values in own.values() if values.grad is not None])
            squares += float(gradient.square().sum())
            total = gradient if total is None else total + gradient
        moments.append(squares / SAMPLES)
    assert total is not None
    return moments, float((total / (BANDS * SAMPLES)).square().sum())


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        model = load_model("bundled", device="cpu", precision="fp32", hash_cache=Path(folder) / "hashes.json")
    source = Source(folder=sample_folder(STYLE.samples, "training"))
    *_, pictures = load_pictures([source], Preparation(resolution=model.resolution))
    *_, latents = encode_latents(model, pictures, "encoding")
    assert isinstance(latents, Latents)
    templates = load_templates(STYLE.template)
    captions = [
        templates.fill(templates.lines_for(picture.words)[0], picture.words, STYLE.word) for picture in pictures
    ]
    points = {f"start ({STYLE.init})": initial_rows(model, STYLE.init, STYLE.vectors)}
    if len(sys.argv) > 1:
        points["learned"] = dict(read_embedding(Path(sys.argv[1])).vectors)
    found = {}
    for name, rows in points.items():
        moments, mean_square = second_moments(Conditioner(model), latents, captions, rows)
        uniform = sum(moments) / BANDS
        best = (sum(moment**0.5 for moment in moments) / BANDS) ** 2
        found[name] = {"bands": moments, "mean_square": mean_square, "share_of_samples": best / uniform}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
