"""AND, comments, networks, explicit words; printing; no input crashes; nothing takes more than linear work."""

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pseudoword.prompts import attention, edits, prompt, scanner
from pseudoword.prompts.attention import weigh
from pseudoword.prompts.edits import Clock
from pseudoword.prompts.prompt import parse
from pseudoword.prompts.syntax import Break, Text, Word
from pseudoword.prompts.write import write_pieces, write_prompt


def parts(text, **how):
    return [(shown(part.tokens), part.weight) for part in parse(text, **how).parts]


def shown(tokens):
    return "".join(f"<{token.text}>" if token.kind == "word" else token.text for token in tokens)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a AND b", [("a", 1), ("b", 1)]),
        ("a :1.5 AND b: -2 AND c:.5", [("a", 1.5), ("b", -2), ("c", 0.5)]),
        ("a AND", [("a", 1), ("", 1)]),
        ("(a AND b)", [("(a", 1), ("b)", 1)]),
        ("SAND and ANDy a_AND", [("SAND and ANDy a_AND", 1)]),
        ("a:1.2AND b", [("a:1.2AND b", 1)]),  # [R]
        ("a:1.2 AND b", [("a", 1.2), ("b", 1)]),
        ("cat:2", [("cat", 2)]),  # [R]
        ("cat:2 dog", [("cat:2 dog", 1)]),
        ("cat:2.5.1", [("cat:2.5.1", 1)]),
        ("(cat:2)", [("(cat:2)", 1)]),
        (r"cat\:2 \AND dog", [("cat:2 AND dog", 1)]),
        ("", [("", 1)]),
    ],
)
def test_and(text, expected):
    assert parts(text) == expected


def test_in_a_negative_prompt_and_is_a_word_and_a_number_at_the_end_is_text():
    assert parts("a AND cat:2", several=False) == [("a AND cat:2", 1)]


def test_a_weight_of_a_prompt_without_and_is_told_with_its_column():
    assert [note.told("cat 16:9") for note in parse("cat 16:9").notes] == [
        "column 7: :9 at the very end is the weight of the whole prompt, as after AND"
    ]
    assert parse("a:2 AND b").notes == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# all of it", ""),
        ("# first\na cat # with\n# and\nhat", "a cat \n\nhat"),
        (r"a \# b", "a # b"),
        ("a <lora:x:0.8>cat", "a cat"),
        ("<lora:x", "<lora:x"),
        ("<cat-toy> a < b", "<cat-toy> a < b"),
        ("<lo<lora:x>ra:y>", "<lora:y>"),
        ("<:x> <lora:>", "<:x> <lora:>"),
        ("a <embedding:My (cool) word.v2> b", "a <My (cool) word.v2> b"),
        ("a <embedding:<cat-toy>> b", "a <<cat-toy>> b"),
        ("a <embedding:<cat-toy> > b", "a <<cat-toy> > b"),
        ("a <embedding:cat>> b", "a <cat>> b"),
        ("embedding:foo", "<foo>"),
        ("embedding:foo, a", "<foo>, a"),
        ("a,embedding:foo\nb", "a,<foo>\nb"),
        ("(embedding:foo:1.2)", "(<foo>:1.2)"),
        ("embedding:sub/foo.pt.", "<sub/foo.pt>."),
        (r"embedding:foo\(x\) y", "<foo(x)> y"),
        ("my_embedding:foo preembedding:x", "my_embedding:foo preembedding:x"),
        ("[embedding:5]", "[embedding:5]"),
        ("embedding: foo", "embedding: foo"),
    ],
)
def test_comments_networks_and_explicit_words(text, expected):
    assert parts(text, several=False) == [(expected, 1)]


def test_a_network_that_is_left_out_is_told_with_its_column():
    assert [note.told("a\nb <lora:x:1>") for note in parse("a\nb <lora:x:1>").notes] == [
        "line 2, column 3: '<lora:x:1>' is left out: only embeddings are used here"
    ]


ALPHABET = [
    *"()[]:|\\#<>a1.,\n ", "AND", " AND ", "BREAK", "embedding:", "<embedding:x>", "<embedding:", "<lora:y:1>",
    ":1.5)", ":0.5]", "é", ":2", "\U0001f600",
]  # fmt: skip
PROMPTS = st.lists(st.sampled_from(ALPHABET), max_size=40).map("".join)


@example("<embedding:a:b.pt.pt> embedding:\\>x\\!", True)
@example("embed<lora:x>ding:foo", True)
@example("a:2:1", True)
@example("<embedding:<a>> <embedding:<a><lora:x:1>>", True)
@given(PROMPTS, st.booleans())
def test_a_prompt_that_is_printed_reads_as_the_same_prompt(text, several):
    read = parse(text, several=several)
    printed = write_prompt(read, several=several)
    again = parse(printed, several=several)
    assert bare(again) == bare(read)
    assert write_prompt(again, several=several) == printed


