"""Pictures from a prompt: noise → sampler steps with classifier-free guidance → autoencoder.

Guidance: Ho & Salimans 2022 (arXiv 2207.12598), uncond + s · (cond - uncond). Each picture has a generator of
its own, seeded with its own seed, from which both the first noise and the sampler's come, as in A1111 with
the noise source `CPU`; so a batch has bit for bit the noise of single runs.
"""

import inspect
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.errors import BadOption
from pseudoword.events import Event, PictureDone, Progress
from pseudoword.generation.infotext import Infotext, hash_list
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.protocols import BaseModel, Conditioning
from pseudoword.models.samplers import make_scheduler, sampler_named
from pseudoword.rng import fresh_seed, picture_generator


def txt2img(
    conditioner: Conditioner,
    options: GenerateOptions,
    words: Words,
    word_hashes: dict[str, str] | None = None,
) -> Iterator[Event]:
    """Yield `Progress` per sampling step and one `PictureDone` per picture.

    Args:
        conditioner: of the model that draws.
        options: the request; a seed of -1 is drawn here and told in the infotext.
        words: learned words that the prompts may use.
        word_hashes: name to short hash of its file, for the infotext's `TI hashes`.

    Raises:
        BadOption: width or height is not a multiple of the model's latent size.
        WrongFamily: a word in a prompt does not fit the model.
    """
    model = conditioner.model
    width, height = _size(model, options)
    first_seed = fresh_seed() if options.seed < 0 else options.seed
    guidance = model.family.guidance_scale if options.cfg_scale is None else options.cfg_scale
    info = _infotext(conditioner, options, words, word_hashes or {}, (width, height), guidance)
    with torch.no_grad():
        both = conditioner.encode([options.negative_prompt, options.prompt], words)
    if model.zeros_for_empty and not options.negative_prompt:
        both = both.zeroed(0)
    total = options.count * options.steps
    for batch in range(options.count):
        seeds = [(first_seed + batch * options.batch_size + i) % (1 << 32) for i in range(options.batch_size)]
        steps = _sample(model, both, options, (height, width), guidance, seeds)
        latents = yield from _with_progress(steps, batch * options.steps, total)
        for i, seed in enumerate(seeds):
            picture = to_picture(model.decode_latents(latents[i : i + 1])[0])
            yield PictureDone(
                index=batch * options.batch_size + i,
                seed=seed,
                image=picture,
                infotext=info.with_values({"Seed": seed}).text(),
            )


def to_picture(pixels: torch.Tensor) -> Image.Image:
    """An RGB picture from `pixels` [3, H, W] in -1 … 1, rounded to the nearest of 256 levels."""
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()), "RGB")


def first_noise(model: BaseModel, seeds: Sequence[int], size: tuple[int, int]) -> tuple[torch.Tensor, Any]:
    """Standard normal noise [b, c, h, w] for pictures of `size` (height, width), and the generators behind it."""
    generators = [picture_generator(seed) for seed in seeds]
    shape = (1, model.latent_channels, size[0] // model.downscale, size[1] // model.downscale)
    return torch.cat([torch.randn(shape, generator=g) for g in generators]), generators


@torch.no_grad()
def _sample(
    model: BaseModel,
    both: Conditioning,
    options: GenerateOptions,
    size: tuple[int, int],
    guidance: float,
    seeds: Sequence[int],
) -> Iterator[torch.Tensor]:
    """Yield the latents [b, c, h, w] after every step; `both` holds negative and positive, in this order."""
    scheduler = make_scheduler(sampler_named(options.sampler), model.scheduler_config, options.steps, model.device)
    noise, generators = first_noise(model, seeds, size)
    latents = noise.to(model.device) * scheduler.init_noise_sigma
    takes_generator = _takes_generator(scheduler)
    extra = {"generator": generators} if takes_generator else {}
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, timestep)
        prediction = guided(model, scaled, timestep, both, guidance)
        latents = scheduler.step(prediction, timestep, latents, return_dict=False, **extra)[0]
        yield latents


def guided(
    model: BaseModel, latents: torch.Tensor, timestep: torch.Tensor, both: Conditioning, guidance: float
) -> torch.Tensor:
    """The guided prediction for `latents` [b, c, h, w], all at one `timestep` (a scalar).

    In half precision on a CPU every picture goes through the UNet alone: kernels there round differently by
    batch size, and a batch must equal single runs (docs/decisions). In float32 the difference is below 1e-5.
    """
    alone = model.device.type == "cpu" and model.dtype != torch.float32
    groups = latents.split(1) if alone else (latents,)
    return torch.cat([_guided_group(model, group, timestep, both, guidance) for group in groups])


def _guided_group(
    model: BaseModel, latents: torch.Tensor, timestep: torch.Tensor, both: Conditioning, guidance: float
) -> torch.Tensor:
    n = len(latents)
    if guidance == 1:
        return model.predict(latents, timestep.expand(n), both.select([1] * n))
    doubled = torch.cat([latents, latents])
    prediction = model.predict(doubled, timestep.expand(2 * n), both.select([0] * n + [1] * n))
    negative, positive = prediction.chunk(2)
    return negative + guidance * (positive - negative)


def _takes_generator(scheduler: Any) -> bool:
    return "generator" in inspect.signature(scheduler.step).parameters


def _with_progress(steps: Iterator[torch.Tensor], done: int, total: int) -> Generator[Event, None, torch.Tensor]:
    """Tell every step; return the last one's latents."""
    latents = torch.empty(0)
    for number, latents in enumerate(steps, done + 1):  # noqa: B007  # the last ones are the result
        yield Progress(label="sampling", done=number, total=total)
    return latents


def _size(model: BaseModel, options: GenerateOptions) -> tuple[int, int]:
    width = options.width or model.resolution
    height = options.height or model.resolution
    for name, value in (("width", width), ("height", height)):
        if value % model.downscale:
            raise BadOption(f"--{name} {value}", expected=f"a multiple of {model.downscale}")
    return width, height


def _infotext(
    conditioner: Conditioner,
    options: GenerateOptions,
    words: Words,
    word_hashes: dict[str, str],
    size: tuple[int, int],
    guidance: float,
) -> Infotext:
    prompts = (options.prompt, options.negative_prompt)
    used = dict.fromkeys(name for prompt in prompts for name in conditioner.words_in(prompt, words))
    sampler = sampler_named(options.sampler)
    return Infotext(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        values={
            "Steps": options.steps,
            "Sampler": sampler.infotext_name,
            "Schedule type": sampler.schedule_type,
            "CFG scale": guidance,
            "Size": size,
            "Model hash": conditioner.model.hash,
            "Model": conditioner.model.name,
            "RNG": "CPU",
            "TI hashes": hash_list({name: word_hashes[name] for name in used if name in word_hashes}),
        },
    )
