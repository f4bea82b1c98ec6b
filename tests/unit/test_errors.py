import pickle

import pytest

from pseudoword import errors
from pseudoword.errors import BadFile, BadInput, PseudowordError, TrainingDiverged


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (BadInput("no such folder: cats"), "no such folder: cats."),
        (BadInput("3 vectors", expected="1 to 75"), "3 vectors; expected 1 to 75."),
        (BadInput("a name", next_move="Choose another"), "a name. Choose another."),
        (
            BadFile("x.pt: JSON.", expected="an embedding.", next_move="Use another file."),
            "x.pt: JSON; expected an embedding. Use another file.",
        ),
        (BadInput("two\nlines", expected="a\tone"), "two lines; expected a one."),
    ],
)
def test_an_error_is_one_line_of_got_expected_and_next_move(problem: BadInput, text: str) -> None:
    assert str(problem) == text


@pytest.mark.parametrize(
    "problem",
    [BadFile("got", expected="expected", next_move="next"), TrainingDiverged(7, "runs/cat")],
    ids=["BadFile", "TrainingDiverged"],
)
def test_an_error_travels_between_processes_with_all_its_fields(problem: PseudowordError) -> None:
    back = pickle.loads(pickle.dumps(problem))
    assert type(back) is type(problem)
    assert vars(back) == vars(problem)
    assert str(back) == str(problem)


def test_diverged_training_says_where_and_what_is_kept() -> None:
    problem = TrainingDiverged(7, "runs/cat")
    assert (problem.step, problem.kept) == (7, "runs/cat")
    assert str(problem).startswith("step 7: the loss is not a finite number")
    assert "runs/cat" in str(problem)


def test_the_docstring_draws_every_error_of_the_tree() -> None:
    found = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, PseudowordError) for kind in found)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in found)


def test_what_the_user_must_change_is_bad_input_and_the_rest_is_not() -> None:
    found = {kind for kind in vars(errors).values() if isinstance(kind, type)}
    failures = {TrainingDiverged, errors.NothingLearned, errors.NotSaved}
    assert {kind for kind in found if not issubclass(kind, BadInput)} == {PseudowordError, *failures}
    assert issubclass(errors.UnsafePickle, BadFile)
