"""The language of `merge`: each expression with the vectors that it stands for, worked out by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.embeddings.expression import Text, Word, parse
from pseudoword.embeddings.merging import merge
from pseudoword.errors import BadInput, BadOption, WrongFamily

WORDS = {
    "a": [[1.0, 2.0]],
    "b": [[10.0, 20.0], [30.0, 40.0]],
    "a-b": [[7.0, 7.0]],
    "Old Car": [[5.0, 5.0]],
    "v1.2_x": [[8.0, 8.0]],
    "2": [[99.0, 99.0]],
    "x/c.pt": [[4.0, 4.0]],
    "my file.pt": [[6.0, 6.0]],
    "<s1>": [[11.0, 11.0]],
}
TEXTS = {"one": [[0.5, 0.25]], "two words": [[1.0, 0.0], [0.0, 1.0]], 'a "b"': [[3.0, 3.0]]}
IN_FOLDER = [name for name in WORDS if not name.endswith(".pt")]


def lookup(leaf):
    known = TEXTS if isinstance(leaf, Text) else WORDS
    key = leaf.text if isinstance(leaf, Text) else leaf.name
    if isinstance(leaf, Word) and key == "wide":
        return {"clip_h": torch.ones(1, 1024)}
    if key not in known:
        raise BadOption(f"no {key!r}")
    return {"clip_l": torch.tensor(known[key])}


def result(text, names=IN_FOLDER):
    return merge(parse(text, names), lookup)["clip_l"].tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [[1, 2]]),
        ('"one"', [[0.5, 0.25]]),
        ("'two words'", [[1, 0], [0, 1]]),
        ("'a \"b\"'", [[3, 3]]),
        # the issue's own example: a + b*0.5 - c, three vectors against one
        ('"two words" + b*0.5 - a', [[1 + 5 - 1, 0 + 10 - 2], [0 + 15, 1 + 20]]),
        ("a*0.5", [[0.5, 1]]),
        ("0.5*a", [[0.5, 1]]),
        ("a/4", [[0.25, 0.5]]),
        ("a*3/2", [[1.5, 3]]),
        ("a*-1", [[-1, -2]]),
        ("-a", [[-1, -2]]),
        ("- -a", [[1, 2]]),
        ("+a", [[1, 2]]),
        ("b - a", [[9, 18], [30, 40]]),
        ("a - b", [[-9, -18], [-30, -40]]),
        ("a+a+a*2", [[4, 8]]),
        ("b - a - a", [[8, 16], [30, 40]]),
        ("b - (a - a)", [[10, 20], [30, 40]]),
        ("(a + b)*0.1", [[pytest.approx(1.1), pytest.approx(2.2)], [3, 4]]),
        ("(1+2)*a", [[3, 6]]),
        ("a, b", [[1, 2], [10, 20], [30, 40]]),
        ("b,a", [[10, 20], [30, 40], [1, 2]]),
        ("a + a, b*2", [[2, 4], [20, 40], [60, 80]]),
        ("(a, a) + b", [[11, 22], [31, 42]]),
        ("a,a,a", [[1, 2]] * 3),
        ("b:1", [[10, 20]]),
        ("a:3", [[1, 2], [0, 0], [0, 0]]),
        ("b:+1", [[30, 40], [10, 20]]),
        ("b:-1 :1", [[30, 40]]),
        ("b*2:1", [[20, 40]]),
        ("a + b:1*2", [[21, 42]]),
        ("a-b", [[7, 7]]),
        ("a- b", [[-9, -18], [-30, -40]]),
        ("a-b - a", [[6, 5]]),
        ("A-B", [[7, 7]]),
        ("old car*2", [[10, 10]]),
        ("<Old Car> + a", [[6, 7]]),
        ("v1.2_x-a", [[7, 6]]),
        ("<2>", [[99, 99]]),
        ("2*a", [[2, 4]]),
        ("x/c.pt*2", [[8, 8]]),
        ("x/c.pt-a", [[3, 2]]),
        ("<my file.pt> - a", [[5, 4]]),
        ("<s1>*2 - a", [[21, 20]]),
        ("<a>", [[1, 2]]),
        ("a*.5", [[0.5, 1]]),
        ("a*1e2", [[100, 200]]),
        ("  a\n+\ta ", [[2, 4]]),
    ],
)
def test_expressions(text, expected):
    assert result(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "ends here"),
        ("a +", 4, "ends here"),
        ("a + * b", 5, "'*'"),
        ("a b", 3, "'b'"),
        ("(a + b", 1, "never closed"),
        ("a + b)", 6, "')'"),
        ("a + 'open", 5, "never closed"),
        ("a + <open", 5, "never closed"),
        ("a + nothing", 5, "no 'nothing'"),
        ("a + 'nothing'", 5, "no 'nothing'"),
        ("a*b", 2, "product of vectors"),
        ("2/a", 2, "division by vectors"),
        ("a/0", 2, "division by zero"),
        ("a + 2", 3, "one side is a number"),
        ("a, 2", 2, "one side is a number"),
        ("1 + 2", 3, "is a number"),
        ("1, 2", 2, "one side is a number"),
        ("a:x", 3, "'x' after ':'"),
        ("a:0", 2, "0 vectors"),
        ("a:0.5", 3, "after ':'"),
        ("3:2", 2, "behind a number"),
        ("a + b =* 2", 7, "brackets around"),
        ("<'a' + 'b'>", 1, "Leave out the < >"),
        ("a & b", 3, "'&'"),
        ("a + ()", 6, "')'"),
    ],
)
def test_errors_name_the_column(text, column, words):
    with pytest.raises(BadInput) as caught:
        result(text)
    assert f"column {column}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_mixture_of_families_is_refused_at_its_sign():
    with pytest.raises(WrongFamily, match=r"column 7: vectors made for .*SD2.x \(1024\)"):
        result("a + a + wide")


def test_a_long_sum_is_no_deep_one_and_deep_brackets_are_refused():
    assert result("+".join(["a"] * 1500)) == [[1500, 3000]]
    with pytest.raises(BadOption, match="brackets in each other"):
        result("(" * 60 + "a" + ")" * 60)
    with pytest.raises(BadOption, match="at most 4000"):
        result("a" * 4001)


def test_every_leaf_is_looked_up_once_in_the_order_of_the_text():
    seen = []
    merge(parse("a + 'one', (b - a)", IN_FOLDER), lambda leaf: seen.append(leaf) or lookup(leaf))
    assert [leaf.column for leaf in seen] == [1, 5, 13, 17]


@given(st.text(alphabet="ab2.-+*/,:()<>'\" x=é\n", max_size=40))
def test_any_text_is_vectors_or_one_clear_error(text):
    try:
        result(text)
    except BadInput as problem:
        assert str(problem).endswith(".")
