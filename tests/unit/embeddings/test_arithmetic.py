"""Arithmetic on vectors: tables worked out by hand."""

import math

import pytest
import torch

from pseudoword.embeddings import arithmetic
from pseudoword.errors import BadOption, WrongFamily


def tables(*rows, slot="clip_l"):
    return arithmetic.widened({slot: torch.tensor(rows)})


def values(result, slot="clip_l"):
    return result[slot].tolist()


def test_a_sum_of_unequal_numbers_takes_zeros_at_the_end():
    long, short = tables([1.0, 2.0], [3.0, 4.0], [5.0, 6.0]), tables([10.0, 20.0])
    expected = [[11.0, 22.0], [3.0, 4.0], [5.0, 6.0]]
    assert values(arithmetic.added(long, short)) == expected
    assert values(arithmetic.added(short, long)) == expected


def test_joining_keeps_the_order():
    assert values(arithmetic.joined(tables([1.0]), tables([2.0], [3.0]))) == [[1.0], [2.0], [3.0]]


def test_cutting_filling_and_turning():
    three = tables([1.0], [2.0], [3.0])
    assert values(arithmetic.truncated(three, 2)) == [[1.0], [2.0]]
    assert values(arithmetic.truncated(three, 9)) == [[1.0], [2.0], [3.0]]
    assert values(arithmetic.resized(three, 4)) == [[1.0], [2.0], [3.0], [0.0]]
    assert values(arithmetic.turned(three, 1)) == [[3.0], [1.0], [2.0]]
    assert values(arithmetic.turned(three, -1)) == [[2.0], [3.0], [1.0]]


def test_rescaling_keeps_directions_and_leaves_zero_alone():
    result = arithmetic.rescaled(tables([3.0, 4.0], [0.0, 0.0], [0.0, -2.0]), {"clip_l": 0.5})
    assert values(result) == [[pytest.approx(0.3), 0.4], [0.0, 0.0], [0.0, -0.5]]


def test_every_slot_is_brought_to_its_own_length():
    two = {"clip_l": torch.tensor([[3.0, 4.0]]), "clip_g": torch.tensor([[0.0, 2.0, 0.0]])}
    result = arithmetic.rescaled(arithmetic.widened(two), {"clip_l": 1.0, "clip_g": 6.0})
    assert [math.hypot(*row) for row in values(result)] == [pytest.approx(1.0)]
    assert values(result, "clip_g") == [[0.0, 6.0, 0.0]]


def test_vectors_of_different_encoders_are_refused_with_both_families():
    sd1, sd2 = {"clip_l": torch.ones(1, 768)}, {"clip_h": torch.ones(1, 1024)}
    with pytest.raises(WrongFamily, match=r"SD1.x \(768\).*SD2.x \(1024\)"):
        arithmetic.added(sd1, sd2)
    with pytest.raises(WrongFamily):
        arithmetic.joined({**sd1, "clip_g": torch.ones(1, 1280)}, sd1)


@pytest.mark.parametrize("number", [0, -1, 10**9])
def test_no_or_too_many_vectors_are_refused_before_they_are_made(number):
    with pytest.raises(BadOption, match="vectors"):
        arithmetic.resized(tables([1.0]), number)


def test_the_result_does_not_share_memory_with_what_it_is_made_of():
    owner = torch.ones(2, 3)
    made = arithmetic.truncated(arithmetic.widened({"clip_l": owner}), 2)
    owner.zero_()
    assert values(made) == [[1.0] * 3] * 2
