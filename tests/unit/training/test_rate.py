"""Learning-rate schedules as A1111 users write them."""

import pytest

from pseudoword.errors import BadOption
from pseudoword.training.rate import parse_rates


@pytest.mark.parametrize(
    ("text", "step", "rate"),
    [
        ("0.005", 0, 0.005),
        ("0.005", 10**6, 0.005),
        ("0.005:100, 1e-3:1000, 1e-4", 0, 0.005),
        ("0.005:100, 1e-3:1000, 1e-4", 99, 0.005),
        ("0.005:100, 1e-3:1000, 1e-4", 100, 1e-3),
        ("0.005:100, 1e-3:1000, 1e-4", 999, 1e-3),
        ("0.005:100, 1e-3:1000, 1e-4", 1000, 1e-4),
        ("0.005:-1", 7, 0.005),
        ("0.005:100,", 7, 0.005),
    ],
)
def test_a_rate_holds_until_its_number_of_steps_is_done(text, step, rate):
    assert parse_rates(text).at(step) == rate


def test_training_ends_with_the_list_or_with_the_steps_whichever_is_first():
    assert parse_rates("1e-2:100, 1e-3:300").num_steps(1000) == 300
    assert parse_rates("1e-2:100, 1e-3:300").num_steps(200) == 200
    assert parse_rates("1e-2:100, 1e-3").num_steps(1000) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "fast",
        "1e-3:x",
        "1e-3:100:5",
        "0",
        "-1e-3",
        "nan",
        "inf",
        "1e-3:0",
        "1e-3:200, 1e-4:100",
        "1e-3, 1e-4",
        "1e-3,,1e-4",
    ],
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(BadOption, match="1e-3:1000"):
        parse_rates(text)
