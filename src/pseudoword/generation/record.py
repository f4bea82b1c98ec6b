"""What a picture's infotext says about how it was drawn: A1111's keys (reference a1111.md §3.6)."""

from collections.abc import Mapping

from pseudoword.generation.img2img import Start
from pseudoword.generation.infotext import Infotext, Value, hash_list
from pseudoword.generation.options import INPAINT_AREAS, MASKED_CONTENT, RESIZE_MODES
from pseudoword.generation.request import Prompts, Request
from pseudoword.generation.sampling.names import AUTOMATIC
from pseudoword.generation.sampling.noise import Seeds

_COMMA_BACKTRACK = 20
"""A1111's default, and ours."""


def record(request: Request, prompts: Prompts, word_hashes: Mapping[str, str], start: Start | None) -> Infotext:
    """The text of all pictures of a request, as yet without seeds."""
    options, model = request.options, request.model
    sampler, schedule = options.sampling()
    used = {name: word_hashes[name] for name in prompts.words() if name in word_hashes}
    values: dict[str, Value] = {
        "Steps": options.steps,
        "Sampler": sampler.name,
        "Schedule type": schedule.label,
        "CFG scale": request.scale,
        "Size": request.size,
        "Model hash": model.hash,
        "Model": model.name,
        "VAE hash": model.hashes.vae or None,
        "VAE": model.hashes.vae_name or None,
        "Clip skip": options.clip_skip,
        "ENSD": options.ensd or None if sampler.uses_ensd else None,
        "RNG": options.noise_source.upper(),
        "Tiling": True if options.tiling else None,
        **_picture_values(request, start),
        **_hires_values(request),
        **_knob_values(request),
        "TI hashes": hash_list(used),
        "Emphasis": options.emphasis if _has_emphasis(request) and options.emphasis != "Original" else None,
        "Pad conds": True if prompts.first.padded else None,
        "Comma backtrack": options.comma_backtrack if options.comma_backtrack != _COMMA_BACKTRACK else None,
    }
    return Infotext(prompt=options.prompt, negative_prompt=options.negative_prompt, values=values)


def with_seeds(info: Infotext, request: Request, seeds: Seeds, number: int) -> Infotext:
    """The text of one picture of a batch."""
    options = request.options
    varied = seeds.strength > 0
    resized = (options.seed_resize_width, options.seed_resize_height)
    return info.with_values(
        {
            "Seed": seeds.pictures[number],
            "Variation seed": seeds.variations[number] if varied else None,
            "Variation seed strength": seeds.strength if varied else None,
            "Seed resize from": resized if seeds.resize_from else None,
        }
    )


def _picture_values(request: Request, start: Start | None) -> dict[str, Value]:
    options = request.options
    if start is None:
        return {"Denoising strength": request.strength if options.hires else None}
    values: dict[str, Value] = {
        "Denoising strength": request.strength,
        "Resize mode": RESIZE_MODES[options.resize_mode_number].capitalize() if options.resize_mode_number else None,
    }
    if start.region is None:
        return values
    content = options.masked_content_number
    return values | {
        "Mask blur": options.mask_blur,
        "Mask mode": "Inpaint not masked" if options.mask_invert else None,
        "Masked content": MASKED_CONTENT[content] if content != 1 else None,
        "Inpaint area": INPAINT_AREAS[1].capitalize() if options.only_masked else None,
        "Masked area padding": options.mask_padding if options.only_masked else None,
    }


def _hires_values(request: Request) -> dict[str, Value]:
    options = request.options
    if not options.hires:
        return {}
    by_size = bool(options.hires_width or options.hires_height)
    sampler, schedule = request.hires_sampling()
    first_sampler, first_schedule = options.sampling()
    return {
        "Hires sampler": sampler.name if sampler != first_sampler else None,
        "Hires schedule type": schedule.label if schedule != first_schedule else None,
        "Hires prompt": options.hires_prompt,
        "Hires negative prompt": options.hires_negative_prompt,
        "Hires upscale": None if by_size else options.hires_scale,
        "Hires resize": (options.hires_width, options.hires_height) if by_size else None,
        "Hires steps": options.hires_steps or None,
        "Hires upscaler": options.upscaler,
    }


def _knob_values(request: Request) -> dict[str, Value]:
    options = request.options
    sampler, schedule = options.sampling()
    eta = options.eta if sampler.takes_eta and options.eta is not None and options.eta != sampler.eta else None
    own_range = not sampler.by_timesteps and schedule.label != AUTOMATIC
    return {
        "Eta DDIM" if sampler.by_timesteps else "Eta": eta,
        "Sigma churn": options.s_churn or None,
        "Sigma tmin": options.s_tmin or None,
        "Sigma tmax": options.s_tmax or None,
        "Sigma noise": options.s_noise if options.s_noise != 1 else None,
        "NGMS": options.s_min_uncond or None,
        "Schedule min sigma": options.sigma_min or None if own_range else None,
        "Schedule max sigma": options.sigma_max or None if own_range else None,
        "Schedule rho": options.rho or None if own_range and schedule.rho is not None else None,
    }


def _has_emphasis(request: Request) -> bool:
    options = request.options
    texts = (options.prompt, options.negative_prompt, options.hires_prompt, options.hires_negative_prompt)
    return any(mark in text for text in texts for mark in "([")
