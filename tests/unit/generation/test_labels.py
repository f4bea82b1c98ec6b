"""Labelled sheets and the page: where pictures lie, and that nothing is fetched or run from a prompt."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from pseudoword.generation import labels
from pseudoword.generation.compare_page import Page, Picture, page_html
from pseudoword.generation.labels import Sheet, labelled_sheets


@pytest.fixture
def pictures(tmp_path):
    made = {}
    for colour in ("red", "lime", "blue", "yellow"):
        made[colour] = tmp_path / f"{colour}.png"
        Image.new("RGB", (140, 150), colour).save(made[colour])
    return made


def count(image, colour):
    return int((np.asarray(image) == np.array(colour)).all(axis=-1).sum())


def test_every_picture_is_whole_and_in_its_place(pictures):
    sheet = Sheet(title="z: 1", columns=["left", "right"], rows=["above", "below"], pictures=[
        [pictures["red"], pictures["lime"]], [pictures["blue"], None]])  # fmt: skip
    image = np.asarray(labelled_sheets([sheet], "heading", ["note"])).astype(int)
    places = {}
    for name, colour in (("red", (255, 0, 0)), ("lime", (0, 255, 0)), ("blue", (0, 0, 255))):
        found = np.argwhere((image == colour).all(axis=-1))
        assert len(found) == 140 * 150
        places[name] = found.min(axis=0)
    assert places["red"][0] == places["lime"][0] < places["blue"][0]
    assert places["red"][1] == places["blue"][1] < places["lime"][1]


def test_pictures_of_several_sizes_share_a_cell_and_small_ones_get_room_for_labels(tmp_path):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "a.png")
    Image.new("RGB", (16, 200), "blue").save(tmp_path / "b.png")
    sheet = Sheet(title="", columns=["one", "two"], rows=[""], pictures=[[tmp_path / "a.png", tmp_path / "b.png"]])
    image = labelled_sheets([sheet], "x" * 300)
    assert count(image, (255, 0, 0)) == 64
    assert count(image, (0, 0, 255)) == 3200
    assert image.width == 2 * 16 + 2 * 128 + 8


def test_a_sheet_that_would_be_huge_is_made_smaller(pictures, monkeypatch):
    monkeypatch.setattr(labels, "MAX_PIXELS", 40_000)
    sheet = Sheet(title="", columns=["a"] * 10, rows=["b"] * 10, pictures=[[pictures["red"]] * 10] * 10)
    assert count(labelled_sheets([sheet], "x"), (255, 0, 0)) < 60_000


class Seen(HTMLParser):
    """Tags and attributes as a browser takes them."""

    def __init__(self):
        super().__init__()
        self.tags, self.values = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.values += [(name, value) for name, value in attrs if value]


def test_the_page_holds_its_pictures_asks_for_nothing_and_runs_nothing_of_a_prompt(pictures):
    evil = '"><script>alert(1)</script>$title'
    page = Page(
        title=evil,
        settings=evil,
        names=("prompt", "seed", "cfg"),
        labels=((evil, "b"), ("1", "2"), ("", "7")),
        pictures={
            (0, 0, 0): Picture(path=pictures["red"], text=evil),
            (1, 1, 1): Picture(path=pictures["blue"], text="t"),
        },
        notes=[evil],
        command=evil,
        made="now",
    )
    text = page_html(page)
    seen = Seen()
    seen.feed(text)
    assert seen.tags.count("script") == 1
    assert seen.tags.count("table") == 2
    assert text.count("not drawn</div>") == 6
    sources = [value for name, value in seen.values if name in ("src", "href")]
    assert len(sources) == 2
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"https?://|@import|url\(", text)
    assert ("data-text", evil) in seen.values
    assert "prefers-color-scheme: dark" in text


def test_a_page_that_would_be_heavy_holds_webp(pictures, monkeypatch):
    monkeypatch.setattr("pseudoword.generation.compare_page._MOST_BYTES", 0)
    picture = Picture(path=pictures["red"], text="t")
    page = Page(title="x", settings="", names=("seed",), labels=(("1",), ("",), ("",)), pictures={(0, 0, 0): picture},
                notes=[], command="c", made="now")  # fmt: skip
    assert "data:image/webp;base64," in page_html(page)
