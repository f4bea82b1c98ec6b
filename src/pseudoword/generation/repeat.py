"""From an infotext back to the request that draws the same picture; pure.

A key is a row of a table: the option that it sets, and how it is read. What cannot be repeated here is told in words,
never left out in silence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from pseudoword.errors import BadFile, BadOption
from pseudoword.generation.infotext import PRODUCT, Infotext, parse_infotext, read_hash_list
from pseudoword.generation.options import GenerateOptions
from pseudoword.settings import PREDICTIONS

PREDICTION = "Prediction type"
"""The infotext's key for `--prediction`: our own, which A1111 passes over."""
_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """What an infotext asks for."""

    options: Mapping[str, Any]
    """By the names of `GenerateOptions`' fields; those it does not mention are absent."""
    model: str
    """Name of the model, empty where it does not say."""
    model_hash: str
    vae: str
    """File name of an autoencoder that was not the model's own, empty where it was."""
    vae_hash: str
    prediction: str
    """What `--prediction` said; `auto` where nothing is recorded."""
    padded: bool
    """Whether prompts of different lengths were made alike (`Pad conds`)."""
    words: Mapping[str, str]
    """Learned words that were used, with the first digits of their files' sha256."""
    notes: tuple[str, ...]
    """What will be different, in words."""


@dataclass(frozen=True, slots=True)
class _Row:
    field: str
    read: Callable[[str], Any] = str


def _seed(text: str) -> int:
    return int(text) % _SEEDS


def _yes(text: str) -> bool:
    return text.strip().lower() in ("true", "tiling")


_ROWS: Mapping[str, _Row] = {
    "Steps": _Row("steps", int),
    "Sampler": _Row("sampler"),
    "Schedule type": _Row("scheduler"),
    "CFG scale": _Row("cfg_scale", float),
    "Seed": _Row("seed", _seed),
    "Size-1": _Row("width", int),
    "Size-2": _Row("height", int),
    "Variation seed": _Row("variation_seed", _seed),
    "Variation seed strength": _Row("variation_strength", float),
    "Seed resize from-1": _Row("seed_resize_width", int),
    "Seed resize from-2": _Row("seed_resize_height", int),
    "Denoising strength": _Row("denoising_strength", float),
    "Clip skip": _Row("clip_skip", int),
    "ENSD": _Row("ensd", int),
    "Tiling": _Row("tiling", _yes),
    "Emphasis": _Row("emphasis"),
    "Hires upscale": _Row("hires_scale", float),
    "Hires resize-1": _Row("hires_width", int),
    "Hires resize-2": _Row("hires_height", int),
    "Hires upscaler": _Row("hires_upscaler"),
    "Hires steps": _Row("hires_steps", int),
    "Hires sampler": _Row("hires_sampler"),
    "Hires schedule type": _Row("hires_scheduler"),
    "Hires prompt": _Row("hires_prompt"),
    "Hires negative prompt": _Row("hires_negative_prompt"),
    "Mask blur": _Row("mask_blur", float),
    "Masked content": _Row("masked_content"),
    "Inpaint area": _Row("inpaint_area"),
    "Masked area padding": _Row("mask_padding", int),
    "Resize mode": _Row("resize_mode"),
    "Eta": _Row("eta", float),
    "Eta DDIM": _Row("eta", float),
    "Sigma churn": _Row("s_churn", float),
    "Sigma tmin": _Row("s_tmin", float),
    "Sigma tmax": _Row("s_tmax", float),
    "Sigma noise": _Row("s_noise", float),
    "NGMS": _Row("s_min_uncond", float),
    "Schedule min sigma": _Row("sigma_min", float),
    "Schedule max sigma": _Row("sigma_max", float),
    "Schedule rho": _Row("rho", float),
    "Comma backtrack": _Row("comma_backtrack", int),
}
_SAME = frozenset({"Use same sampler", "Use same scheduler"})
"""What stands in a field that says nothing of its own."""

_ELSEWHERE = frozenset((
    "Prompt", "Negative prompt", "Model", "Model hash", "TI hashes", "TI trained on", "Version", "User", "RNG",
    "Mask mode", "Pad conds", "Hires checkpoint", "VAE Encoder", "VAE Decoder", "FP8 weight",
    "Refiner switch by sampling steps", "Downcast alphas_cumprod", "Script", "X Type", "X Values", "Y Type",
    "Y Values", "Z Type", "Z Values", "Command", "VAE hash", "VAE",
))  # fmt: skip
"""Keys that are read in another way, that change nothing here, or whose default was filled in."""


