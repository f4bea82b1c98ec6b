"""Noise levels against their published formulas, written out here, and against diffusers."""

import math

import diffusers
import numpy as np
import pytest
import torch

from pseudoword.errors import BadOption
from pseudoword.generation.sampling.names import SCHEDULES, resolve
from pseudoword.generation.sampling.sigmas import NoiseLevels, ScheduleKnobs, partial, sigmas_for
from pseudoword.models.protocols import NoiseSchedule

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
ALPHAS = torch.cumprod(1 - BETAS, 0)
LEVELS = NoiseLevels.of(NoiseSchedule(alphas_cumprod=ALPHAS.float(), prediction_type="epsilon"))
SIGMAS = ((1 - ALPHAS) / ALPHAS).sqrt().numpy()
LOW, HIGH = 0.0291675, 14.614642  # Stable Diffusion's, as published with k-diffusion


def of(name, num=10, sampler="Euler", **knobs):
    return np.array(sigmas_for(*resolve(sampler, name), LEVELS, num, ScheduleKnobs(**knobs)))


def test_the_range_is_that_of_stable_diffusion():
    assert LEVELS.low == pytest.approx(LOW, rel=1e-4)
    assert LEVELS.high == pytest.approx(HIGH, rel=1e-4)


def test_fractional_timesteps_are_there_and_back_again():
    for timestep in (0, 0.25, 17.5, 500, 998.9, 999):
        assert LEVELS.timestep(LEVELS.sigma(timestep)) == pytest.approx(timestep, abs=1e-6)
    assert LEVELS.sigma(10.5) == pytest.approx(math.sqrt(SIGMAS[10] * SIGMAS[11]), rel=1e-5)


def test_models_of_zero_terminal_signal_have_a_finite_highest_level():
    alphas = torch.tensor([0.9, 0.5, 0.0])
    assert NoiseLevels.of(NoiseSchedule(alphas_cumprod=alphas, prediction_type="v_prediction")).high < 5000


def test_karras_is_equation_5_and_what_diffusers_makes():
    ramp = np.arange(10) / 9
    expected = (HIGH ** (1 / 7) + ramp * (LOW ** (1 / 7) - HIGH ** (1 / 7))) ** 7
    assert of("karras")[:-1] == pytest.approx(expected, rel=1e-4)
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", use_karras_sigmas=True
    )
    scheduler.set_timesteps(10)
    assert of("karras") == pytest.approx(scheduler.sigmas.numpy(), rel=1e-4)


def test_exponential_and_polyexponential_are_lines_in_the_logarithm():
    expected = np.exp(np.linspace(np.log(HIGH), np.log(LOW), 10))
    assert of("exponential")[:-1] == pytest.approx(expected, rel=1e-4)
    assert of("polyexponential")[:-1] == pytest.approx(expected, rel=1e-4)
    ramp = np.linspace(1, 0, 10) ** 2
    bent = np.exp(ramp * (np.log(HIGH) - np.log(LOW)) + np.log(LOW))
    assert of("polyexponential", rho=2.0)[:-1] == pytest.approx(bent, rel=1e-4)


def test_uniform_normal_and_automatic_go_evenly_through_time():
    expected = np.exp(np.interp(np.linspace(999, 0, 10), np.arange(1000), np.log(SIGMAS)))
    for name in ("uniform", "normal", "automatic"):
        assert of(name)[:-1] == pytest.approx(expected, rel=1e-4)
    scheduler = diffusers.EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="linspace"
    )
    scheduler.set_timesteps(10)
    assert of("uniform") == pytest.approx(scheduler.sigmas.numpy(), rel=2e-3)


def test_sgm_uniform_leaves_the_lowest_out():
    expected = np.exp(np.interp(np.linspace(999, 0, 11)[:-1], np.arange(1000), np.log(SIGMAS)))
    assert of("sgm_uniform")[:-1] == pytest.approx(expected, rel=1e-4)


def test_simple_takes_every_hundredth_from_the_top():
    assert of("simple") == pytest.approx([*SIGMAS[999::-100], 0], rel=1e-4)


