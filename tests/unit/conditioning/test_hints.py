"""Names that are loaded, nearly loaded, or found inside longer ones."""

import pytest

from pseudoword.conditioning.hints import Lexicon, glued_names

WORDS = Lexicon.of({"foo": 2, "Foo": 9, "foo-1000": 1, "my style": 1, "x.pt": 1})


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("foo", "foo"),
        ("FOO ", "foo"),
        ("sub/foo", "foo"),
        ("sub\\foo.safetensors", "foo"),
        ("foo.pt", "foo"),
        ("x.pt", "x.pt"),
        ("My Style", "my style"),
        ("bar", None),
        ("", None),
    ],
)
def test_an_explicit_spelling_may_have_folder_suffix_and_any_case(written, found):
    assert WORDS.find(written) == found


def test_a_name_that_is_not_loaded_is_told_with_the_nearest():
    assert WORDS.missing("foo-100") == "'foo-100' is not loaded and left out; did you mean 'foo-1000'?"
    assert WORDS.missing("zzz") == "'zzz' is not loaded and left out"


def test_a_weight_inside_the_spelling_is_told_where_it_goes():
    assert "(<embedding:foo>:1.2)" in WORDS.missing("foo:1.2")


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a foo-100 here", "foo-100"),
        ("foo7", "foo7"),
        ("x, (FOO_v2)", "FOO_v2"),
        ("my-foo.", "my-foo"),
    ],
)
def test_a_name_inside_a_longer_one_is_told(text, whole):
    (hint,) = glued_names(text, ["foo"], WORDS)
    assert hint.startswith(f"{whole!r} is not loaded, so its part 'foo' is used and the rest is text")


def test_the_hint_names_the_word_that_may_be_meant():
    assert glued_names("foo-100", ["foo"], WORDS)[0].endswith("; did you mean 'foo-1000'?")


@pytest.mark.parametrize("text", ["a foo, b", "foo.", "foo's hat", "foo-1000", "foobar foo", "foo: x", "(foo)", "foo!"])
def test_nothing_is_told_where_the_name_stands_alone(text):
    assert glued_names(text, ["foo"], WORDS) == []


def test_no_name_of_any_length_is_slow():
    assert WORDS.missing("z" * 100_000).endswith("left out")
