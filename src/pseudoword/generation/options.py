"""What can be asked of a generation: one declaration per option; importing it loads no torch.

The groups are plain dataclasses whose fields `GenerateOptions` inherits, so that a function can ask for the group
that it needs, while the command line and the REST API see one flat list. (They have no slots: Python lays out
slots of one base only.)
"""

import math
from dataclasses import dataclass, field
from pathlib import Path

from pseudoword.conditioning.guidance import PromptOptions
from pseudoword.errors import BadOption
from pseudoword.generation.sampling.names import AUTOMATIC, DEFAULT_SAMPLER, Sampler, Schedule, effective, resolve

NOISE_SOURCES = ("CPU", "NV")
MAX_SEED = 2**32 - 1
MAX_SCALE = 1000
"""A1111's API takes any number; pictures stop to change long before this one."""
RESIZE_MODES = ("just resize", "crop and resize", "resize and fill", "latent upscale")
MASKED_CONTENT = ("fill", "original", "latent noise", "latent nothing")
INPAINT_AREAS = ("whole picture", "only masked")
LATENT_UPSCALERS = (
    "Latent",
    "Latent (antialiased)",
    "Latent (bicubic)",
    "Latent (bicubic antialiased)",
    "Latent (nearest)",
    "Latent (nearest-exact)",
)
PIXEL_UPSCALERS = ("Lanczos", "Nearest")
UPSCALERS = LATENT_UPSCALERS + PIXEL_UPSCALERS


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What is drawn, how large, how many."""

    prompt: str = field(metadata={"help": "What to draw; learned words by their names."})
    negative_prompt: str = field(default="", metadata={"help": "What to keep away from.", "short": "-n"})
    width: int | None = field(default=None, metadata={"help": "Pixels. Default: the model's own size."})
    height: int | None = field(default=None, metadata={"help": "Pixels. Default: the model's own size."})
    seed: int = field(default=-1, metadata={"help": "Seed of the first picture; -1 draws one."})
    batch_size: int = field(default=1, metadata={"help": "Pictures drawn at once."})
    count: int = field(default=1, metadata={"help": "How many batches, each with the next seeds."})
    tiling: bool = field(default=False, metadata={"help": "Opposite edges of the picture meet."})

    def _check_request(self) -> None:
        for name, text in (("prompt", self.prompt), ("negative prompt", self.negative_prompt)):
            check_text(name, text)
        in_range("batch-size", self.batch_size, 1, 64)
        in_range("count", self.count, 1, 1000)
        in_range("seed", self.seed, -1, MAX_SEED)
        for name, value in (("width", self.width), ("height", self.height)):
            if value is not None:
                in_range(name, value, 8, 4096)


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How the noise is taken away."""

    sampler: str = field(default=DEFAULT_SAMPLER, metadata={"help": "Sampler, by A1111's name or alias."})
    scheduler: str = field(default=AUTOMATIC, metadata={"help": "Schedule of the noise levels, by A1111's name."})
    steps: int = field(default=20, metadata={"help": "Sampling steps, 1 to 150."})
    cfg_scale: float | None = field(
        default=None,
        metadata={
            "help": "Classifier-free guidance; 1 is none, 0 the negative prompt alone. Default: the model family's."
        },
    )
    eta: float | None = field(
        default=None, metadata={"help": "Share of fresh noise. Default: 1 for ancestral and SDE samplers, 0 for DDIM."}
    )
    s_churn: float = field(default=0.0, metadata={"help": "Noise added before steps of Euler, Heun and DPM2."})
    s_tmin: float = field(default=0.0, metadata={"help": "Churn only above this noise level."})
    s_tmax: float = field(default=0.0, metadata={"help": "Churn only below this noise level; 0: everywhere."})
    s_noise: float = field(default=1.0, metadata={"help": "Factor on all noise that a sampler adds."})
    s_min_uncond: float = field(
        default=0.0, metadata={"help": "Below this noise level every second step leaves the negative prompt out."}
    )
    sigma_min: float = field(default=0.0, metadata={"help": "Lowest noise of the schedule; 0: the model's."})
    sigma_max: float = field(default=0.0, metadata={"help": "Highest noise of the schedule; 0: the model's."})
    rho: float = field(default=0.0, metadata={"help": "Curvature of the schedules that have one; 0: the schedule's."})

    def sampling(self) -> tuple[Sampler, Schedule]:
        """The sampler, and the schedule as it is really used."""
        sampler, schedule = resolve(self.sampler, self.scheduler)
        return sampler, effective(sampler, schedule)

    def _check_sampling(self) -> None:
        resolve(self.sampler, self.scheduler)
        in_range("steps", self.steps, 1, 150)
        if self.cfg_scale is not None:
            in_range("cfg-scale", self.cfg_scale, -MAX_SCALE, MAX_SCALE)
        if self.eta is not None:
            in_range("eta", self.eta, 0, 2)
        for name in ("s_churn", "s_tmin", "s_tmax", "s_min_uncond", "sigma_min", "sigma_max", "rho"):
            in_range(name.replace("_", "-"), getattr(self, name), 0, 1e4)
        in_range("s-noise", self.s_noise, 0, 2)


