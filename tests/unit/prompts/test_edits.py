"""Prompt editing and alternation: the numbers of a1111.md §2.2, and lark as a second opinion on short prompts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError

from pseudoword.prompts.attention import weigh
from pseudoword.prompts.edits import Clock, find_groups
from pseudoword.prompts.prompt import parse
from pseudoword.prompts.scanner import scan


def schedule(text, num_calls=10, base_calls=None):
    """(last call, text) as the reference lists them; the text without weights, an explicit word as @."""
    (part,) = parse(text, several=False).parts
    return [
        (stretch.end, "".join(getattr(piece, "text", "@") for piece in weigh(stretch.tokens)[0]))
        for stretch in part.over(Clock(num_calls, base_calls))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", [(10, "a cat")]),
        ("[a:b:3]", [(3, "a"), (10, "b")]),
        ("[a:3]", [(3, ""), (10, "a")]),
        ("[a::3]", [(3, "a"), (10, "")]),
        ("[:b:3]", [(3, ""), (10, "b")]),
        ("[a:b: 3 ]", [(3, "a"), (10, "b")]),
        ("[a:b:0.25]", [(2, "a"), (10, "b")]),  # truncated
        ("[a:b:.5]", [(5, "a"), (10, "b")]),
        ("[a:b:1.0]", [(10, "a")]),  # [R] with a dot: a fraction, so all steps
        ("[a:b:5.0]", [(10, "a")]),  # [R] clips to the end
        ("[a:b:1]", [(1, "a"), (10, "b")]),
        ("[a:b:0]", [(10, "b")]),  # [R]
        ("[a:b:-1]", [(10, "b")]),  # [R]
        ("[a:b:0.05]", [(10, "b")]),
        ("[a:b:99]", [(10, "a")]),
        ("[a:b:1e400]", [(10, "a")]),
        ("x [a:b:3] y [c:d:6] z", [(3, "x a y c z"), (6, "x b y c z"), (10, "x b y d z")]),
        ("[a:[b:c:6]:3]", [(3, "a"), (6, "b"), (10, "c")]),
        ("[[a:b:3]:c:6]", [(3, "a"), (6, "b"), (10, "c")]),
        ("[(a:1.5):b:3]", [(3, "a"), (10, "b")]),
        ("(a:[1.5:2:3])", [(3, "a"), (10, "a")]),
        (r"[a\:b:c:3]", [(3, "a:b"), (10, "c")]),
        ("[<embedding:x:y>:5]", [(5, ""), (10, "@")]),
        # not an edit: everything stays
        ("[a:b]", [(10, "a:b")]),
        ("[a:b:c:3]", [(10, "a:b:c:3")]),
        ("[a:b:3", [(10, "a:b:3")]),
        ("[(a:b:c):d:3]", [(10, "a:b:c:d:3")]),
        ("[a (b:c:3] d)", [(10, "a b:c:3 d")]),
        # the inner one is, the outer one is not
        ("[a:b:[c:d:3]]", [(3, "a:b:c"), (10, "a:b:d")]),
        ("[[a:b:3]", [(3, "a"), (10, "b")]),
    ],
)
def test_editing(text, expected):
    assert schedule(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a|b]", ["a", "b", "a", "b"]),
        ("[a|b|c]", ["a", "b", "c", "a"]),
        ("[a|] x", ["a x", " x", "a x", " x"]),
        ("[|a]", ["", "a", "", "a"]),
        ("[a|[b|c]]", ["a", "c", "a", "c"]),  # the inner one counts steps too
        ("[a|b]:[x:y:2]", ["a:x", "b:x", "a:y", "b:y"]),
        ("[[a|b]:c:2]", ["a", "b", "c", "c"]),
        ("[(a:1.2)|b]", ["a", "b", "a", "b"]),
        (r"[a\|b|c]", ["a|b", "c", "a|b", "c"]),
    ],
)
def test_alternation_changes_every_step(text, expected):
    assert schedule(text, 4) == list(enumerate(expected, 1))


@pytest.mark.parametrize("text", ["[a|b:0.5]", "[a|b] c|d", "(a|b) [c:d:3]", "[c:d:3] [a|b", "[(a:b:c)|d]"])
def test_a_bar_out_of_place_makes_the_whole_sub_prompt_plain(text):
    (part,) = parse(text, several=False).parts  # [R] for the first
    assert not part.groups
    (note,) = parse(text, several=False).notes
    assert text[note.offset] == "|"


def test_a_bar_without_square_brackets_is_no_matter():
    assert parse("a | b").notes == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a:b:1.5]", [(10, "a"), (20, "b")]),  # [R] base 10, hires 20: at hires step 10
        ("[a:b:0.5]", [(20, "b")]),
        ("[a:b:15]", [(5, "a"), (20, "b")]),
        ("[a:b:5]", [(20, "b")]),
        ("[a:b:2.0]", [(20, "a")]),
    ],
)
def test_numbers_beyond_the_base_pass_address_the_hires_pass(text, expected):
    assert schedule(text, 20, base_calls=10) == expected


GRAMMAR = r"""
    whole: (prompt_item | STRAY)*
    group: edit | alternation
    edit: "[" prompt ":" SPACED_NUMBER "]" | "[" prompt ":" prompt ":" SPACED_NUMBER "]"
    alternation: "[" prompt ("|" prompt)+ "]"
    round: "(" prompt ")" | "(" prompt ":" prompt ")"
    square: "[" prompt "]"
    prompt: prompt_item*
    prompt_item: round | square | edit | alternation | PLAIN
    PLAIN: /[^()\[\]:|\\]/ | /\\./
    SPACED_NUMBER: / *[+-]?(\d+\.?\d*|\.\d+) */
    STRAY: /[()\[\]:]/
"""
WHOLE = Lark(GRAMMAR, start="whole", parser="earley", lexer="dynamic")
GROUP = Lark(GRAMMAR, start="group", parser="earley", lexer="dynamic")


def accepts(parser, text):
    try:
        return parser.parse(text)
    except LarkError:
        return None


def groups_by_grammar(text):
    """Spans that the grammar takes for an edit or an alternation; none where it does not take the whole text."""
    if accepts(WHOLE, text) is None:
        return {}
    found = {}
    for start, sign in enumerate(text):
        for end, closing in enumerate(text):
            if sign == "[" and closing == "]" and start < end and (start == 0 or text[start - 1] != "\\"):
                tree = accepts(GROUP, text[start : end + 1])
                if tree is not None:
                    found[start] = (end, tree.children[0].data)
    return found


@settings(max_examples=150)
@given(st.lists(st.sampled_from([*"[[[]]]()::||a5 ", ".5", "\\:", "\\|", ":5]"]), max_size=11))
def test_a_grammar_finds_the_same_groups(parts):
    text = "".join(parts)
    tokens, _ = scan(text)
    groups, _ = find_groups(tokens)
    found = {
        tokens[opening].offset: (tokens[group.close].offset, "alternation" if group.when is None else "edit")
        for opening, group in groups.items()
    }
    assert found == groups_by_grammar(text)
