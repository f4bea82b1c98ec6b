"""A request with every default filled in: sizes, seeds, noise levels, and the encoded prompts."""

from collections.abc import Iterator
from dataclasses import dataclass

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.conditioning.guidance import Guidance
from pseudoword.errors import BadOption
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.sampling.denoiser import DenoiserState
from pseudoword.generation.sampling.names import Sampler, Schedule, effective, resolve
from pseudoword.generation.sampling.noise import NoiseState, Seeds, Shape
from pseudoword.generation.sampling.run import Plan
from pseudoword.generation.sampling.sigmas import NoiseLevels, ScheduleKnobs, partial, sigmas_for
from pseudoword.generation.sampling.step import Knobs
from pseudoword.models.protocols import BaseModel
from pseudoword.rng import fresh_seed

Size = tuple[int, int]
"""Width and height in pixels."""
IMG2IMG_STRENGTH, HIRES_STRENGTH = 0.75, 0.7
_SEEDS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request to one model."""

    model: BaseModel
    options: GenerateOptions
    size: Size
    scale: float
    """Of classifier-free guidance."""
    levels: NoiseLevels
    first_seed: int
    variation_seed: int

    @property
    def strength(self) -> float:
        """How much img2img, or the hires pass, draws anew."""
        given = self.options.denoising_strength
        return given if given is not None else (HIRES_STRENGTH if self.options.hires else IMG2IMG_STRENGTH)

    def seeds(self, batch: int) -> Seeds:
        """Of one batch. With a variation all pictures have the first seed, and the variation's counts up."""
        options, step = self.options, self.model.downscale
        numbers = range(batch * options.batch_size, (batch + 1) * options.batch_size)
        varied = options.variation_strength > 0
        resize = (options.seed_resize_height // step, options.seed_resize_width // step)
        return Seeds(
            pictures=tuple((self.first_seed + (0 if varied else n)) % _SEEDS for n in numbers),
            variations=tuple((self.variation_seed + n) % _SEEDS for n in numbers) if varied else (),
            strength=options.variation_strength,
            source=options.noise_source.upper(),
            resize_from=resize if all(resize) else None,
            delta=options.ensd,
        )

    def shape(self, size: Size) -> Shape:
        """Of one picture's latents."""
        return self.model.latent_channels, size[1] // self.model.downscale, size[0] // self.model.downscale

    def noise(self, seeds: Seeds, shape: Shape) -> NoiseState:
        """Fresh streams."""
        return NoiseState(seeds, shape, self.model.device)

    def first_plan(self, *, from_picture: bool) -> Plan:
        """Of the first pass: all noise levels, or the tail that img2img runs."""
        sampler, schedule = self.options.sampling()
        steps = self.options.steps
        if not from_picture:
            return self._plan(sampler, self._sigmas(sampler, schedule, steps))
        sigmas = partial(sampler, lambda n: self._sigmas(sampler, schedule, n), steps, self.strength, exact=False)
        return self._plan(sampler, sigmas)

    def hires_plan(self) -> Plan:
        """Of the hires pass: exactly as many steps as asked for."""
        options = self.options
        sampler, schedule = self.hires_sampling()
        steps = options.hires_steps or options.steps
        sigmas = partial(sampler, lambda n: self._sigmas(sampler, schedule, n), steps, self.strength, exact=True)
        return self._plan(sampler, sigmas)

    def hires_sampling(self) -> tuple[Sampler, Schedule]:
        """Sampler and schedule of the hires pass."""
        options = self.options
        sampler, schedule = resolve(options.hires_sampler or options.sampler, options.hires_scheduler)
        if not options.hires_scheduler:
            schedule = resolve(options.sampler, options.scheduler)[1]
        return sampler, effective(sampler, schedule)

    def denoiser(self, sampler: Sampler, guidance: Guidance, *, hires: bool = False) -> DenoiserState:
        """A fresh one, its calls not yet counted."""
        return DenoiserState(
            model=self.model,
            levels=self.levels,
            guidance=guidance,
            scale=self.scale / sampler.guidance_divisor,
            hires=hires,
            tiling=self.options.tiling,
            needs_uncond=sampler.sees_uncond,
            min_uncond_sigma=self.options.s_min_uncond,
        )

    def _plan(self, sampler: Sampler, sigmas: list[float]) -> Plan:
        options = self.options
        knobs = Knobs(
            eta=sampler.eta if options.eta is None else options.eta,
            s_churn=options.s_churn,
            s_tmin=options.s_tmin,
            s_tmax=options.s_tmax or float("inf"),
            s_noise=options.s_noise,
        )
        return Plan(sampler=sampler, sigmas=sigmas, knobs=knobs)

    def _sigmas(self, sampler: Sampler, schedule: Schedule, steps: int) -> list[float]:
        options = self.options
        knobs = ScheduleKnobs(
            sigma_min=options.sigma_min or None, sigma_max=options.sigma_max or None, rho=options.rho or None
        )
        return sigmas_for(sampler, schedule, self.levels, steps, knobs, sdxl=self.model.family.key == "sdxl")


def resolve_request(model: BaseModel, options: GenerateOptions) -> Request:
    """Fill in the model's own defaults, and draw the seeds that are left open.

    Raises:
        BadOption: width or height is not a multiple of the model's latent size.
    """
    size = options.width or model.resolution, options.height or model.resolution
    for name, value in zip(("width", "height"), size, strict=True):
        if value % model.downscale:
            raise BadOption(f"--{name} {value}", expected=f"a multiple of {model.downscale}")
    return Request(
        model=model,
        options=options,
        size=size,
        scale=model.family.guidance_scale if options.cfg_scale is None else options.cfg_scale,
        levels=NoiseLevels.of(model.schedule),
        first_seed=fresh_seed() if options.seed < 0 else options.seed,
        variation_seed=fresh_seed() if options.variation_seed < 0 else options.variation_seed,
    )


@dataclass(frozen=True, slots=True)
class Prompts:
    """What the model is told in the first pass and in the hires pass."""

    first: Guidance
    hires: Guidance | None = None

    def words(self) -> Iterator[str]:
        """Learned words that are used, each once."""
        seen = [*self.first.words, *(self.hires.words if self.hires else ())]
        return iter(dict.fromkeys(seen))

    def warnings(self) -> Iterator[str]:
        """Each once."""
        seen = [*self.first.warnings, *(self.hires.warnings if self.hires else ())]
        return iter(dict.fromkeys(seen))


def encode_prompts(conditioner: Conditioner, request: Request, words: Words) -> Prompts:
    """Both prompts of every pass; prompt editing is timed by model calls (reference a1111.md §2.2).

    Raises:
        WrongFamily: a word in a prompt does not fit the model.
    """
    options = request.options
    calls = _num_calls(options.sampling()[0], options.steps)
    hires_calls = 0
    if options.hires:
        hires_calls = _num_calls(request.hires_sampling()[0], options.hires_steps or options.steps)

    def guide(prompt: str, negative: str) -> Guidance:
        return conditioner.guide(
            prompt,
            negative,
            words,
            num_calls=calls,
            num_steps=options.steps,
            hires_calls=hires_calls,
            options=options,
        )

    first = guide(options.prompt, options.negative_prompt)
    if not options.hires:
        return Prompts(first)
    prompt = options.hires_prompt or options.prompt
    negative = options.hires_negative_prompt or options.negative_prompt
    same = (prompt, negative) == (options.prompt, options.negative_prompt)
    return Prompts(first, first if same else guide(prompt, negative))


def _num_calls(sampler: Sampler, steps: int) -> int:
    return steps * (2 if sampler.second_order else 1)
