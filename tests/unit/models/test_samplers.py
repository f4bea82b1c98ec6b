"""The samplers' table, and that every row really draws from the distribution that the model describes."""

import pytest
import torch

from pseudoword.errors import BadOption
from pseudoword.models.samplers import SAMPLERS, make_scheduler, sampler_named


def test_names_are_found_in_any_case():
    assert sampler_named("euler A").name == "Euler a"
    assert sampler_named(" dpm++ 2m karras ").schedule_type == "Karras"


def test_an_unknown_sampler_is_refused_with_all_names():
    with pytest.raises(BadOption) as caught:
        sampler_named("Heun")
    assert all(sampler.name in str(caught.value) for sampler in SAMPLERS)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s.name)
@pytest.mark.parametrize("kind", ["sd1", "sd2", "bundled"])
def test_every_sampler_turns_noise_into_a_known_gaussian(load, sampler, kind):
    """With the exact denoiser of data ~ N(1.5, 0.5²) the result must have that mean and deviation."""
    model = load(kind)
    mean, deviation = 1.5, 0.5
    scheduler = make_scheduler(sampler, model.scheduler_config, 40, torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 4, 64, 64, generator=generator) * scheduler.init_noise_sigma
    extra = {"generator": generator} if sampler.name == "Euler a" else {}
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        a = model.schedule.alphas_cumprod[int(t.round())].double()
        signal, noise = a.sqrt(), (1 - a).sqrt()
        total = signal**2 * deviation**2 + noise**2
        clean = mean + signal * deviation**2 / total * (scaled.double() - signal * mean)
        eps = (scaled.double() - signal * clean) / noise
        v = signal * eps - noise * clean
        out = eps if model.schedule.prediction_type == "epsilon" else v
        x = scheduler.step(out.float(), t, x, return_dict=False, **extra)[0]
    assert x.mean().item() == pytest.approx(mean, abs=0.06)
    assert x.std().item() == pytest.approx(deviation, abs=0.06)
