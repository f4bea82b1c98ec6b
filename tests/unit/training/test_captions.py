"""Captions from file names, texts and templates."""

from pathlib import Path

import pytest

from pseudoword.errors import BadFile, BadOption
from pseudoword.training.captions import load_templates, make_templates, words_for


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cat.png", "cat"),
        ("000001-1-a man in suit.png", "a man in suit"),
        ("red_apple.jpg", "red apple"),
        ("0012.png", ""),
        ("a 1980s car.png", "a 1980s car"),
    ],
)
def test_words_come_from_the_files_name(name, words):
    assert words_for(Path(name)) == words


def test_a_text_beside_the_picture_goes_before_its_name(tmp_path):
    (tmp_path / "x.txt").write_text("  a café \n by night ", "utf-8")
    assert words_for(tmp_path / "x.png") == "a café by night"


def test_filewords_are_replaced_before_the_name_so_that_a_caption_may_hold_it():
    templates = make_templates(["art by [name], [filewords]"])
    assert templates.fill("art by [name], [filewords]", "a [name] cat", "zorp") == "art by zorp, a zorp cat"


def test_lines_for_words_are_kept_from_pictures_that_have_none():
    templates = make_templates(["[filewords], [name] style", "[name] style"])
    assert templates.lines_for("cat") == ("[filewords], [name] style",)
    assert templates.lines_for("") == ("[name] style",)


def test_punctuation_around_missing_words_is_cleared():
    templates = make_templates(["[filewords], [name] style"])
    assert templates.fill(templates.lines_for("")[0], "", "zorp") == "zorp style"


@pytest.mark.parametrize("template", ["style", "subject"])
def test_every_shipped_line_holds_the_name(template):
    templates = load_templates(template)
    lines = templates.with_words + templates.without_words
    assert len(lines) >= 8
    assert all("[name]" in line for line in lines)
    assert templates.with_words
    assert templates.without_words


def test_own_templates_are_read_and_blank_lines_passed_over(tmp_path):
    file = tmp_path / "t.txt"
    file.write_text("a [name]\n\n  the [name], [filewords] \n", "utf-8")
    templates = load_templates(str(file))
    assert templates.without_words == ("a [name]",)
    assert templates.with_words == ("the [name], [filewords]",)


def test_a_line_without_the_name_could_teach_nothing_and_is_refused(tmp_path):
    file = tmp_path / "t.txt"
    file.write_text("a [name]\na picture\n", "utf-8")
    with pytest.raises(BadOption, match=r"'a picture'.*\[name\]"):
        load_templates(str(file))


def test_a_template_that_is_no_text_is_refused(tmp_path):
    file = tmp_path / "t.txt"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFile):
        load_templates(str(file))
    file.write_text("\n")
    with pytest.raises(BadOption, match="without a line"):
        load_templates(str(file))
