"""The denoising loss by hand."""

import pytest
import torch

from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.objective import add_noise, mean_squared_error, target

ALPHAS = torch.tensor([1.0, 0.64, 0.0])
Z = torch.full((3, 1, 1, 1), 2.0)
EPS = torch.full((3, 1, 1, 1), 0.5)
TIMES = torch.tensor([0, 1, 2])


def flat(tensor):
    return tensor.flatten().tolist()


def test_noisy_latents_go_from_the_picture_to_the_noise():
    schedule = NoiseSchedule(alphas_cumprod=ALPHAS, prediction_type="epsilon")
    assert flat(add_noise(Z, EPS, TIMES, schedule)) == pytest.approx([2.0, 0.8 * 2 + 0.6 * 0.5, 0.5])
    assert flat(target(Z, EPS, TIMES, schedule)) == [0.5, 0.5, 0.5]


def test_the_velocity_goes_from_the_noise_to_minus_the_picture():
    schedule = NoiseSchedule(alphas_cumprod=ALPHAS, prediction_type="v_prediction")
    assert flat(target(Z, EPS, TIMES, schedule)) == pytest.approx([0.5, 0.8 * 0.5 - 0.6 * 2, -2.0])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noise_and_target_are_those_of_diffusers(prediction):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(prediction_type=prediction)
    schedule = NoiseSchedule(alphas_cumprod=scheduler.alphas_cumprod, prediction_type=prediction)
    z, eps = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    times = torch.tensor([3, 800])
    torch.testing.assert_close(add_noise(z, eps, times, schedule), scheduler.add_noise(z, eps, times))
    expected = eps if prediction == "epsilon" else scheduler.get_velocity(z, eps, times)
    torch.testing.assert_close(target(z, eps, times, schedule), expected)


def test_the_loss_is_one_number_per_picture():
    prediction = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert flat(mean_squared_error(prediction, torch.zeros(2, 1, 2, 2))) == [0.0, 1.0]