@dataclass(frozen=True, kw_only=True)
class NoiseOptions:
    """Which noise a picture starts from."""

    noise_source: str = field(
        default=NOISE_SOURCES[0], metadata={"help": "CPU, or NV: the noise that torch draws on NVIDIA cards."}
    )
    variation_seed: int = field(default=-1, metadata={"help": "Seed of the variation; -1 draws one."})
    variation_strength: float = field(default=0.0, metadata={"help": "How far towards the variation, 0 to 1."})
    seed_resize_width: int = field(
        default=0, metadata={"help": "Keep the composition that the seed has at this width; 0: off."}
    )
    seed_resize_height: int = field(default=0, metadata={"help": "The same for the height."})
    ensd: int = field(
        default=0, metadata={"help": "Seed delta of the noise that samplers add (A1111's eta noise seed delta)."}
    )

    def _check_noise(self) -> None:
        if self.noise_source.upper() not in NOISE_SOURCES:
            raise BadOption(f"--noise-source {self.noise_source!r}", expected=" or ".join(NOISE_SOURCES))
        in_range("variation-seed", self.variation_seed, -1, MAX_SEED)
        in_range("variation-strength", self.variation_strength, 0, 1)
        in_range("seed-resize-width", self.seed_resize_width, 0, 4096)
        in_range("seed-resize-height", self.seed_resize_height, 0, 4096)
        in_range("ensd", self.ensd, 0, MAX_SEED)


@dataclass(frozen=True, kw_only=True)
class Img2ImgOptions:
    """A picture to start from, and which part of it to draw anew."""

    init_image: Path | None = field(default=None, metadata={"help": "Picture to start from."})
    denoising_strength: float | None = field(
        default=None,
        metadata={"help": "How much of the picture is drawn anew, 0 to 1. Default: 0.75, in the hires pass 0.7."},
    )
    resize_mode: str = field(
        default=RESIZE_MODES[0], metadata={"help": f"{', '.join(RESIZE_MODES[:-1])} or {RESIZE_MODES[-1]} (or 0 to 3)."}
    )
    mask: Path | None = field(default=None, metadata={"help": "Picture that is white where to draw anew."})
    mask_blur: float = field(default=4.0, metadata={"help": "Softness of the mask's edge in pixels."})
    mask_invert: bool = field(default=False, metadata={"help": "Draw anew where the mask is black."})
    masked_content: str = field(
        default="original",
        metadata={
            "help": "What the masked part starts from: fill, original, latent noise or latent nothing (or 0 to 3)."
        },
    )
    inpaint_area: str = field(
        default=INPAINT_AREAS[0], metadata={"help": "whole picture, or only masked: that part alone, at full size."}
    )
    mask_padding: int = field(
        default=32, metadata={"help": "Pixels around the masked part that 'only masked' shows the model."}
    )

    @property
    def resize_mode_number(self) -> int:
        """0 to 3, as APIs have it."""
        return choice("resize-mode", self.resize_mode, RESIZE_MODES)

    @property
    def masked_content_number(self) -> int:
        """0 to 3, as APIs have it."""
        return choice("masked-content", self.masked_content, MASKED_CONTENT)

    @property
    def only_masked(self) -> bool:
        """Whether the masked part is drawn alone."""
        return choice("inpaint-area", self.inpaint_area, INPAINT_AREAS) == 1

    def _check_img2img(self) -> None:
        if self.denoising_strength is not None:
            in_range("denoising-strength", self.denoising_strength, 0, 1)
        _ = self.resize_mode_number, self.masked_content_number, self.only_masked
        in_range("mask-blur", self.mask_blur, 0, 64)
        in_range("mask-padding", self.mask_padding, 0, 256)