def test_the_schedule_ddim_takes_every_hundredth_from_the_second():
    assert of("ddim") == pytest.approx([*SIGMAS[1::100][::-1], 0], rel=1e-4)


def test_beta_spreads_by_the_quantiles_of_its_distribution():
    result = of("beta")[:-1]
    share = (result - LOW) / (HIGH - LOW)
    draws = torch.distributions.Beta(0.6, 0.6).sample((200_000,)).numpy()
    assert share == pytest.approx(np.quantile(draws, np.linspace(1, 0, 10)), abs=0.01)


def test_align_your_steps_has_the_published_table_at_its_eleven_places():
    table = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029, 0]
    assert of("align_your_steps", 11) == pytest.approx(table, rel=1e-5)
    assert of("align_your_steps", 21)[1] == pytest.approx(math.sqrt(14.615 * 6.475), rel=1e-5)
    sdxl = sigmas_for(*resolve("Euler", "align_your_steps"), LEVELS, 11, sdxl=True)
    assert sdxl[1] == pytest.approx(6.315)


def test_kl_optimal_is_even_in_the_angle_and_ends_above_zero():
    angles = np.arctan(of("kl_optimal"))
    assert np.diff(angles) == pytest.approx(np.full(10, (math.atan(LOW) - math.atan(HIGH)) / 10), rel=1e-4)


@pytest.mark.parametrize("schedule", [s.name for s in SCHEDULES])
@pytest.mark.parametrize("steps", [1, 2, 7, 150])
def test_every_schedule_falls_and_has_one_level_more_than_steps(schedule, steps):
    sigmas = of(schedule, steps)
    assert len(sigmas) in (steps + 1, steps + 2, 1000 // (1000 // steps) + 2)
    assert (np.diff(sigmas) < 0).all()
    assert sigmas[0] <= HIGH * 1.001


def test_samplers_that_drop_the_next_to_last_level_keep_their_number_of_steps():
    whole = of("karras", 11)
    assert of("karras", 10, sampler="DPM2") == pytest.approx(np.delete(whole, -2))


def test_ddim_goes_down_in_steps_of_fifty_to_timestep_one():
    assert of("", 20, sampler="DDIM") == pytest.approx(SIGMAS[1:952:50][::-1], rel=1e-4)
    assert len(of("", 1, sampler="DDIM")) == 2


def test_unipc_goes_evenly_down_to_timestep_zero():
    assert of("", 3, sampler="UniPC") == pytest.approx(SIGMAS[[999, 666, 333, 0]], rel=1e-4)


def test_other_ends_and_nonsense_ends():
    assert of("karras", sigma_min=0.1, sigma_max=10.0)[[0, -2]] == pytest.approx([10, 0.1])
    with pytest.raises(BadOption, match="sigma-min"):
        of("karras", sigma_min=20.0)


@pytest.mark.parametrize(("strength", "calls"), [(0.75, 16), (1.0, 20), (0.5, 11), (0.02, 1), (0, 0)])
def test_img2img_runs_the_tail_and_one_call_more(strength, calls):
    sampler, schedule = resolve("Euler")
    tail = partial(sampler, lambda n: sigmas_for(sampler, schedule, LEVELS, n), 20, strength, exact=False)
    assert max(len(tail) - 1, 0) == calls


@pytest.mark.parametrize(("strength", "calls"), [(0.75, 15), (1.0, 19), (0.5, 10), (0.02, 0)])
def test_img2img_of_timestep_samplers_runs_no_call_more(strength, calls):
    sampler, schedule = resolve("DDIM")
    tail = partial(sampler, lambda n: sigmas_for(sampler, schedule, LEVELS, n), 20, strength, exact=False)
    assert max(len(tail) - 1, 0) == calls


@pytest.mark.parametrize("strength", [0.1, 0.33, 0.7, 1.0])
def test_the_hires_pass_makes_exactly_its_steps(strength):
    sampler, schedule = resolve("Euler a")
    tail = partial(sampler, lambda n: sigmas_for(sampler, schedule, LEVELS, n), 12, strength, exact=True)
    assert len(tail) == 13
