"""styles.csv as A1111 keeps it."""

import pytest

from pseudoword.errors import BadFile, BadOption
from pseudoword.prompts.styles import Style, apply_styles, parse_styles, read_styles

FILE = """name,prompt,negative_prompt
None,,
Night,"at night, stars",daylight
Poster,"poster of {prompt}, flat","{prompt}, photo"
"""


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "styles.csv"
    path.write_bytes(b"\xef\xbb\xbf" + FILE.encode())
    styles = read_styles(path)
    assert list(styles) == ["None", "Night", "Poster"]
    assert styles["Night"] == Style(name="Night", prompt="at night, stars", negative_prompt="daylight")


def test_a_file_that_is_not_there_has_no_styles(tmp_path):
    assert read_styles(tmp_path / "styles.csv") == {}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ("a cat", "")),
        (["None"], ("a cat", "")),
        (["Night"], ("a cat, at night, stars", "daylight")),
        (["Poster"], ("poster of a cat, flat", ", photo")),
        (["Night", "Poster"], ("poster of a cat, at night, stars, flat", "daylight, photo")),
    ],
)
def test_styles_are_merged_one_after_the_other(names, expected):
    assert apply_styles("a cat", "", names, parse_styles(FILE, "x")) == expected


def test_a_style_on_an_empty_prompt_leaves_no_comma():
    assert apply_styles("", "", ["Night"], parse_styles(FILE, "x")) == ("at night, stars", "daylight")


def test_old_files_call_the_prompt_text():
    assert parse_styles("name,text\na,b\n", "x") == {"a": Style(name="a", prompt="b")}


def test_an_unknown_style_is_refused_with_the_list():
    with pytest.raises(BadOption, match="'Dawn'; expected None, Night, Poster"):
        apply_styles("", "", ["Dawn"], parse_styles(FILE, "x"))


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe", b"name,prompt\n" + b'"' + b"x" * 200_000 + b'"'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "styles.csv"
    path.write_bytes(content)
    with pytest.raises(BadFile, match=r"styles\.csv"):
        read_styles(path)


def test_an_empty_file_has_no_styles():
    assert parse_styles("", "x") == {}
