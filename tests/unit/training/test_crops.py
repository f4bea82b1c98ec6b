"""Which part of a picture is shown."""

import pytest
from PIL import Image, ImageDraw

from pseudoword.training.crops import crop_box, focal_point
from pseudoword.training.splitting import pieces, split


@pytest.mark.parametrize(
    ("size", "wanted", "centre", "box"),
    [
        ((200, 100), (64, 64), (0.5, 0.5), (50, 0, 150, 100)),
        ((200, 100), (64, 64), (0.0, 0.5), (0, 0, 100, 100)),
        ((200, 100), (64, 64), (0.9, 0.5), (100, 0, 200, 100)),
        ((100, 100), (128, 64), (0.5, 0.3), (0, 5, 100, 55)),
        ((100, 50), (128, 64), (0.1, 0.9), (0, 0, 100, 50)),
    ],
)
def test_the_largest_part_of_the_wanted_proportions_is_taken(size, wanted, centre, box):
    assert crop_box(size, wanted, centre) == pytest.approx(box)


@pytest.mark.parametrize("place", [40, 200, 360])
def test_the_focal_point_lies_where_there_is_something_to_see(place):
    image = Image.new("RGB", (400, 100), "white")
    draw = ImageDraw.Draw(image)
    for radius, colour in ((30, "black"), (22, "red"), (14, "blue"), (6, "yellow")):
        draw.ellipse((place - radius, 50 - radius, place + radius, 50 + radius), fill=colour)
    x, y = focal_point(image)
    assert abs(x * 400 - place) < 25
    assert abs(y * 100 - 50) < 15


def test_an_empty_picture_has_its_focal_point_in_the_middle():
    assert focal_point(Image.new("L", (50, 80), 128)) == (0.5, 0.5)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        # ratio 100/300 = 0.33: scaled to 512 the long side is 1536; (1536 - 102.4) / 409.6 = 3.5, so 4 pieces
        ((300, 100), [(0, 0, 100, 100), (200 / 3, 0, 500 / 3, 100), (400 / 3, 0, 700 / 3, 100), (200, 0, 300, 100)]),
        # exactly at the threshold: 2 x 512; (1024 - 102.4) / 409.6 = 2.25, so 3 pieces
        ((100, 200), [(0, 0, 100, 100), (0, 50, 100, 150), (0, 100, 100, 200)]),
        ((100, 190), []),
        ((100, 100), []),
    ],
)
def test_long_pictures_are_split_as_the_reference_says(size, expected):
    found = pieces(size, (512, 512))
    assert len(found) == len(expected)
    assert all(box == pytest.approx(wanted) for box, wanted in zip(found, expected, strict=True))


def test_pieces_have_the_wanted_size_and_others_stay_as_they_are():
    assert [part.size for part in split(Image.new("RGB", (300, 100)), (64, 64))] == [(64, 64)] * 4
    whole = Image.new("RGB", (100, 120))
    assert split(whole, (64, 64)) == [whole]
