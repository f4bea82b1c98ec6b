"""Weights in prompts: the numbers of a1111.md §2.1, and a slow second implementation that multiplies ranges."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pseudoword.prompts.attention import verbatim, weigh
from pseudoword.prompts.prompt import parse
from pseudoword.prompts.scanner import scan
from pseudoword.prompts.syntax import MAX_WEIGHT, Break, Text, Word

DOWN = 1 / 1.1


def pieces(text):
    return weigh(parse(text, several=False).parts[0].tokens)[0]


def told(text):
    return [note.told(text) for note in weigh(parse(text, several=False).parts[0].tokens)[1]]


# [R] marks what the reference checked by running upstream
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", [("plain words", 1)]),
        ("(x)", [("x", 1.1)]),
        ("[x]", [("x", DOWN)]),
        ("(x:1.3)", [("x", 1.3)]),
        ("(x: 1.3 )", [("x", 1.3)]),
        ("(x:-.5)", [("x", -0.5)]),
        ("(x:+2.)", [("x", 2)]),
        ("(x:0)", [("x", 0)]),
        ("((x))", [("x", 1.1 * 1.1)]),
        ("((x:1.2):1.5)", [("x", 1.2 * 1.5)]),
        ("[[x]]", [("x", DOWN * DOWN)]),
        ("([x])", [("x", 1)]),
        ("a (b [c]) d", [("a ", 1), ("b ", 1.1), ("c d", 1)]),
        ("[x:1.2]", [("x:1.2", DOWN)]),  # [R]
        (r"\(x\) \[y\] \\", [("(x) [y] \\", 1)]),
        (r"(\(x\):1.5)", [("(x)", 1.5)]),
        (r"a\qb", [("aqb", 1)]),  # [R] any other backslash is dropped
        ("(a:1.2", [("a:1.2", 1.1)]),  # [R]
        ("a (b [c", [("a ", 1), ("b ", 1.1), ("c", 1)]),
        ("a) b] c:", [("a) b] c:", 1)]),
        ("x:1.5)", [("x:1.5)", 1)]),
        ("(a:1.2)(b:1.2)", [("ab", 1.2)]),  # [R]
        ("(a:1.2)()(b:1.2)", [("ab", 1.2)]),
        ("(a:1.2.3)", [("a:1.2.3", 1.1)]),  # upstream raises a conversion error
        ("(a:.)", [("a:.", 1.1)]),
        ("(a:b:1.5)", [("a:b", 1.5)]),
        ("(a [b) c] d", [("a ", 1.1), ("b", 1), (" c", DOWN), (" d", 1)]),
        ("(:1.2)", []),
        ("", []),
        ("()[]", []),
    ],
)
def test_weights(text, expected):
    found = pieces(text)
    assert [(piece.text, piece.weight) for piece in found] == [(text, pytest.approx(w)) for text, w in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a BREAK b", [Text("a"), Break(), Text("b")]),
        ("a  BREAK\n b", [Text("a"), Break(), Text("b")]),
        ("aBREAK b BREAKs break", [Text("aBREAK b BREAKs break")]),
        ("a BREAK", [Text("a"), Break()]),
        ("(a BREAK b:1.2)", [Text("a", 1.2), Break(), Text("b", 1.2)]),  # upstream loses it in brackets
        ("(a)BREAK(b)", [Text("a", 1.1), Break(), Text("b", 1.1)]),
        (r"a \BREAK b", [Text("a BREAK b")]),
    ],
)
def test_break(text, expected):
    assert list(pieces(text)) == expected


def test_explicit_words_have_weights_and_part_texts():
    found = pieces("a <embedding:Foo> (b <embedding:bar>:1.5)")
    assert list(found) == [Text("a "), Word("Foo"), Text(" "), Text("b ", 1.5), Word("bar", 1.5)]


def test_weights_stay_finite():
    nines = "9" * 400
    assert pieces(f"(a:{nines})") == (Text("a", MAX_WEIGHT),)
    assert pieces(f"(a:-{nines})") == (Text("a", -MAX_WEIGHT),)
    assert pieces(f"((a:0):{nines})") == (Text("a", 0.0),)
    assert pieces("(" * 5000 + "a") == (Text("a", MAX_WEIGHT),)
    assert 0 <= pieces("[" * 5000 + "a")[0].weight < 1e-8


def test_a_weight_that_is_no_number_is_told_with_its_column():
    assert told("a cat, (red:1.2.3)") == ["column 13: 1.2.3 is no number, so it is read as text and the weight is 1.1"]
    assert told("a cat,\n(red:..)") == [
        "line 2, column 6: .. is no number, so it is read as text and the weight is 1.1"
    ]


def test_a_bracket_that_is_never_closed_is_told_with_its_column():
    assert told("a (b") == ["column 3: ( is never closed, so it holds to the end"]
    assert told("(a) b) [c]]") == []


def test_mode_none_takes_everything_for_text():
    text = r"(a:1.2) \(b\) [c] BREAK <d>"
    assert verbatim(parse(text, several=False).parts[0].tokens) == (Text(text),)


def ranges(text):
    """The rules of the reference, word for word: a list of letters whose ranges are multiplied."""
    parts = re.findall(r":\s*[+-]?\d+\.?\d*\s*\)|\\[()\[\]\\]|\\|[^\\()\[\]:]|[()\[\]:]", text)
    letters, opened = [], {"(": [], "[": []}
    for part in parts:
        kind = {"]": "["}.get(part, "(" if part.endswith(")") and part[0] != "\\" else None)
        if part in opened:
            opened[part].append(len(letters))
        elif kind and opened[kind]:
            factor = {")": 1.1, "]": 1 / 1.1}.get(part) or float(part[1:-1])
            multiply(letters[opened[kind].pop() :], factor)
        else:
            letters += [[letter, 1.0] for letter in part.removeprefix("\\")]
    for kind, factor in (("(", 1.1), ("[", 1 / 1.1)):
        for start in opened[kind]:
            multiply(letters[start:], factor)
    return letters


def multiply(letters, factor):
    for letter in letters:
        letter[1] *= factor


@example("(a [b) (c]:2)")
@example("((a:2):3 )")
@given(
    st.lists(st.sampled_from(["(", ")", "[", "]", ":", "a", "b", " ", ":2)", "1.5", "\\(", "\\]", "\\\\"]), max_size=30)
)
def test_every_letter_has_the_weight_that_multiplying_ranges_gives(parts):
    text = "".join(parts)
    found = [[letter, piece.weight] for piece in weigh(scan(text)[0])[0] for letter in piece.text]
    expected = ranges(text)
    assert [letter for letter, _ in found] == [letter for letter, _ in expected]
    assert [weight for _, weight in found] == [pytest.approx(weight) for _, weight in expected]


@given(st.text(alphabet="()[]:|\\#<>aB 1.,\nANDBREAK", max_size=60))
def test_neighbouring_texts_never_have_equal_weights(text):
    found = pieces(text)
    assert all(
        not (isinstance(left, Text) and isinstance(right, Text) and left.weight == right.weight)
        for left, right in pairwise(found)
    )
