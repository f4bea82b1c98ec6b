"""Every sampler against a second formulation of its algorithm, and against a distribution known in advance.

The second formulations: a few lines from the paper each, or diffusers' scheduler given the same noise levels. Same
model, same noise, same levels; what may differ is rounding. `tools/compare_samplers.py` compares with k-diffusion.
"""

import math
from itertools import pairwise

import diffusers
import numpy as np
import pytest
import torch
import torchsde

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.request import encode_prompts, resolve_request
from pseudoword.generation.sampling.names import SAMPLERS, SCHEDULES, effective, resolve
from pseudoword.generation.sampling.run import ALGORITHMS, Tally, sample
from pseudoword.generation.sampling.sigmas import NoiseLevels, sigmas_for
from pseudoword.generation.sampling.step import Knobs

STEPS, SEED, SCALE = 12, 5, 4.0


def ours(model, sampler, steps=STEPS):
    """Final latents of one picture, and the noise levels."""
    options = GenerateOptions(
        prompt="a cat", negative_prompt="dog", sampler=sampler, steps=steps, cfg_scale=SCALE, seed=SEED
    )
    request = resolve_request(model, options)
    prompts = encode_prompts(Conditioner(model), request, {})
    plan = request.first_plan(from_picture=False)
    noise = request.noise(request.seeds(0), request.shape(request.size))
    events = sample(plan, request.denoiser(plan.sampler, prompts.first), noise, None, Tally(0, steps))
    while True:
        try:
            next(events)
        except StopIteration as end:
            return end.value[0], plan.sigmas