def repeat(infotext: Infotext, program: str) -> Repeat:
    """The request behind an infotext.

    Args:
        infotext: as it was read from a picture.
        program: who wrote it; other programs' noise is another.

    Raises:
        BadFile: there is nothing in it that a picture could be drawn from, or a value is no number.
    """
    if not infotext.values:
        raise BadFile("the picture does not say how it was made", expected="an infotext with seed and sampler")
    said = parse_infotext(infotext.text())
    options: dict[str, Any] = {"prompt": infotext.prompt, "negative_prompt": infotext.negative_prompt}
    for key, row in _ROWS.items():
        if key in said and said[key] not in _SAME:
            options[row.field] = _read(key, row, said[key])
    options["mask_invert"] = said.get("Mask mode") == "Inpaint not masked"
    ours = str(infotext.values.get("Version", "")).startswith(PRODUCT)
    options["noise_source"], notes = _noise(said, infotext, program, ours=ours)
    return Repeat(
        options=options,
        model=said.get("Model", ""),
        model_hash=said.get("Model hash", "").lower(),
        vae=said.get("VAE", ""),
        vae_hash=said.get("VAE hash", "").lower(),
        prediction=_prediction(said) or "auto",
        padded=said.get("Pad conds") == "True",
        words=read_hash_list(said.get("TI hashes", "")),
        notes=(*notes, *_left_out(said)),
    )


def _read(key: str, row: _Row, text: str) -> Any:
    try:
        return row.read(text)
    except ValueError as problem:
        raise BadFile(f"the picture says {key}: {text!r}", expected="a number") from problem


def _noise(said: Mapping[str, str], infotext: Infotext, program: str, *, ours: bool) -> tuple[str, list[str]]:
    """The source of noise. A1111 says nothing where it was the graphics card's, which is what NV computes."""
    notes: list[str] = []
    if program not in ("A1111", "Pseudoword"):
        notes.append(f"{program or 'the program that drew it'} makes its noise in another way: the picture will differ")
    if _number(infotext.values.get("Seed")) >= _SEEDS:
        notes.append(f"the seed {infotext.values['Seed']} is larger than seeds are here; its lowest 32 bits are taken")
    if said["RNG"] != "GPU":
        return said["RNG"], notes
    return ("CPU" if ours else "NV"), notes


def _prediction(said: Mapping[str, str]) -> str:
    """The recorded word, empty where there is none that `--prediction` knows."""
    word = said.get(PREDICTION, "")
    return word if word in PREDICTIONS else ""


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return 0


def _left_out(said: Mapping[str, str]) -> list[str]:
    """What A1111 can do and this cannot, as far as the picture used it."""
    unknown = [key for key in said if key not in _ROWS and key not in _ELSEWHERE]
    if _prediction(said):
        unknown.remove(PREDICTION)
    notes = [f"{key}: {said[key]} is not repeated" for key in unknown if key != "Old prompt editing timelines"]
    if said.get("Old prompt editing timelines") == "True":
        notes.append("versions of A1111 before 1.6 counted the steps of [from:to:when] differently")
    return notes


def needs_picture(options: Mapping[str, Any]) -> bool:
    """Whether the picture was drawn from another one: a denoising strength without a hires pass says so."""
    hires = any(options.get(name) for name in ("hires_scale", "hires_width", "hires_height"))
    return "denoising_strength" in options and not hires


def request_from(repeated: Repeat, overrides: Mapping[str, Any]) -> GenerateOptions:
    """The request, with what the user asks for on top.

    Raises:
        BadOption: it needs a picture to start from, or a value is out of range.
    """
    known = {own.name for own in fields(GenerateOptions)}
    options = {name: value for name, value in {**repeated.options, **overrides}.items() if name in known}
    if needs_picture(repeated.options) and options.get("init_image") is None:
        raise BadOption(
            "the picture was drawn from another one (img2img), which is not in it",
            next_move="Give it with --init-image FILE",
        )
    return GenerateOptions(**options)
