"""Oracle of the known answers: Random123's published test vectors of Philox 4×64-10, and numpy for its bits."""

import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword import rng

SEEDS = st.integers(0, rng.MAX_SEED)


def philox_4x64(counter: list[int], key: list[int]) -> list[int]:
    """Philox 4×64-10 by hand (Salmon et al. 2011, table 2 and section 3.3)."""
    mask = 2**64 - 1
    x, k = list(counter), list(key)
    for _ in range(10):
        one, two = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(two >> 64) ^ x[1] ^ k[0], two & mask, (one >> 64) ^ x[3] ^ k[1], one & mask]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return x


def test_the_philox_of_these_tests_gives_the_published_answer() -> None:
    """Random123 kat_vectors: philox4x64 10, counter 0, key 0."""
    assert philox_4x64([0] * 4, [0] * 2)[0] == 0x16554D9ECA36314C


def test_a_stream_is_philox_under_the_hash_of_its_key() -> None:
    text = b"7\0noise\x003\x005"
    digest = hashlib.blake2b(text, digest_size=16).digest()
    key = [int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")]
    bits = rng._stream(7, "noise", 3, 5).bit_generator.random_raw(4)
    assert [int(word) for word in bits] == philox_4x64([1, 0, 0, 0], key)


def test_draws_are_the_same_for_ever() -> None:
    """A change here breaks every saved run: it would continue with other noise."""
    assert rng.integers(1000, 7, "timestep", 3, [0, 1, 2]) == [925, 283, 889]
    assert rng.permutation(8, 7, "order", 1) == [7, 3, 2, 1, 6, 0, 5, 4]
    assert rng.normal([2], 7, "noise", 3, [0, 1]).flatten().tolist() == pytest.approx(
        [-1.2731316, 0.18328138, -1.6758026, 1.1797608], rel=1e-6
    )


@given(SEEDS, st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=2, max_size=6))
def test_a_draw_depends_on_its_key_and_not_on_how_a_batch_is_split(seed: int, step: int, samples: list[int]) -> None:
    whole = rng.normal([2, 3], seed, "noise", step, samples)
    parts = torch.cat([rng.normal([2, 3], seed, "noise", step, [sample]) for sample in reversed(samples)])
    assert torch.equal(whole, parts.flip(0))
    counts = rng.integers(1000, seed, "timestep", step, samples)
    assert counts == [rng.integers(1000, seed, "timestep", step, [sample])[0] for sample in samples]


@pytest.mark.parametrize(
    "other", [(8, "noise", 3, [5]), (7, "latent", 3, [5]), (7, "noise", 4, [5]), (7, "noise", 3, [6])]
)
def test_each_part_of_the_key_changes_the_draw(other) -> None:
    assert not torch.equal(rng.normal([4], 7, "noise", 3, [5]), rng.normal([4], *other))


def test_parts_of_the_key_do_not_run_into_each_other() -> None:
    assert not torch.equal(rng.normal([4], 1, "a", 11, [1]), rng.normal([4], 1, "a", 1, [11]))


def test_normal_draws_are_float32_with_the_moments_of_a_normal() -> None:
    draws = rng.normal([100, 100], 7, "noise", samples=[0, 1])
    assert (draws.dtype, tuple(draws.shape)) == (torch.float32, (2, 100, 100))
    assert abs(float(draws.mean())) < 0.02
    assert abs(float(draws.std()) - 1) < 0.02
    assert abs(float(np.corrcoef(draws[0].flatten(), draws[1].flatten())[0, 1])) < 0.04


def test_integers_fill_their_range_evenly() -> None:
    counts = np.bincount(rng.integers(10, 7, "timestep", samples=range(5000)), minlength=10)
    assert len(counts) == 10
    assert counts.min() > 400
    assert counts.max() < 600


@given(st.integers(0, 50), SEEDS)
def test_a_permutation_has_every_number_once(n: int, seed: int) -> None:
    assert sorted(rng.permutation(n, seed, "order")) == list(range(n))


def test_a_picture_generator_is_the_cpu_generator_of_torch_under_that_seed() -> None:
    expected = torch.Generator().manual_seed(42)
    drawn = torch.randn(5, generator=rng.picture_generator(42))
    assert torch.equal(drawn, torch.randn(5, generator=expected))


def test_drawing_leaves_the_global_generators_alone() -> None:
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    rng.normal([4], 7, "noise")
    rng.permutation(4, 7, "order")
    torch.randn(2, generator=rng.picture_generator(1))
    rng.fresh_seed()
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_fresh_seeds_are_in_range_and_differ() -> None:
    seeds = [rng.fresh_seed() for _ in range(50)]
    assert all(0 <= seed <= rng.MAX_SEED for seed in seeds)
    assert len(set(seeds)) > 45
