"""The step on the sphere, against rotations worked out by hand."""

import math

import pytest
import torch

from pseudoword.training.optimizers import SphereDescent


def turn(rows, gradient, **settings):
    rows = torch.tensor(rows, requires_grad=True)
    optimizer = SphereDescent([rows], **settings)
    rows.grad = torch.tensor(gradient)
    optimizer.step()
    return rows.detach()


def test_a_row_turns_against_the_tangent_of_its_gradient_and_keeps_its_length():
    # at (2, 0) the gradient (5, 3) has the tangent (0, 3): one step of 0.1 turns by atan(0.1) to below
    moved = turn([[2.0, 0.0]], [[5.0, 3.0]], lr=0.1)
    angle = math.atan(0.1)
    torch.testing.assert_close(moved, torch.tensor([[2 * math.cos(angle), -2 * math.sin(angle)]]))


def test_the_size_of_the_gradient_does_not_matter():
    torch.testing.assert_close(turn([[1.0, 1.0]], [[0.0, 1e-6]]), turn([[1.0, 1.0]], [[0.0, 1e3]]))


def test_a_gradient_along_the_row_moves_nothing():
    torch.testing.assert_close(turn([[0.0, 3.0]], [[0.0, 1.0]]), torch.tensor([[0.0, 3.0]]))


def test_the_pull_turns_a_row_back_to_where_it_began():
    rows = torch.tensor([[1.0, 0.0]], requires_grad=True)
    optimizer = SphereDescent([rows], lr=0.1, prior_pull=1e-4)
    with torch.no_grad():
        rows.copy_(torch.tensor([[0.0, 1.0]]))
    rows.grad = torch.zeros(1, 2)
    optimizer.step()
    assert rows[0, 0] > 0
    assert float(rows.detach().norm()) == pytest.approx(1)


@pytest.mark.parametrize("pull", [0.0, 1e-3])
def test_lengths_stay_over_many_steps_and_the_loss_falls(pull):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 16, generator=generator)
    lengths = rows.norm(dim=1)
    goal = torch.randn(3, 16, generator=generator)
    rows = rows.requires_grad_()
    optimizer = SphereDescent([rows], lr=0.02, prior_pull=pull)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = (rows - goal).square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        optimizer.step()
    torch.testing.assert_close(rows.detach().norm(dim=1), lengths)
    assert losses[-1] < 0.6 * losses[0]
