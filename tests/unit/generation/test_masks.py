"""Masks and resize modes on small pictures with known answers; scipy's Gaussian as second opinion."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from pseudoword.errors import BadOption
from pseudoword.generation.masks import Region, box_around, filled, laid_over, soft_mask
from pseudoword.generation.resize import flattened, resized


def box_mask(size, box):
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def values(image):
    return np.asarray(image).astype(int)


def test_the_soft_edge_is_a_gaussian_cut_off_at_two_and_a_half():
    mask = box_mask((40, 30), (10, 5, 25, 20))
    expected = gaussian_filter(np.asarray(mask, dtype=float), 4, mode="mirror", truncate=2.5)
    assert np.abs(values(soft_mask(mask, invert=False, blur=4)) - expected).max() <= 0.51


def test_a_mask_is_made_binary_before_it_is_softened():
    grey = Image.fromarray(np.array([[0, 127, 128, 255]], dtype=np.uint8))
    assert values(soft_mask(grey, invert=False, blur=0)).tolist() == [[0, 0, 255, 255]]
    assert values(soft_mask(grey, invert=True, blur=0)).tolist() == [[255, 255, 0, 0]]


def test_transparency_is_the_mask_where_there_is_some():
    mask = Image.new("RGBA", (2, 1), (255, 255, 255, 0))
    mask.putpixel((1, 0), (0, 0, 0, 255))
    assert values(soft_mask(mask, invert=False, blur=0)).tolist() == [[0, 255]]
    opaque = Image.new("RGBA", (1, 1), (255, 255, 255, 255))
    assert values(soft_mask(opaque, invert=False, blur=0)).tolist() == [[255]]


@pytest.mark.parametrize(
    ("box", "padding", "size", "expected"),
    [
        ((20, 20, 40, 40), 0, (64, 64), (20, 20, 40, 40)),
        ((20, 20, 40, 40), 10, (64, 64), (10, 10, 50, 50)),
        ((20, 30, 60, 40), 0, (64, 64), (20, 15, 60, 55)),
        ((0, 0, 10, 40), 0, (64, 64), (0, 0, 40, 40)),
        ((90, 0, 100, 40), 0, (64, 64), (60, 0, 100, 40)),
        ((0, 0, 100, 80), 32, (64, 64), (0, 0, 100, 80)),
        ((20, 20, 40, 40), 0, (128, 64), (10, 20, 50, 40)),
    ],
)
def test_the_region_has_the_proportions_that_are_drawn_and_stays_inside(box, padding, size, expected):
    assert box_around(box_mask((100, 80), box), padding, size) == expected


def test_a_black_mask_is_refused():
    with pytest.raises(BadOption, match="black everywhere"):
        box_around(Image.new("L", (10, 10)), 0, (64, 64))


def test_filling_takes_the_colours_around_and_leaves_the_rest():
    image = Image.new("RGB", (64, 64), (10, 200, 30))
    ImageDraw.Draw(image).rectangle((20, 20, 43, 43), fill=(255, 0, 0))
    mask = box_mask((64, 64), (18, 18, 46, 46))
    result = values(filled(image, mask))
    assert np.abs(result - (10, 200, 30)).max() <= 6  # premultiplied, in eight bits


def test_outside_of_the_mask_the_original_stays_to_the_bit():
    original = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8))
    overlay = box_mask((50, 40), (10, 10, 20, 20))
    region = Region(mask=overlay, overlay=overlay, box=(5, 5, 35, 35))
    result = values(laid_over(original, Image.new("RGB", (64, 64), "white"), region))
    assert (result[10:20, 10:20] == 255).all()
    result[10:20, 10:20] = values(original)[10:20, 10:20]
    assert (result == values(original)).all()


def striped():
    """60 × 20: red, green, blue thirds."""
    image = Image.new("RGB", (60, 20))
    for n, colour in enumerate(("red", "lime", "blue")):
        image.paste(colour, (20 * n, 0, 20 * n + 20, 20))
    return image


def test_just_resize_squeezes():
    result = values(resized(striped(), 30, 30, 0))
    assert result[15, 5].tolist() == [255, 0, 0] and result[15, 25].tolist() == [0, 0, 255]


def test_crop_and_resize_keeps_the_middle():
    result = values(resized(striped(), 40, 40, 1))
    assert np.abs(result[:, 5:35] - (0, 255, 0)).max() < 40


def test_resize_and_fill_draws_the_edges_out():
    result = values(resized(striped(), 60, 60, 2))
    assert (result[20:40] == values(striped())).all()
    assert (result[0] == result[20]).all() and (result[59] == result[39]).all()
    turned = values(resized(striped().rotate(90, expand=True), 60, 60, 2))
    assert (turned[:, 0] == turned[:, 20]).all()


def test_transparent_parts_lie_on_white():
    assert flattened(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).getpixel((0, 0)) == (255, 255, 255)