def bare(read):
    return [([(token.kind, token.text) for token in part.tokens], part.weight) for part in read.parts]


WEIGHTS = st.floats(-100, 100).filter(lambda w: w not in (1, 0)) | st.just(1.0)
TEXTS = st.text(alphabet="ab ()[]:|\\#<>,.1BREAK AND", min_size=1, max_size=12).map(str.strip).filter(bool)

NAMES = st.sampled_from(["foo", "a b", "x:y", "(z)", "<cat-toy>", "<a"])


@given(
    st.lists(
        st.builds(Text, TEXTS, WEIGHTS) | st.builds(Word, NAMES, WEIGHTS) | st.just(Break()),
        max_size=8,
    )
)
def test_pieces_that_are_printed_read_as_the_same_pieces(pieces):
    pieces = [
        piece
        for i, piece in enumerate(pieces)
        if not (i and isinstance(piece, Text) and isinstance(pieces[i - 1], Text))
    ]
    (part,) = parse(write_pieces(pieces), several=False).parts
    assert list(weigh(part.tokens)[0]) == pieces


@given(st.text(max_size=200) | PROMPTS, st.integers(1, 40), st.integers(1, 40))
def test_no_input_crashes(text, num_calls, hires_calls):
    for several in (True, False):
        read = parse(text, several=several)
        assert all(note.told(text) for note in read.notes)
        for part in read.parts:
            for clock in (Clock(num_calls), Clock(hires_calls, num_calls)):
                stretches = part.over(clock)
                assert [s.end for s in stretches] == sorted({s.end for s in stretches})
                assert stretches[-1].end == clock.num_calls
                for stretch in stretches:
                    weigh(stretch.tokens)


@given(st.text(alphabet="ab[]:|5.\\() ", max_size=40))
def test_every_place_of_a_token_is_where_it_stands_in_the_prompt(text):
    tokens, _ = scanner.scan(text)
    for token in tokens:
        at = token.offset + (token.kind == "quoted" and text[token.offset] == "\\")
        assert text[at : at + len(token.text)] == token.text


def lines_run(function):
    """How many lines of the prompt room a call runs: a count, so that the machine's speed does not matter."""
    rooms = {module.__file__ for module in (attention, edits, prompt, scanner)}
    count = 0

    def local(frame, event, argument):
        nonlocal count
        count += event == "line"
        return local

    def tracer(frame, event, argument):
        return local if frame.f_code.co_filename in rooms else None

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def read_whole(text):
    for part in parse(text).parts:
        for stretch in part.over(Clock(2)):
            weigh(stretch.tokens)


SHAPES = {
    "open": lambda n: "(" * n,
    "nested": lambda n: "(" * n + "a" + ")" * n,
    "weighted": lambda n: "(" * n + "a" + ":1.1)" * n,
    "interleaved": lambda n: "([" * n + ")]" * n,
    "rounds over squares": lambda n: "(" * n + "[" * n + ")" * n + "]" * n,
    "edits": lambda n: "[a:" * n + "b" + ":c:1]" * n,
    "unfinished edits": lambda n: "[a:b:" * n,
    "alternations": lambda n: "[a|" * n + "b" + "]" * n,
    "loose bar at the end": lambda n: "[a:b:1]" * n + "|",
    "angles": lambda n: "<a:" * n,
    "comfy": lambda n: "embedding:" * n,
    "fragments": lambda n: "embedding<l:x>" * n + ":y",
    "ands": lambda n: "a:2 AND " * n,
    "breaks": lambda n: "BREAK  " * n,
    "spaces": lambda n: "a:2" + " " * n + "x",
    "comments": lambda n: "#a\n" * n,
    "backslashes": lambda n: "\\(" * n,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_in_step_with_the_length(shape):
    small, large = (lines_run(lambda n=n: read_whole(SHAPES[shape](n))) for n in (600, 1200))
    assert large <= 2.2 * small


@pytest.mark.parametrize("shape", SHAPES)
def test_a_hundred_kilobytes_and_a_depth_of_a_hundred_thousand_are_read(shape):
    unit = len(SHAPES[shape](10)) / 10
    read_whole(SHAPES[shape](int(100_000 / unit)))


def test_a_depth_of_a_hundred_thousand():
    read_whole("(" * 100_000 + "a" + ")" * 100_000)
    read_whole("[" * 100_000 + "a|b" + "]" * 100_000)
