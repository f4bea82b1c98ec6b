"""The denoising loss by hand."""

import pytest
import torch

from pseudoword.models.protocols import NoiseSchedule
from pseudoword.training.objective import add_noise, mean_squared_error, min_snr_weights, target

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


def test_a_mask_weighs_places_and_keeps_the_mean_weight_at_1():
    prediction = torch.zeros(1, 2, 1, 4)
    wanted = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4).expand(1, 2, 1, 4)
    mask = torch.tensor([0.0, 0.0, 1.0, 3.0]).view(1, 1, 1, 4)
    # weights 0, 0, 1, 3 over their mean 1: (9 + 3 * 16) / 4
    assert flat(mean_squared_error(prediction, wanted, mask)) == pytest.approx([57 / 4])
    even = torch.full((1, 1, 1, 4), 0.25)
    assert flat(mean_squared_error(prediction, wanted, even)) == flat(mean_squared_error(prediction, wanted))
    assert flat(mean_squared_error(prediction, wanted, 0 * mask)) == flat(mean_squared_error(prediction, wanted))


@pytest.mark.parametrize(
    ("prediction", "expected"),
    # signal-to-noise 0.9/0.1 = 9, 0.5/0.5 = 1 and 0.1/0.9 = 1/9, gamma 5
    [("epsilon", [5 / 9, 1, 1]), ("v_prediction", [5 / 10, 1 / 2, (1 / 9) / (10 / 9)])],
)
def test_min_snr_weights_are_those_of_the_paper(prediction, expected):
    schedule = NoiseSchedule(alphas_cumprod=torch.tensor([0.9, 0.5, 0.1]), prediction_type=prediction)
    assert flat(min_snr_weights(TIMES, schedule, 5.0)) == pytest.approx(expected, rel=1e-5)
