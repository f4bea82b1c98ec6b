"""Noise as A1111 draws it (reference a1111.md §3.3); expected values by hand or by torch itself."""

import math

import numpy as np
import pytest
import torch

from pseudoword.generation.sampling.noise import NoiseState, Seeds, pasted, slerp
from pseudoword.rng import CPU, NV, BrownianPath, picture_stream

SHAPE = (4, 8, 6)
DEVICE = torch.device("cpu")


def state(*pictures, **more):
    return NoiseState(Seeds(pictures=pictures, **more), SHAPE, DEVICE)


def test_nv_noise_has_the_published_first_values():
    first = picture_stream(0, NV).normal((4,))
    assert first.tolist() == pytest.approx([-0.92466259, -0.42534415, -2.6438457, 0.14518388], abs=3e-7)


def test_nv_noise_is_normal_and_every_draw_is_another():
    stream = picture_stream(2**33 + 5, NV)
    one, two = stream.normal((100, 100)), stream.normal((100, 100))
    assert abs(one.mean()) < 0.03 and one.std() == pytest.approx(1, abs=0.03)
    assert abs(np.corrcoef(one.flatten(), two.flatten())[0, 1]) < 0.03
    assert not torch.equal(one, picture_stream(5, NV).normal((100, 100)))


@pytest.mark.parametrize("source", [CPU, NV])
def test_a_batch_has_bit_for_bit_the_noise_of_single_pictures(source):
    together = state(3, 4, source=source)
    alone = [state(seed, source=source) for seed in (3, 4)]
    for draw in (NoiseState.first, lambda s: s.between(1.0, 0.5), lambda s: s.between(0.5, 0.1)):
        assert torch.equal(draw(together), torch.cat([draw(one) for one in alone]))


def test_the_source_cpu_is_torchs_generator_and_goes_on_in_the_sampler():
    own = state(7)
    generator = torch.Generator().manual_seed(7)
    assert torch.equal(own.first()[0], torch.randn(SHAPE, generator=generator))
    assert torch.equal(own.between(1.0, 0.5)[0], torch.randn(SHAPE, generator=generator))


def test_a_seed_delta_leaves_the_first_noise_and_begins_the_streams_anew():
    own = state(7, delta=31337)
    assert torch.equal(own.first(), state(7).first())
    assert torch.equal(own.between(1.0, 0.5)[0], torch.randn(SHAPE, generator=torch.Generator().manual_seed(31344)))


def test_a_variation_goes_from_the_one_seed_to_the_other():
    one, other = state(1).first(), state(2).first()
    for strength, expected in ((1e-7, one), (1.0, other)):
        mixed = state(1, variations=(2,), strength=strength).first()
        assert torch.allclose(mixed, expected, atol=1e-5)


def test_the_arc_between_perpendicular_columns_is_a_circle():
    one, other = torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [2.0]]])
    third = slerp(1 / 3, one, other)
    assert third.flatten().tolist() == pytest.approx([math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])


def test_noises_that_are_alike_are_mixed_in_the_order_in_which_they_stand():
    one = torch.ones(1, 3, 3)
    mixed = slerp(0.25, one, 3 * one)
    assert mixed.flatten().tolist() == pytest.approx([1.5] * 9)


def test_seed_resize_keeps_the_middle_of_the_old_size():
    resized = state(5, resize_from=(4, 4)).first()[0]
    small = torch.randn(4, 4, 4, generator=torch.Generator().manual_seed(5))
    fresh = torch.randn(SHAPE, generator=torch.Generator().manual_seed(5))
    assert torch.equal(resized[:, 2:6, 1:5], small)
    outside = torch.ones(SHAPE, dtype=torch.bool)
    outside[:, 2:6, 1:5] = False
    assert torch.equal(resized[outside], fresh[outside])


def test_a_larger_old_size_gives_its_middle():
    small, large = torch.arange(36.0).view(1, 6, 6), torch.zeros(1, 2, 4)
    assert pasted(small, large).tolist() == [[[13, 14, 15, 16], [19, 20, 21, 22]]]


def test_brownian_noise_adds_up_over_a_split_step():
    path = BrownianPath(3, (4, 8, 8), 0.1, 10)
    whole = path.normal(9, 1) * math.sqrt(8)
    parts = path.normal(9, 4) * math.sqrt(5) + path.normal(4, 1) * math.sqrt(3)
    assert torch.allclose(whole, parts, atol=1e-4)
    assert path.normal(9, 1).std() == pytest.approx(1, abs=0.15)


def test_a_batch_of_brownian_noise_is_that_of_single_pictures():
    sigmas = [10.0, 3.0, 1.0, 0.0]
    together = state(3, 4).brownian(sigmas)
    alone = [state(seed).brownian(sigmas) for seed in (3, 4)]
    for start, end in ((10.0, 3.0), (3.0, 1.0)):
        assert torch.equal(together(start, end), torch.cat([one(start, end) for one in alone]))