class Model:
    """Noise seen by a model under guidance, straight from its predictions, at its own scale."""

    def __init__(self, model):
        self.model = model
        self.told = Conditioner(model).encode(["dog", "a cat"], {})
        alphas = model.schedule.alphas_cumprod.double()
        self.log_sigmas = (((1 - alphas) / alphas).sqrt()).log().numpy()
        shape = (1, model.latent_channels, model.resolution // model.downscale, model.resolution // model.downscale)
        self.generator = torch.Generator().manual_seed(SEED)
        self.first = torch.randn(shape, generator=self.generator)

    @torch.no_grad()
    def raw(self, x_vp, sigma, scale=SCALE):
        t = np.interp(math.log(sigma), self.log_sigmas, np.arange(1000))
        out = self.model.predict(x_vp.repeat(2, 1, 1, 1), torch.full((2,), float(t)), self.told)
        return out[:1] + scale * (out[1:] - out[:1])

    def eps(self, x_vp, sigma, scale=SCALE):
        alpha = 1 / (1 + sigma**2)
        out = self.raw(x_vp, sigma, scale)
        if self.model.schedule.prediction_type == "epsilon":
            return out
        return math.sqrt(alpha) * out + math.sqrt(1 - alpha) * x_vp

    def x0(self, x, sigma):
        scaled = x / math.sqrt(1 + sigma**2)
        return x - sigma * self.eps(scaled, sigma)


def euler(m, sigmas):
    x = m.first * sigmas[0]
    for s, s_next in pairwise(sigmas):
        x = x + (s_next - s) * m.eps(x / math.sqrt(1 + s * s), s)
    return x


def euler_a(m, sigmas):
    x = m.first * sigmas[0]
    for s, s_next in pairwise(sigmas):
        eps = m.eps(x / math.sqrt(1 + s * s), s)
        down = s_next**2 / s  # the posterior's own level: s_next² = down² + up²
        x = x + (down - s) * eps
        if s_next:
            x = x + torch.randn(x.shape, generator=m.generator) * math.sqrt(s_next**2 - down**2)
    return x


def dpmpp_2m(m, sigmas):
    x, before = m.first * sigmas[0], None
    for i in range(len(sigmas) - 1):
        s, s_next = sigmas[i], sigmas[i + 1]
        now = m.x0(x, s)
        d = now
        if before is not None and s_next:
            r = math.log(sigmas[i - 1] / s) / math.log(s / s_next)
            d = (1 + 1 / (2 * r)) * now - 1 / (2 * r) * before
        x, before = s_next / s * x + (1 - s_next / s) * d, now
    return x


def dpmpp_sde(m, sigmas):
    tree = torchsde.BrownianTree(sigmas[-2], torch.zeros(m.first.shape[1:]), sigmas[0], entropy=SEED)

    ends = round(sigmas[-2], 6), round(sigmas[0], 6)  # as the tree rounds them

    def noise(high, low):
        return -tree(max(low, ends[0]), min(high, ends[1])) / math.sqrt(high - low)

    def solve(x, x0, s, s_next, z):
        down = s_next**2 / s
        return down / s * x + (1 - down / s) * x0 + math.sqrt(s_next**2 - down**2) * z

    x = m.first * sigmas[0]
    for s, s_next in pairwise(sigmas):
        x0 = m.x0(x, s)
        if not s_next:
            return x0
        mid = math.exp((math.log(s) + math.log(s_next)) / 2)
        x_mid = solve(x, x0, s, mid, noise(s, mid))
        x = solve(x, m.x0(x_mid, mid), s, s_next, noise(s, s_next))
    return x


def ddim(m, sigmas):
    alphas = [1 / (1 + s * s) for s in sigmas]
    x = m.first
    for s, a, a_next in zip(sigmas[:-1], alphas[:-1], alphas[1:], strict=True):
        eps = m.eps(x, s)
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        x = math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps
    return x


def ddim_cfgpp(m, sigmas):
    """Chung et al. 2024, algorithm 2: the picture is guided, the noise that is laid on again is not."""
    alphas = [1 / (1 + s * s) for s in sigmas]
    x = m.first
    for s, a, a_next in zip(sigmas[:-1], alphas[:-1], alphas[1:], strict=True):
        guided, unguided = m.eps(x, s, SCALE / 12.5), m.eps(x, s, 0)
        x0 = (x - math.sqrt(1 - a) * guided) / math.sqrt(a)
        x = math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * unguided
    return x


def levels(num, high, low):
    """Karras et al. 2022, eq. 5 with rho = 7."""
    return [(high ** (1 / 7) + i / (num - 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for i in range(num)]


def restart(m, steps, high, low):
    """Xu et al. 2023, algorithm 1: Heun down to t_min; K times noise up to t_max and Heun down again; Heun to 0.

    A1111's numbers: t_min and t_max are the levels nearest to 0.1 and 2; 9 steps once, from 36 steps on a quarter of
    all steps twice, taken out of the main way.
    """

    def derivative(x, t):
        return m.eps(x / math.sqrt(1 + t * t), t)

    def heun(x, way):
        for t, t_next in pairwise(way):
            d = derivative(x, t)
            ahead = x + (t_next - t) * d
            x = x + (t_next - t) * (d + derivative(ahead, t_next)) / 2 if t_next else ahead
        return x

    extra, repeats = (steps // 4, 2) if steps >= 36 else (9, 1)
    way = [*levels(steps - extra * repeats, high, low), 0]
    t_min, t_max = (min(way, key=lambda t: abs(t - wanted)) for wanted in (0.1, 2))
    x = heun(m.first * high, way[: way.index(t_min) + 1])
    for _ in range(repeats):
        x = x + torch.randn(x.shape, generator=m.generator) * math.sqrt(t_max**2 - t_min**2)
        x = heun(x, levels(extra + 1, t_max, t_min))
    return heun(x, way[way.index(t_min) :])


def unipc(m, sigmas):
    scheduler = diffusers.UniPCMultistepScheduler(
        solver_order=3, solver_type="bh1", prediction_type=m.model.schedule.prediction_type,
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", final_sigmas_type="sigma_min",
    )  # fmt: skip
    scheduler.set_timesteps(STEPS)
    scheduler.sigmas = torch.tensor(sigmas)
    x = m.first
    for s, t in zip(sigmas[:-1], scheduler.timesteps, strict=True):
        x = scheduler.step(m.raw(x, s), t, x, return_dict=False)[0]
    return x


def plms(m, sigmas):
    alphas, x, old = [1 / (1 + s * s) for s in sigmas], m.first, []

    def transfer(x, eps, a, a_next):
        x0 = (x - math.sqrt(1 - a) * eps) / math.sqrt(a)
        return math.sqrt(a_next) * x0 + math.sqrt(1 - a_next) * eps

    for i in range(len(sigmas) - 1):
        e = m.eps(x, sigmas[i])
        if i == 0:
            ahead = m.eps(transfer(x, e, alphas[0], alphas[1]), sigmas[1])
            mean = (e + ahead) / 2
        elif i == 1:
            mean = (3 * e - old[-1]) / 2
        elif i == 2:
            mean = (23 * e - 16 * old[-1] + 5 * old[-2]) / 12
        else:
            mean = (55 * e - 59 * old[-1] + 37 * old[-2] - 9 * old[-3]) / 24
        old.append(e)
        x = transfer(x, mean, alphas[i], alphas[i + 1])
    return x


def lcm(m, sigmas):
    x = m.first * sigmas[0]
    for s, s_next in pairwise(sigmas):
        x = m.x0(x, s)
        if s_next:
            x = x + s_next * torch.randn(x.shape, generator=m.generator)
    return x


REFERENCES = {
    "Euler": euler,
    "Euler a": euler_a,
    "DPM++ 2M Karras": dpmpp_2m,
    "DPM++ SDE Karras": dpmpp_sde,
    "DDIM": ddim,
    "DDIM CFG++": ddim_cfgpp,
    "UniPC": unipc,
    "PLMS": plms,
    "LCM": lcm,
}


@pytest.mark.parametrize("kind", ["sd1", "sd2", "bundled"])
@pytest.mark.parametrize("sampler", REFERENCES)
def test_final_latents_are_those_of_the_reference(load, sampler, kind):
    model = load(kind)
    result, sigmas = ours(model, sampler)
    expected = REFERENCES[sampler](Model(model), sigmas)
    assert float((result - expected).norm() / expected.norm()) < 1e-3


@pytest.mark.parametrize(("kind", "steps"), [("sd1", 20), ("sd2", 37), ("bundled", 20)])
def test_restart_is_the_papers_algorithm(load, kind, steps):
    model = load(kind)
    result, sigmas = ours(model, "Restart", steps)
    expected = restart(Model(model), steps, sigmas[0], sigmas[-2])
    assert float((result - expected).norm() / expected.norm()) < 1e-3


class Gaussian:
    """The exact denoiser of data ~ N(1.5, 0.5²): the mean of the posterior."""

    def __init__(self):
        self.num_calls = 0
        self.uncond = torch.empty(0)

    def __call__(self, x, sigma):
        self.num_calls += 1
        self.uncond = 1.5 + 0.25 / (0.25 + sigma**2) * (x - 1.5)
        return self.uncond


LEVELS = NoiseLevels(np.exp(np.linspace(math.log(0.0292), math.log(14.6), 1000)))


def gaussian(sampler, schedule, steps, eta=None):
    sampler, schedule = resolve(sampler, schedule)
    sigmas = sigmas_for(sampler, effective(sampler, schedule), LEVELS, steps)
    generator = torch.Generator().manual_seed(1)
    knobs = Knobs(eta=sampler.eta if eta is None else eta)
    x = torch.randn(1, 4, 64, 64, generator=generator) * math.sqrt(sigmas[0] ** 2 + 0.25) + 1.5
    denoiser = Gaussian()
    steps_done = ALGORITHMS[sampler.algorithm](
        denoiser, x, sigmas, lambda *_: torch.randn(x.shape, generator=generator), knobs
    )
    results = list(steps_done)
    return results, denoiser, sigmas[-1]


@pytest.mark.parametrize("sampler", [s.name for s in SAMPLERS if s.name not in ("LCM", "DDIM CFG++")])
def test_every_sampler_turns_noise_into_a_known_gaussian(sampler):
    results, _, end = gaussian(sampler, "", 40)
    assert results[-1].mean().item() == pytest.approx(1.5, abs=0.05)
    assert results[-1].std().item() == pytest.approx(math.sqrt(0.25 + end**2), abs=0.06)


@pytest.mark.parametrize("schedule", [s.name for s in SCHEDULES if s.name != "beta"])
def test_every_schedule_leads_there(schedule):
    results, _, _ = gaussian("Heun", schedule, 40)
    assert results[-1].mean().item() == pytest.approx(1.5, abs=0.05)
    assert results[-1].std().item() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("sampler", [s.name for s in SAMPLERS if s.takes_eta and s.name != "DDIM CFG++"])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_any_share_of_fresh_noise_leads_there(sampler, eta):
    results, _, end = gaussian(sampler, "", 40, eta)
    assert results[-1].std().item() == pytest.approx(math.sqrt(0.25 + end**2), abs=0.06)


@pytest.mark.parametrize(
    ("sampler", "calls"),
    [("Euler", 20), ("DPM++ 2M", 20), ("UniPC", 20), ("LCM", 20), ("DPM++ 3M SDE", 20), ("LMS", 20), ("DDIM", 19),
     ("PLMS", 20), ("DPM fast", 20), ("Heun", 39), ("DPM2", 39), ("DPM2 a", 39), ("DPM++ SDE", 39),
     ("DPM++ 2S a", 39), ("Restart", 39)],
)  # fmt: skip
def test_how_often_the_model_is_asked_in_twenty_steps(sampler, calls):
    results, denoiser, _ = gaussian(sampler, "", 20)
    assert denoiser.num_calls == calls
    assert len(results) == (7 if sampler == "DPM fast" else 19 if sampler in ("DDIM", "PLMS") else 20)


@pytest.mark.parametrize("sampler", [s.name for s in SAMPLERS])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_very_few_steps_give_finite_latents(sampler, steps):
    results, _, _ = gaussian(sampler, "", steps)
    assert torch.isfinite(results[-1]).all()


def test_churn_changes_the_way_and_not_where_it_leads():
    sampler, schedule = resolve("Euler", "Karras")
    sigmas = sigmas_for(sampler, schedule, LEVELS, 60)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 64, 64, generator=generator) * sigmas[0]
    knobs = Knobs(s_churn=20, s_tmin=0.05, s_tmax=10)
    *_, churned = ALGORITHMS["euler"](
        Gaussian(), x, sigmas, lambda *_: torch.randn(x.shape, generator=generator), knobs
    )
    *_, plain = ALGORITHMS["euler"](Gaussian(), x, sigmas, lambda *_: torch.zeros_like(x), Knobs())
    assert not torch.allclose(churned, plain, atol=0.1)
    assert churned.std().item() == pytest.approx(0.5, abs=0.05)


def test_restart_goes_up_again_once_from_a_tenth_to_two():
    """What Xu et al. 2023 do with one interval: down below 0.1, back to 2, down again, then on."""
    sampler, schedule = resolve("Restart")
    sigmas = sigmas_for(sampler, schedule, LEVELS, 20)
    asked = []
    denoiser = Gaussian()

    def spy(x, sigma):
        asked.append(sigma)
        return denoiser(x, sigma)

    x = torch.zeros(1, 4, 8, 8)
    list(ALGORITHMS["restart"](spy, x, sigmas, lambda *_: torch.randn(x.shape), Knobs()))
    ups = [(low, high) for low, high in pairwise(asked) if high > low]
    [(low, high)] = ups
    assert low == pytest.approx(0.1, rel=0.5) and high == pytest.approx(2, rel=0.35)


def test_restart_below_twenty_steps_is_heun():
    results, _, _ = gaussian("Restart", "", 12)
    plain, _, _ = gaussian("Heun", "Karras", 12)
    assert torch.equal(results[-1], plain[-1])
