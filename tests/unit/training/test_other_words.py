"""Further words of a run: how they are written, and where their rows stand."""

from pathlib import Path

import pytest

from pseudoword.errors import BadInput
from pseudoword.training.other_words import OtherWord, parse_word, parse_words, slot_of, table_key, with_paths, words_of
from pseudoword.training.sources import Source


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("blorp", OtherWord(name="blorp")),
        ("blorp=cats", OtherWord(name="blorp", source=Source(folder=Path("cats")))),
        ("blorp=cats:3:0.5", OtherWord(name="blorp", source=Source(folder=Path("cats"), repeats=3, weight=0.5))),
        (
            "blorp=my cats;init=a black cat; vectors=3;template=subject;noun=cat",
            OtherWord(
                name="blorp",
                source=Source(folder=Path("my cats")),
                init="a black cat",
                vectors=3,
                template="subject",
                noun="cat",
            ),
        ),
        ("blorp;init=cat", OtherWord(name="blorp", init="cat")),
    ],
)
def test_a_word_is_read_as_it_is_written(text, word):
    assert parse_word(text) == word


@pytest.mark.parametrize(
    "text",
    [
        *("", "=cats", "blorp=cats;colour=red", "blorp=cats;init", "blorp;init=a;init=b", "blorp;vectors=0"),
        *("blorp;vectors=76", "blorp;vectors=two", "blorp;template=nosuch.txt", "a/b=cats", "blorp;init=suggest"),
    ],
)
def test_other_writings_are_refused(text):
    with pytest.raises(BadInput):
        parse_word(text)


@pytest.mark.parametrize("texts", [["zorp=cats"], ["ZORP"], ["blorp", "Blorp=cats"]])
def test_a_name_comes_once(texts):
    with pytest.raises(BadInput):
        parse_words(texts, "zorp")


def test_paths_change_and_nothing_else():
    text = "blorp=cats:2;init=a=b;template=lines.txt"
    assert with_paths(text, lambda folder: f"/x/{folder}", lambda file: f"/y/{file}") == (
        "blorp=/x/cats:2;init=a=b;template=/y/lines.txt"
    )
    assert with_paths("blorp;init=cat", lambda folder: f"/x/{folder}", str) == "blorp;init=cat"


def test_the_runs_own_word_has_tables_by_slot_and_the_others_by_name_and_slot():
    tables = {table_key("clip_g", "my.word"): 4, table_key("clip_l"): 1, table_key("clip_l", "my.word"): 3}
    assert set(tables) == {"clip_l", "my.word/clip_l", "my.word/clip_g"}
    words = words_of(tables, "zorp")
    assert words == {"zorp": {"clip_l": 1}, "my.word": {"clip_g": 4, "clip_l": 3}}
    assert next(iter(words)) == "zorp"
    assert [slot_of(key) for key in tables] == ["clip_g", "clip_l", "clip_l"]
