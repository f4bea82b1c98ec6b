"""The stopping rule, on series whose gains are plain to see."""

import pytest

from pseudoword.training.stopping import SETTLED, STEPS, TIME, has_settled, why_over

FLAT = [1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def stop_of(losses, patience, settle):
    """How many of these losses it takes, None if they never settle."""
    return next((n for n in range(len(losses) + 1) if has_settled(losses[:n], patience, settle)), None)


def test_a_loss_that_falls_once_and_stays_settles_as_soon_as_there_is_enough_to_tell():
    assert stop_of(FLAT, patience=3, settle=0.05) == 7
    assert stop_of(FLAT, patience=2, settle=0.05) == 5


def test_a_loss_that_falls_along_a_line_goes_on_far_longer_than_by_variances():
    """0.05 of the gain in the last 4 of n steps is reached at step 80; DVAR's 0.15 of the variance at about n = 10."""
    line = [1 - i / 1000 for i in range(200)]
    assert stop_of(line, patience=4, settle=0.0501) == 81


def test_halving_gains_settle_when_the_rest_is_the_share_that_was_asked_for():
    """Losses 2^-i: of all that was gained until n, the last 3 brought (8 - 1) / (2^n - 1)."""
    halves = [2.0**-i for i in range(20)]
    assert stop_of(halves, patience=3, settle=0.05) - 1 == next(n for n in range(6, 20) if 7 / (2**n - 1) <= 0.05)


def test_swings_do_not_count_as_gain():
    assert has_settled([1.0, 0.4, 0.6, 0.5, 0.7, 0.45, 0.41], 3, 0.05)


def test_a_new_low_among_the_last_ones_goes_on():
    assert not has_settled([1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.4], 3, 0.05)


def test_losses_that_only_rise_settle_too():
    assert has_settled([0.5, 0.6, 0.7, 0.8, 0.9], 2, 0.05)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"step": 10}, STEPS),
        ({"stop": "auto"}, None),
        ({"stop": "auto", "settled": True}, SETTLED),
        ({"settled": True}, None),
        ({"stop": "time", "max_minutes": 2.0, "minutes": 1.9}, None),
        ({"stop": "time", "max_minutes": 2.0, "minutes": 2.0}, TIME),
        ({"stop": "time", "max_minutes": 2.0, "minutes": 1.0, "step": 10}, STEPS),
    ],
)
def test_the_first_reason_ends_it(changes, reason):
    usual = {"stop": "steps", "step": 3, "num_steps": 10, "minutes": 0.0, "max_minutes": None, "settled": False}
    assert why_over(**(usual | changes)) == reason
