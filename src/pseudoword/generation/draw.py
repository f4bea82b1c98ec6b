"""Pictures from a request: prompts → noise → latents, once or with a hires pass → pictures with their infotext.

A generator of events whose caller owns the loop, and may answer a `Progress` with a `Signal`.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import torch

from pseudoword.conditioning.conditioner import Conditioner, Words
from pseudoword.errors import BadOption
from pseudoword.events import Event, PictureDone, Warned
from pseudoword.generation.hires import Target, enlarged, target_of
from pseudoword.generation.img2img import Sources, Start, start_from, to_picture
from pseudoword.generation.infotext import Infotext, Value
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.record import record, with_seeds
from pseudoword.generation.request import Prompts, Request, encode_prompts, resolve_request
from pseudoword.generation.sampling.denoiser import DenoiserState
from pseudoword.generation.sampling.names import AUTOMATIC, resolve
from pseudoword.generation.sampling.noise import NoiseState
from pseudoword.generation.sampling.run import Plan, Tally, sample
from pseudoword.generation.signals import Signal
from pseudoword.models.tiling import tiled

Sampling = Generator[Event, Signal | None, tuple[torch.Tensor, Signal | None]]
"""Yields progress; returns latents [b, c, h, w] and the signal that ended it early, if one did."""


def draw(
    conditioner: Conditioner,
    options: GenerateOptions,
    words: Words,
    word_hashes: Mapping[str, str] | None = None,
    sources: Sources | None = None,
    notes: Mapping[str, Value] | None = None,
) -> Generator[Event, Signal | None, None]:
    """Yield `Warned`, `Progress` per sampling step, and one `PictureDone` per picture.

    Args:
        conditioner: of the model that draws.
        options: the request; a seed of -1 is drawn here and told in the infotext.
        words: learned words that the prompts may use.
        word_hashes: name to short hash of its file, for the infotext's `TI hashes`.
        sources: the pictures of an img2img request, already read.
        notes: what else the infotext says, by keys that A1111 does not know.

    Raises:
        BadOption: width or height is not a multiple of the model's latent size, or a mask masks nothing.
        WrongFamily: a word in a prompt does not fit the model.
    """
    if sources is not None and options.hires:
        raise BadOption("a hires pass over a given picture", expected="one of them")
    request = resolve_request(conditioner.model, options)
    prompts = encode_prompts(conditioner, request, words)
    for message in (*prompts.warnings(), *_unused_schedule(options)):
        yield Warned(message=message)
    start = None if sources is None else start_from(request, sources)
    passes = _Passes.of(request, prompts, start)
    info = record(request, prompts, word_hashes or {}, start).with_values(notes or {})
    for batch in range(options.count):
        latents, signal = yield from passes.batch(batch)
        yield from _pictures(request, latents, info, batch, start)
        if signal is Signal.INTERRUPT:
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passes:
    """One or two samplings for each batch."""

    request: Request
    prompts: Prompts
    start: Start | None
    first: Plan
    second: Plan | None
    target: Target | None

    @classmethod
    def of(cls, request: Request, prompts: Prompts, start: Start | None) -> "_Passes":
        hires = request.options.hires
        return cls(
            request=request,
            prompts=prompts,
            start=start,
            first=request.first_plan(from_picture=start is not None),
            second=request.hires_plan() if hires else None,
            target=target_of(request.options, request.size, request.model.downscale) if hires else None,
        )

    def batch(self, number: int) -> Sampling:
        per_batch = self.first.num_steps + (self.second.num_steps if self.second else 0)
        tally = Tally(number * per_batch, self.request.options.count * per_batch)
        latents, signal = yield from self._first(number, tally)
        if self.second is None or signal is not None:
            return latents, signal
        return (yield from self._second(number, latents, replace(tally, done=tally.done + self.first.num_steps)))

    def _first(self, number: int, tally: Tally) -> Sampling:
        request, start = self.request, self.start
        seeds = request.seeds(number)
        noise = request.noise(seeds, request.shape(request.size))
        denoiser = request.denoiser(self.first.sampler, self.prompts.first)
        if start is None:
            return (yield from _sampled(self.first, denoiser, noise, None, tally))
        clean = start.batch(seeds)
        denoiser.mask, denoiser.concat = start.mask(clean), start.concat
        latents, signal = yield from _sampled(self.first, denoiser, noise, clean, tally)
        return (latents if denoiser.mask is None else denoiser.mask.keep(latents)), signal

    def _second(self, number: int, latents: torch.Tensor, tally: Tally) -> Sampling:
        request = self.request
        assert self.second is not None and self.target is not None and self.prompts.hires is not None
        clean = enlarged(request, latents, self.target)
        noise = request.noise(request.seeds(number), request.shape(self.target.size))
        denoiser = request.denoiser(self.second.sampler, self.prompts.hires, hires=True)
        return (yield from _sampled(self.second, denoiser, noise, clean, tally))


def _sampled(
    plan: Plan, denoiser: DenoiserState, noise: NoiseState, clean: torch.Tensor | None, tally: Tally
) -> Sampling:
    """All pictures at once, or one after the other for samplers that look at what they draw."""
    count = len(noise.seeds.pictures)
    if not plan.sampler.one_by_one or count == 1:
        return (yield from sample(plan, denoiser, noise, clean, tally))
    done: list[torch.Tensor] = []
    signal = None
    for number, seeds in enumerate(noise.seeds.single()):
        one = None if clean is None else clean[number : number + 1]
        own = replace(denoiser, mask=None if denoiser.mask is None else denoiser.mask.single(number))
        latents, signal = yield from sample(plan, own, replace(noise, seeds=seeds), one, tally)
        done.append(latents)
        if signal is not None:
            break
    return torch.cat(done), signal


def _pictures(
    request: Request, latents: torch.Tensor, info: Infotext, batch: int, start: Start | None
) -> Generator[Event, Signal | None, None]:
    seeds = request.seeds(batch)
    for number, one in enumerate(latents.split(1)):
        with tiled(request.model, on=request.options.tiling):
            image = to_picture(request.model.decode_latents(one)[0])
        yield PictureDone(
            index=batch * request.options.batch_size + number,
            seed=seeds.pictures[number],
            image=image if start is None else start.finish(image),
            infotext=with_seeds(info, request, seeds, number).text(),
        )


def _unused_schedule(options: GenerateOptions) -> list[str]:
    sampler, schedule = resolve(options.sampler, options.scheduler)
    if not sampler.by_timesteps or schedule.label == AUTOMATIC:
        return []
    return [f"{sampler.name} has its own timesteps; the schedule {schedule.label} is not used"]
