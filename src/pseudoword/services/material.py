"""What every process of a training prepares: the model, the pictures and their latents."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.events import Event
from pseudoword.models.load import load_model
from pseudoword.models.protocols import BaseModel
from pseudoword.services.pictures import preparation, read_and_encode
from pseudoword.services.several_words import check_all_captions
from pseudoword.services.training_task import Material
from pseudoword.settings import Settings
from pseudoword.training.captions import Templates
from pseudoword.training.latents import Latents
from pseudoword.training.options import TrainOptions
from pseudoword.training.pictures import Picture
from pseudoword.training.sources import Source, check_pictures_folder, check_sources


def open_model(options: TrainOptions, settings: Settings) -> BaseModel:
    """Everything that can be wrong is looked at before the slow part begins."""
    check_sources(options.sources())
    if options.held_back:
        check_pictures_folder(Path(options.held_back))
    return load_model(
        options.model,
        device=options.device,
        precision=options.precision,
        hash_cache=settings.cache_dir / "hashes.json",
        vae=options.vae,
        prediction=options.prediction,
        memory=options.memory,
    )


def prepare(
    conditioner: Conditioner, templates: Templates, options: TrainOptions, cache_dir: Path
) -> Generator[Event, None, Material]:
    """Read and encode all pictures; `Progress` meanwhile."""
    model = conditioner.model
    how = preparation(options, model, options.seed)
    cache = cache_dir / "latents" if options.cache_latents == "disk" else None
    pictures, latents = yield from read_and_encode(model, options.sources(), how, "encoding pictures", cache)
    held_back: list[Picture] = []
    held_back_latents: Latents | None = None
    if options.held_back:
        judged = (Source(folder=Path(options.held_back)),)
        how = replace(how, flip=False, masks="none")
        held_back, held_back_latents = yield from read_and_encode(
            model, judged, how, "encoding held-back pictures", cache
        )
    check_all_captions(conditioner, templates, options, (*pictures, *held_back))
    return Material(
        conditioner=conditioner,
        templates=templates,
        pictures=pictures,
        latents=latents,
        held_back=held_back,
        held_back_latents=held_back_latents,
    )