@dataclass(frozen=True, kw_only=True)
class HiresOptions:
    """A second pass over a larger copy of the picture; off unless a scale or a size is given."""

    hires_scale: float = field(default=0.0, metadata={"help": "Enlarge so much and draw the details anew; 0: off."})
    hires_width: int = field(default=0, metadata={"help": "Width after the hires pass, instead of a scale."})
    hires_height: int = field(default=0, metadata={"help": "Height after the hires pass, instead of a scale."})
    hires_upscaler: str = field(
        default=UPSCALERS[0], metadata={"help": ", ".join(UPSCALERS[:-1]) + f" or {UPSCALERS[-1]}."}
    )
    hires_steps: int = field(default=0, metadata={"help": "Steps of the hires pass; 0: as many as the first."})
    hires_sampler: str = field(default="", metadata={"help": "Sampler of the hires pass. Default: the same."})
    hires_scheduler: str = field(default="", metadata={"help": "Schedule of the hires pass. Default: the same."})
    hires_prompt: str = field(default="", metadata={"help": "Prompt of the hires pass. Default: the same."})
    hires_negative_prompt: str = field(default="", metadata={"help": "The same for the negative prompt."})

    @property
    def hires(self) -> bool:
        """Whether there is a hires pass."""
        return bool(self.hires_scale or self.hires_width or self.hires_height)

    @property
    def upscaler(self) -> str:
        """Its name as in the list."""
        return UPSCALERS[choice("hires-upscaler", self.hires_upscaler, UPSCALERS)]

    def _check_hires(self) -> None:
        if self.hires_scale:
            in_range("hires-scale", self.hires_scale, 1, 8)
        for name, value in (("hires-width", self.hires_width), ("hires-height", self.hires_height)):
            in_range(name, value, 0, 8192)
        if self.hires_sampler or self.hires_scheduler:
            resolve(self.hires_sampler or DEFAULT_SAMPLER, self.hires_scheduler)
        in_range("hires-steps", self.hires_steps, 0, 150)
        _ = self.upscaler
        for name, text in (("hires prompt", self.hires_prompt), ("hires negative prompt", self.hires_negative_prompt)):
            check_text(name, text)


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(HiresOptions, Img2ImgOptions, NoiseOptions, PromptOptions, SamplingOptions, RequestOptions):
    """Settings of one request; None means the model's own default."""

    def __post_init__(self) -> None:
        PromptOptions.__post_init__(self)
        self._check_request()
        self._check_sampling()
        self._check_noise()
        self._check_img2img()
        self._check_hires()
        if self.hires and self.init_image is not None:
            raise BadOption("a hires pass and --init-image", expected="one of them")
        if self.mask is not None and self.init_image is None:
            raise BadOption("--mask without --init-image", expected="the picture that the mask belongs to")


def check_text(name: str, text: str) -> None:
    """Refuse what a terminal's broken bytes became.

    Raises:
        BadOption: it cannot be written as UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise BadOption(f"{name} {text!r} with bytes that are no text", expected="UTF-8 text") from problem


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside of low … high, and what is no number.

    Raises:
        BadOption: it is outside.
    """
    if math.isnan(value) or not low <= value <= high:
        raise BadOption(f"--{name} {value}", expected=f"{low:g} to {high:g}")


def choice(name: str, value: str, known: tuple[str, ...]) -> int:
    """The place of a word in a list, upper or lower case; its number will do as well.

    Raises:
        BadOption: it is not in the list.
    """
    words = [word.casefold() for word in known]
    wanted = str(value).strip().casefold()
    if wanted in words:
        return words.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(known):
        return int(wanted)
    raise BadOption(f"--{name} {value!r}", expected=f"one of {', '.join(known)}")
