"""The state on disk is the state, for every optimiser; a state of the first format goes on."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pseudoword.errors import BadFile
from pseudoword.training.options import TrainOptions
from pseudoword.training.state import Judged, RowOptimizer, TrainState

ROWS = {"clip_l": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "clip_g": torch.tensor([[0.5], [0.25]])}
CPU = torch.device("cpu")


def options(**changes):
    return TrainOptions(name="zorp", pictures="p", **changes)


KINDS = [
    {},
    {"optimizer": "prodigy"},
    {"optimizer": "adafactor"},
    {"parameterisation": "norm", "editability": 3.0},
    {"ema": 0.9},
]


def steps(state, count, rate=0.1, **changes):
    optimizer = RowOptimizer(state, CPU, options(**changes))
    for _ in range(count):
        sum(((rows - 0.3) ** 2).sum() for rows in state.rows.values()).backward()
        optimizer.step(rate)
        state.step += 1
    optimizer.remember()


def test_saving_and_loading_gives_the_same_state(tmp_path):
    state = TrainState.start(ROWS, 1024.0)
    steps(state, 3)
    state.note_evaluation(0.5)
    state.save(tmp_path / "s.safetensors")
    loaded = TrainState.load(tmp_path / "s.safetensors")
    for group in ("rows", "initial"):
        for slot, values in getattr(state, group).items():
            assert torch.equal(values, getattr(loaded, group)[slot])
    assert loaded.memory.tensors.keys() == state.memory.tensors.keys()
    assert all(torch.equal(values, loaded.memory.tensors[key]) for key, values in state.memory.tensors.items())
    assert loaded.memory.numbers == state.memory.numbers
    assert (loaded.step, loaded.best_loss, loaded.evaluated_step, loaded.loss_scale) == (3, 0.5, 3, 1024.0)


@pytest.mark.parametrize("changes", KINDS)
def test_stopping_between_steps_changes_no_bit(tmp_path, changes):
    averaged = "ema" in changes
    whole, half = TrainState.start(ROWS, averaged=averaged), TrainState.start(ROWS, averaged=averaged)
    steps(whole, 7, **changes)
    steps(half, 4, **changes)
    half.save(tmp_path / "s.safetensors")
    half = TrainState.load(tmp_path / "s.safetensors")
    steps(half, 3, **changes)
    assert all(torch.equal(whole.rows[slot], half.rows[slot]) for slot in ROWS)
    assert all(torch.equal(whole.result[slot], half.result[slot]) for slot in ROWS)
    assert not torch.equal(whole.rows["clip_l"], ROWS["clip_l"])


def from_the_library(name, rows):
    import prodigyopt

    if name == "adamw":
        return torch.optim.AdamW(rows, lr=0.1, weight_decay=0)
    if name == "adafactor":
        return torch.optim.Adafactor(rows, lr=0.1, weight_decay=0)
    return prodigyopt.Prodigy(rows, lr=0.1, use_bias_correction=True, safeguard_warmup=True)


@pytest.mark.parametrize("name", ["adamw", "adafactor", "prodigy"])
def test_the_optimisers_are_the_libraries_own_without_weight_decay(name):
    state = TrainState.start(ROWS)
    steps(state, 5, optimizer=name)
    rows = [values.clone().requires_grad_() for values in ROWS.values()]
    oracle = from_the_library(name, rows)
    for _ in range(5):
        oracle.zero_grad()
        sum(((r - 0.3) ** 2).sum() for r in rows).backward()
        oracle.step()
    for own, expected in zip(state.rows.values(), rows, strict=True):
        torch.testing.assert_close(own, expected)


def test_the_average_follows_the_rows_by_one_minus_its_decay():
    state = TrainState.start({"clip_l": torch.tensor([[1.0]])}, averaged=True)
    expected = 1.0
    optimizer = RowOptimizer(state, CPU, options(ema=0.9))
    for _ in range(3):
        state.rows["clip_l"].sum().backward()
        optimizer.step(0.1)
        expected = 0.9 * expected + 0.1 * state.rows["clip_l"].item()
    assert float(state.result["clip_l"]) == pytest.approx(expected)


def test_gradients_are_bounded_by_value_or_by_their_common_length():
    state = TrainState.start({"clip_l": torch.tensor([[1.0, 1.0]]), "clip_g": torch.tensor([[1.0]])})
    optimizer = RowOptimizer(state, CPU, options())
    for mode, expected in (("value", [0.5, 0.5, 0.5]), ("norm", [1 / 6, 1 / 3, 1 / 3]), ("none", [1, 2, 2])):
        state.rows["clip_l"].grad = torch.tensor([[1.0, 2.0]])
        state.rows["clip_g"].grad = torch.tensor([[2.0]])
        optimizer.clip(mode, 0.5)
        found = torch.cat([state.rows[slot].grad.flatten() for slot in ("clip_l", "clip_g")])
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=1e-5)


def test_a_state_of_the_first_format_goes_on_with_its_moments(tmp_path):
    whole = TrainState.start(ROWS)
    steps(whole, 4)
    old, memory = {}, whole.memory.tensors
    for slot, rows in whole.rows.items():
        old[f"rows.{slot}"] = rows.detach().clone()
        old[f"first_moment.{slot}"] = memory[f"{slot}.exp_avg"].clone()
        old[f"second_moment.{slot}"] = memory[f"{slot}.exp_avg_sq"].clone()
    counters = '{"step": 4, "best_loss": null, "best_step": null, "last_loss": null, "evaluated_step": -1}'
    save_file(old, tmp_path / "old.safetensors", {"format": "pseudoword-state-1", "counters": counters})
    loaded = TrainState.load(tmp_path / "old.safetensors")
    assert loaded.step == 4
    steps(whole, 3)
    steps(loaded, 3)
    assert all(torch.equal(whole.rows[slot], loaded.rows[slot]) for slot in ROWS)


def test_a_state_of_a_later_format_is_refused_by_name(tmp_path):
    save_file(ROWS, tmp_path / "new.safetensors", {"format": "pseudoword-state-9", "counters": "{}"})
    with pytest.raises(BadFile, match="pseudoword-state-9"):
        TrainState.load(tmp_path / "new.safetensors")


def test_rows_without_gradient_stay_where_they_are():
    state = TrainState.start(ROWS)
    optimizer = RowOptimizer(state, CPU, options())
    (state.rows["clip_l"].sum() * 0).backward()
    assert not optimizer.gradients_are_finite()  # clip_g has none at all
    state.rows["clip_g"].grad = torch.zeros(2, 1)
    optimizer.step(0.1)
    assert torch.equal(state.rows["clip_l"].detach(), ROWS["clip_l"])


@pytest.mark.parametrize(
    ("reached", "well"),
    [
        ({"clip_l", "clip_g"}, True),
        ({"b/clip_l", "b/clip_g"}, True),
        ({"clip_l", "clip_g", "b/clip_l", "b/clip_g"}, True),
        ({"clip_l", "clip_g", "b/clip_l"}, False),
        (set(), False),
    ],
)
def test_a_word_is_reached_in_all_its_text_encoders_or_in_none(reached, well):
    state = TrainState.start({key: torch.ones(1, 2) for key in ("clip_l", "clip_g", "b/clip_l", "b/clip_g")})
    optimizer = RowOptimizer(state, CPU, options())
    for key in reached:
        state.rows[key].grad = torch.ones(1, 2)
    assert optimizer.gradients_are_finite() is well
    for key in reached:
        state.rows[key].grad = torch.tensor([[1.0, float("nan")]])
    assert not optimizer.gradients_are_finite()


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
    assert told == [False, True, False]  # what there is before any training is not the best of it
    assert (state.best_loss, state.best_step, state.last_loss) == (0.7, 1, 0.8)


def test_held_back_pictures_decide_where_there_are_any():
    state = TrainState.start(ROWS)
    told = []
    for step, losses in enumerate(((0.9, 0.5), (0.8, 0.4), (0.1, 0.45)), 1):
        state.step = step
        told.append(state.note_evaluation(*losses))
    assert told == [True, True, False]
    assert (state.best_loss, state.best_step, state.last_loss) == (0.4, 2, 0.45)


def test_the_best_rows_stay_as_they_were_and_travel_with_the_state(tmp_path):
    state = TrainState.start(ROWS)
    steps(state, 2)
    state.note_evaluation(0.5)
    then = {slot: rows.detach().clone() for slot, rows in state.rows.items()}
    steps(state, 2)
    state.note_evaluation(0.6)
    state.save(tmp_path / "s.safetensors")
    loaded = TrainState.load(tmp_path / "s.safetensors")
    assert loaded.history == [Judged(2, 0.5, None), Judged(4, 0.6, None)]
    for one in (state, loaded):
        rows, step = one.kept("best")
        assert step == 2
        assert all(torch.equal(rows[slot], then[slot]) for slot in ROWS)
        assert one.kept("last")[1] == 4
        assert torch.equal(one.kept("last")[0]["clip_l"].detach(), state.rows["clip_l"].detach())


def test_without_a_loss_the_last_rows_are_kept():
    state = TrainState.start(ROWS)
    steps(state, 3)
    assert state.kept("best")[1] == 3


def test_rows_that_did_not_move_have_learned_nothing():
    state = TrainState.start(ROWS)
    assert not state.has_learned()
    steps(state, 1)
    assert state.has_learned()


def test_a_state_of_the_second_format_goes_on_and_is_judged_anew(tmp_path):
    """Its losses were those of another fixed batch, and the best rows were not kept."""
    state = TrainState.start(ROWS)
    steps(state, 4)
    state.save(tmp_path / "s.safetensors")
    with safe_open(tmp_path / "s.safetensors", "pt") as opened:
        tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        metadata = opened.metadata()
    counters = json.loads(metadata["counters"])
    del counters["history"], counters["elapsed"]
    counters |= {"best_loss": 0.25, "best_step": 4, "last_loss": 0.25, "evaluated_step": 4}
    metadata |= {"format": "pseudoword-state-2", "counters": json.dumps(counters)}
    save_file(tensors, tmp_path / "old.safetensors", metadata)
    loaded = TrainState.load(tmp_path / "old.safetensors")
    assert (loaded.step, loaded.history, loaded.best, loaded.best_loss) == (4, [], {}, None)
    steps(state, 2)
    steps(loaded, 2)
    assert torch.equal(state.rows["clip_l"], loaded.rows["clip_l"])


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
