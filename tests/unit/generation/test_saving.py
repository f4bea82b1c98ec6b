"""Numbered files, text chunks and grids."""

from datetime import date

import pytest
from PIL import Image

from pseudoword.errors import BadOption
from pseudoword.generation.grid import labelled_rows, make_grid
from pseudoword.generation.naming import format_of
from pseudoword.generation.saving import next_grid_path, next_picture_path, save_picture, save_png

DAY = date(2026, 1, 2)


def test_pictures_are_numbered_from_zero_above_the_highest_there_is(tmp_path):
    first = next_picture_path(tmp_path, 7, DAY)
    assert first == tmp_path / "txt2img-images" / "2026-01-02" / "00000-7.png"
    first.parent.mkdir(parents=True)
    (first.parent / "00041-3.png").touch()
    (first.parent / "notes.txt").touch()
    assert next_picture_path(tmp_path, 7, DAY).name == "00042-7.png"


def test_grids_have_numbers_of_their_own(tmp_path):
    folder = tmp_path / "txt2img-grids" / "2026-01-02"
    folder.mkdir(parents=True)
    (folder / "grid-0003.png").touch()
    assert next_grid_path(tmp_path, DAY) == folder / "grid-0004.png"


@pytest.mark.parametrize("text", ["plain", "naïve café", "猫, art by zorp\nSteps: 1"])
def test_the_infotext_is_in_the_chunk_called_parameters(tmp_path, text):
    path = tmp_path / "sub" / "picture.png"
    save_png(Image.new("RGB", (4, 4)), path, text)
    with Image.open(path) as image:
        assert image.text["parameters"] == text
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


def test_a_name_that_is_no_picture_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(BadOption, match="ends in"):
        save_picture(Image.new("RGB", (4, 4)), tmp_path / "a.tiff")
    assert list(tmp_path.iterdir()) == []
    assert format_of(tmp_path / "A.JPG") == "jpeg"


@pytest.mark.parametrize(
    ("count", "size"), [(1, (1, 1)), (2, (2, 1)), (3, (2, 2)), (4, (2, 2)), (5, (3, 2)), (7, (3, 3))]
)
def test_a_grid_has_as_many_rows_as_the_rounded_root(count, size):
    grid = make_grid([Image.new("RGB", (10, 20))] * count)
    assert grid.size == (10 * size[0], 20 * size[1])


def test_labelled_rows_hold_every_picture_in_its_place():
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    sheet = labelled_rows([("first", [red, red]), ("second", [blue])], ["a", "b"])
    colours = {colour: count for count, colour in sheet.getcolors(1 << 20)}
    assert colours[(255, 0, 0)] == 2 * 256
    assert colours[(0, 0, 255)] == 256
