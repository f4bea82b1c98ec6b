"""Axes, cells and commands, by hand."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import BadOption
from pseudoword.generation.comparison import (
    AXES,
    Cell,
    CompareOptions,
    cells_of,
    command_line,
    parse_axes,
    parse_axis,
    plain_choices,
    plan,
    plan_key,
    replace_word,
    weigh_word,
)
from pseudoword.generation.options import GenerateOptions


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=1,2,3", ("1", "2", "3")),
        ("seed=1..4", ("1", "2", "3", "4")),
        ("steps=10..30+10,50", ("10", "20", "30", "50")),
        ("cfg=3..4+0.5", ("3", "3.5", "4")),
        ("weight=0.6, 1.0", ("0.6", "1")),
        ("weight=zorp:0.5..1+0.5", ("zorp:0.5", "zorp:1")),
        ("prompt=cat|dog, red|", ("cat", "dog, red", "")),
        ("sampler=Euler a, DDIM", ("Euler a", "DDIM")),
        ("MODEL=bundled,/a/b", ("bundled", "/a/b")),
        ("checkpoint=runs/x:50,100", ("runs/x:50,100",)),
    ],
)
def test_an_axis_is_read(text, values):
    assert parse_axis(text).values == values


@pytest.mark.parametrize(
    "text",
    [
        "colour=1",
        "seed",
        "seed=",
        "seed=a",
        "seed=1.5",
        "steps=1,,2",
        "seed=3..1",
        "seed=1,1",
        "seed=0..999999",
        "cfg=1..2+0",
    ],
)
def test_a_bad_axis_is_refused_with_what_would_be_good(text):
    with pytest.raises(BadOption, match=r"seed|steps|cfg"):
        parse_axis(text)


def test_an_unknown_axis_is_answered_with_all_axes_and_an_example_of_each():
    with pytest.raises(BadOption) as raised:
        parse_axis("colour=red")
    assert all(kind.example in str(raised.value) for kind in AXES.values())


@pytest.mark.parametrize("texts", [[], ["seed=1", "steps=2", "cfg=3", "prompt=a"], ["seed=1", "seed=2"]])
def test_one_to_three_axes_each_once(texts):
    with pytest.raises(BadOption):
        parse_axes(texts)


def options(*axis, **changes):
    return CompareOptions(**({"prompt": "a cat"} | changes), axis=axis)


def planned(asked):
    axes = parse_axes(asked.axis)
    return plan(asked, axes, [plain_choices(axis) for axis in axes])


def test_columns_rows_and_sheets_are_the_axes_in_their_order():
    grid = planned(options("seed=1,2,3", "steps=4,5", "cfg=6,7", negative_prompt="dog"))
    assert grid.labels == (("1", "2", "3"), ("4", "5"), ("6", "7"))
    got = [[[(c.request.seed, c.request.steps, c.request.cfg_scale) for c in row] for row in z] for z in grid.cells]
    assert got == [[[(seed, steps, cfg) for seed in (1, 2, 3)] for steps in (4, 5)] for cfg in (6, 7)]
    assert {cell.request.negative_prompt for _, cell in cells_of(grid)} == {"dog"}


def test_cells_of_one_model_are_drawn_together():
    grid = planned(options("model=a,b", "seed=1,2"))
    assert [cell.model for _, cell in cells_of(grid)] == ["a", "a", "b", "b"]
    assert [place for place, _ in cells_of(grid)] == [(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]


def test_a_value_out_of_range_and_too_many_pictures_are_told_before_anything_is_drawn():
    with pytest.raises(BadOption, match="steps 900"):
        planned(options("steps=900"))
    with pytest.raises(BadOption, match="at most"):
        planned(options("seed=1..100", "steps=1..100"))
    with pytest.raises(BadOption, match="Euler"):
        planned(options("sampler=nothing"))


@pytest.mark.parametrize("changes", [{"seed": -1}, {"batch_size": 2}, {"count": 2}])
def test_a_comparison_needs_one_seed_and_one_picture_per_cell(changes):
    with pytest.raises(BadOption):
        options("cfg=1,2", **changes)


@pytest.mark.parametrize(
    ("prompt", "replaced", "weighed"),
    [
        ("a cat, art by zorp", "a cat, art by blik", "a cat, art by (zorp:0.5)"),
        ("Zorp zorp", "blik blik", "(Zorp:0.5) (zorp:0.5)"),
        ("<embedding:zorp>!", "blik!", "(<embedding:zorp>:0.5)!"),
        ("embedding:zorp", "blik", "(embedding:zorp:0.5)"),
        ("(zorp:1.2)", "(blik:1.2)", "((zorp:0.5):1.2)"),
        ("zorp-2 zorps xzorp zorp_3", "zorp-2 zorps xzorp zorp_3", "zorp-2 zorps xzorp zorp_3"),
    ],
)
def test_learned_words_are_found_as_whole_words(prompt, replaced, weighed):
    cell = Cell(request=GenerateOptions(prompt=prompt), model="m")
    assert replace_word("zorp", "blik")(cell).request.prompt == replaced
    assert weigh_word("zorp", "0.5")(cell).request.prompt == weighed
    assert weigh_word("zorp", "1")(cell) == cell


def test_the_command_asks_for_the_same_plan(tmp_path):
    asked = options("prompt=cat|a 'dog'", "seed=1,2", prompt="it's a cat", steps=3, model="x y", cfg_scale=2.5)
    words = shlex.split(command_line(asked, embeddings_dir=tmp_path))
    assert words[:3] == ["pseudoword", "compare", "it's a cat"]
    given_flags = dict(zip(words[3::2], words[4::2], strict=True))
    assert given_flags == {
        "--steps": "3", "--cfg-scale": "2.5", "--model": "x y", "--axis": "seed=1,2",
        "--embeddings-dir": str(tmp_path),
    }  # fmt: skip
    assert [words[i + 1] for i, word in enumerate(words) if word == "--axis"] == ["prompt=cat|a 'dog'", "seed=1,2"]


def test_the_folder_of_a_plan_depends_on_the_plan_alone(tmp_path):
    assert plan_key(options("seed=1,2")) == plan_key(options("seed=1,2", out=tmp_path))
    assert plan_key(options("seed=1,2")) != plan_key(options("seed=1,3"))


@given(st.text(max_size=60))
def test_any_text_is_an_axis_or_a_clear_error(text):
    try:
        parse_axis(text)
    except BadOption:
        return
