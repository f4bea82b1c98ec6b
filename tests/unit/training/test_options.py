"""Training settings: limits, defaults by family, and the way into a run's record and back."""

import pytest

from pseudoword.errors import BadFile, BadOption
from pseudoword.families import FAMILIES
from pseudoword.training.options import TrainOptions


def options(**changes):
    return TrainOptions(**({"name": "zorp", "pictures": "p"} | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vectors": 0}, "--vectors 0; expected 1 to 75"),
        ({"vectors": 76}, "--vectors 76; expected 1 to 75"),
        ({"name": "a/b"}, "name 'a/b'"),
        ({"name": ""}, "name ''"),
        ({"learning_rate": "fast"}, "learning rate 'fast'"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"precision": "fp8"}, "--precision 'fp8'"),
        ({"device": "abacus"}, "--device 'abacus'"),
        ({"steps": -1}, "--steps -1"),
        ({"seed": -1}, "--seed -1"),
        ({"optimizer": "sgd"}, "--optimizer 'sgd'; expected adamw | prodigy | adafactor"),
        ({"clip_grad_mode": "hard"}, "--clip-grad-mode 'hard'"),
        ({"clip_grad_value": "much"}, "'much'"),
        ({"parameterisation": "norm", "optimizer": "prodigy"}, "--parameterisation norm with --optimizer prodigy"),
        ({"parameterisation": "norm", "init_from": "zeros"}, "a direction"),
        ({"editability": 1.0}, "--parameterisation norm beside it"),
        ({"ema": 1.0}, "--ema 1.0"),
        ({"min_snr": -1.0}, "--min-snr"),
        ({"min_timestep": 500, "max_timestep": 500}, "--max-timestep 500"),
        ({"latent_sampling": "twice"}, "--latent-sampling"),
        ({"stop": "soon"}, "--stop 'soon'; expected steps | auto | time"),
        ({"stop": "time"}, "--max-time MINUTES"),
        ({"max_time": 5.0}, "--stop time"),
        ({"stop": "auto", "evaluate_every": 0}, "--evaluate-every 0"),
        ({"patience": 1}, "--patience 1"),
        ({"settle": 2.0}, "--settle 2.0"),
        ({"keep": "all"}, "--keep 'all'"),
        ({"state_every": 0}, "--state-every 0"),
        ({"preview_steps": 151}, "--preview-steps 151"),
        ({"preview_prompt": ("a", "b"), "preview_count": 40}, "80 previews"),
    ],
)
def test_what_is_out_of_range_is_named(changes, words):
    with pytest.raises(BadOption) as caught:
        options(**changes)
    assert words in str(caught.value)


@pytest.mark.parametrize("vectors", [1, 75])
def test_1_and_75_vectors_are_fine(vectors):
    assert options(vectors=vectors).vectors == vectors


def test_what_is_left_out_comes_from_the_family():
    resolved = options().resolved(FAMILIES["sd1"])
    assert (resolved.learning_rate, resolved.steps, resolved.vectors) == ("0.005", 1000, 4)
    assert options(steps=7).resolved(FAMILIES["sd1"]).steps == 7


def test_options_survive_the_record_of_a_run():
    given = options(vectors=3, learning_rate="1e-3:5, 1e-4", overwrite=True)
    assert TrainOptions.from_json(given.as_json()) == given


def test_all_unknown_settings_are_named_together():
    with pytest.raises(BadFile, match="colour, shape"):
        TrainOptions.from_json(options().as_json() | {"shape": 1, "colour": 2})


def test_the_rate_left_out_suits_the_way_of_learning():
    family = FAMILIES["sd1"]
    assert options().resolved(family).learning_rate == family.learning_rate
    assert options(optimizer="prodigy").resolved(family).learning_rate == "1"
    assert options(parameterisation="norm").resolved(family).learning_rate == "1e-2"
    assert options(optimizer="prodigy", learning_rate="0.5").resolved(family).learning_rate == "0.5"


def test_how_often_is_judged_comes_from_the_family_unless_said():
    assert options().resolved(FAMILIES["sd1"]).evaluate_every == 50
    assert options(evaluate_every=0).resolved(FAMILIES["sd1"]).evaluate_every == 0


def test_a_training_that_time_ends_has_no_number_of_steps_of_its_own():
    resolved = options(stop="time", max_time=3.0).resolved(FAMILIES["sd1"])
    assert resolved.steps == 1_000_000
    assert options(stop="time", max_time=3.0, steps=7).resolved(FAMILIES["sd1"]).steps == 7


def test_the_one_preview_prompt_of_older_records_becomes_a_list_of_one():
    old = options().as_json()
    assert TrainOptions.from_json(old | {"preview_prompt": "a [name]"}).preview_prompt == ("a [name]",)
    assert TrainOptions.from_json(old | {"preview_prompt": ""}).preview_prompt == ()
