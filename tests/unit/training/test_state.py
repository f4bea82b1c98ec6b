"""The state on disk is the state; the optimiser is AdamW without weight decay."""

import pytest
import torch

from pseudoword.errors import BadFile
from pseudoword.training.state import RowOptimizer, TrainState

ROWS = {"clip_l": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "clip_g": torch.tensor([[0.5], [0.25]])}
CPU = torch.device("cpu")


def steps(state, count, rate=0.1):
    optimizer = RowOptimizer(state, CPU)
    for _ in range(count):
        sum((rows**2).sum() for rows in state.rows.values()).backward()
        optimizer.step(rate)
        state.step += 1


def test_saving_and_loading_gives_the_same_state(tmp_path):
    state = TrainState.start(ROWS, 1024.0)
    steps(state, 3)
    state.note_evaluation(0.5)
    state.save(tmp_path / "s.safetensors")
    loaded = TrainState.load(tmp_path / "s.safetensors")
    for group in ("rows", "first_moment", "second_moment"):
        for slot, values in getattr(state, group).items():
            assert torch.equal(values, getattr(loaded, group)[slot])
    assert (loaded.step, loaded.best_loss, loaded.evaluated_step, loaded.loss_scale) == (3, 0.5, 3, 1024.0)


def test_stopping_between_steps_changes_no_bit(tmp_path):
    whole, half = TrainState.start(ROWS), TrainState.start(ROWS)
    steps(whole, 7)
    steps(half, 4)
    half.save(tmp_path / "s.safetensors")
    half = TrainState.load(tmp_path / "s.safetensors")
    steps(half, 3)
    assert all(torch.equal(whole.rows[slot], half.rows[slot]) for slot in ROWS)


def test_it_is_torchs_adamw_without_weight_decay():
    state = TrainState.start(ROWS)
    steps(state, 5)
    rows = [values.clone().requires_grad_() for values in ROWS.values()]
    oracle = torch.optim.AdamW(rows, lr=0.1, weight_decay=0)
    for _ in range(5):
        oracle.zero_grad()
        sum((r**2).sum() for r in rows).backward()
        oracle.step()
    for own, expected in zip(state.rows.values(), rows, strict=True):
        torch.testing.assert_close(own, expected)


def test_rows_without_gradient_stay_where_they_are():
    state = TrainState.start(ROWS)
    optimizer = RowOptimizer(state, CPU)
    (state.rows["clip_l"].sum() * 0).backward()
    assert not optimizer.gradients_are_finite()  # clip_g has none at all
    state.rows["clip_g"].grad = torch.zeros(2, 1)
    optimizer.step(0.1)
    assert torch.equal(state.rows["clip_l"].detach(), ROWS["clip_l"])


def test_the_initial_rows_are_not_touched():
    state = TrainState.start(ROWS)
    steps(state, 1)
    assert ROWS["clip_l"].tolist() == [[1, 2], [3, 4]]


def test_the_best_loss_is_remembered_with_its_step():
    state = TrainState.start(ROWS)
    told = []
    for step, loss in enumerate((0.9, 0.7, 0.8)):
        state.step = step
        told.append(state.note_evaluation(loss))
    assert told == [True, True, False]
    assert (state.best_loss, state.best_step, state.last_loss) == (0.7, 1, 0.8)


@pytest.mark.parametrize("content", [b"", b"rubbish" * 10, None])
def test_what_is_no_state_is_refused(tmp_path, content):
    path = tmp_path / "s.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadFile):
        TrainState.load(path)


def test_another_safetensors_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"emb_params": torch.ones(1, 2)}, tmp_path / "s.safetensors")
    with pytest.raises(BadFile, match="no training state"):
        TrainState.load(tmp_path / "s.safetensors")
