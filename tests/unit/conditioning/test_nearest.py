"""Nearest vocabulary rows: angles worked out by hand."""

import math

import pytest
import torch

from pseudoword.conditioning.nearest import nearest_rows

TABLE = torch.tensor([[1.0, 0.0], [0.0, 3.0], [-2.0, 0.0], [5.0, 5.0]])


def test_the_angle_counts_and_not_the_length():
    (found,) = nearest_rows(torch.tensor([[0.2, 0.1]]), TABLE, 4)
    assert [index for index, _ in found] == [3, 0, 1, 2]
    degrees = math.degrees(math.atan2(0.1, 0.2))
    expected = [math.cos(math.radians(angle)) for angle in (45 - degrees, degrees, 90 - degrees, 180 - degrees)]
    assert [cosine for _, cosine in found] == pytest.approx(expected, abs=1e-6)


def test_a_row_of_the_table_finds_itself():
    found = nearest_rows(TABLE * 7, TABLE, 1)
    assert [index for ((index, _),) in found] == [0, 1, 2, 3]
    assert [cosine for ((_, cosine),) in found] == pytest.approx([1.0] * 4)


def test_rows_that_are_no_words_are_left_out():
    (found,) = nearest_rows(torch.tensor([[1.0, 0.0]]), TABLE, 9, leave_out=[0])
    assert [index for index, _ in found] == [3, 1, 2]


def test_zeros_are_near_to_nothing():
    assert nearest_rows(torch.zeros(1, 2), TABLE, 3) == [[]]
