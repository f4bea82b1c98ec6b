"""Which rows a sampler's calls get."""

import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.conditioning.guidance import Course, PromptOptions
from pseudoword.errors import BadOption


def test_a_text_lasts_up_to_and_with_the_call_of_its_end():
    course = Course(((5, 0), (10, 1)))
    assert [course.at(call) for call in range(12)] == [0] * 6 + [1] * 6


def test_row_0_is_the_negative_prompt_and_row_1_the_prompt(load):
    conditioner = Conditioner(load("sd1"))
    guidance = conditioner.guide("a cat", "dog", {}, num_calls=4, num_steps=4)
    rows, weights = guidance.at(0)
    assert weights == (1.0,)
    assert torch.equal(rows.hidden, conditioner.encode(["dog", "a cat"], {}).hidden)


@pytest.mark.parametrize(
    "bad", [{"emphasis": "Loud"}, {"clip_skip": 0}, {"clip_skip": 13}, {"comma_backtrack": -1}, {"comma_backtrack": 75}]
)
def test_options_out_of_range_are_refused(bad):
    with pytest.raises(BadOption, match="expected"):
        PromptOptions(**bad)
