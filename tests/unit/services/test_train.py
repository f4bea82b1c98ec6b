"""Training from end to end on tiny models: what is written, what is refused, and that no stop changes a bit."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from pseudoword.embeddings import read_embedding
from pseudoword.errors import BadModel, BadOption, BadPictures, NameTaken, TrainingDiverged, WrongFamily
from pseudoword.events import Evaluated, Previewed, RunEnded, RunStarted, Saved, StepDone, Warned
from pseudoword.services.train import resume_run, train_word
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions
from pseudoword.training.state import FORMAT, TrainState


@pytest.fixture
def settings(tmp_path):
    return Settings(
        embeddings_dir=tmp_path / "embeddings",
        runs_dir=tmp_path / "runs",
        outputs_dir=tmp_path / "outputs",
        cache_dir=tmp_path / "cache",
    )


@pytest.fixture
def options(pictures_dir, tiny_folder):
    def make(kind="sd1", **changes):
        values = {
            "name": "zorp",
            "pictures": str(pictures_dir),
            "model": str(tiny_folder(kind)),
            "init": "cat",
            "vectors": 2,
            "steps": 6,
            "batch_size": 2,
            "learning_rate": "1e-2:3, 1e-3",
            "evaluate_every": 2,
            "preview_every": 3,
            "save_every": 3,
            "keep": "last",
            "device": "cpu",
            "precision": "fp32",
        }
        return TrainOptions(**(values | changes))

    return make


def stop_after(events, steps):
    """Take events until so many steps are done, then close, as Ctrl-C does."""
    for event in events:
        if isinstance(event, StepDone) and event.step == steps:
            break
    events.close()


def rows_of(settings, name="zorp"):
    return read_embedding(settings.embeddings_dir / f"{name}.safetensors").vectors


def losses_of(settings, name="zorp"):
    with (settings.runs_dir / name / "loss.csv").open() as handle:
        return [(row["step"], row["loss"], row["norm"]) for row in csv.DictReader(handle)]


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_a_word_is_learned_and_everything_is_written(settings, options, kind):
    events = list(train_word(options(kind), settings))
    [started] = [e for e in events if isinstance(e, RunStarted)]
    [ended] = [e for e in events if isinstance(e, RunEnded)]
    assert (started.step, started.num_steps, started.num_pictures, started.num_vectors) == (0, 6, 5, 2)
    assert (ended.step, ended.run) == (6, settings.runs_dir / "zorp")
    assert [e.step for e in events if isinstance(e, StepDone)] == [1, 2, 3, 4, 5, 6]
    assert [e.step for e in events if isinstance(e, Evaluated)] == [0, 2, 4, 6]
    assert [e.step for e in events if isinstance(e, Previewed)] == [0, 3, 6]
    written = {str(p.relative_to(settings.runs_dir / "zorp")) for p in (settings.runs_dir / "zorp").rglob("*")}
    assert {
        "run.json",
        "state.safetensors",
        "loss.csv",
        "evaluations.csv",
        "tensorboard",
        "embeddings/zorp-3.safetensors",
        "embeddings/zorp-6.safetensors",
        "previews/zorp-0.png",
        "previews/zorp-3.png",
        "previews/zorp-6.png",
    } <= written
    embedding = read_embedding(settings.embeddings_dir / "zorp.safetensors")
    widths = {"sd1": {"clip_l": 32}, "sd2": {"clip_h": 48}, "sdxl": {"clip_l": 32, "clip_g": 40}}[kind]
    assert embedding.widths == widths
    about = embedding.provenance
    assert (about.step, about.initial_text, about.num_pictures) == (6, "cat", 5)
    assert about.base_model == f"tiny-{kind}"
    assert about.base_model_hash == json.loads((settings.runs_dir / "zorp" / "run.json").read_text())["model"]["hash"]
    assert about.created is not None
    assert about.product is not None


def test_training_lowers_the_loss_on_the_fixed_batch(settings, options):
    events = list(train_word(options(steps=40, learning_rate="3e-2", preview_every=0, evaluate_every=40), settings))
    before, after = (e.loss for e in events if isinstance(e, Evaluated))
    assert after < before


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
@pytest.mark.parametrize("stop", [1, 3, 5])
def test_an_interrupted_and_resumed_run_gives_the_same_bits(settings, options, tmp_path, kind, stop):
    list(train_word(options(kind), settings))
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    stop_after(train_word(options(kind), other), stop)
    assert TrainState.load(other.runs_dir / "zorp" / "state.safetensors").step == stop
    list(resume_run("zorp", other))
    for slot, rows in rows_of(settings).items():
        assert torch.equal(rows, rows_of(other)[slot])
    assert losses_of(settings) == losses_of(other)
    for name in ("evaluations.csv", "previews/zorp-0.png", "previews/zorp-3.png", "previews/zorp-6.png"):
        whole, resumed = (s.runs_dir / "zorp" / name for s in (settings, other))
        assert whole.read_bytes() == resumed.read_bytes()


def test_a_killed_run_continues_from_its_last_state_with_the_same_bits(settings, options, tmp_path):
    """A kill leaves an older state beside longer logs, and a half-written last line."""
    list(train_word(options(), settings))
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    run = other.runs_dir / "zorp"
    stop_after(train_word(options(), other), 2)
    old = (run / "state.safetensors").read_bytes()
    stop_after(resume_run("zorp", other), 5)
    (run / "state.safetensors").write_bytes(old)
    with (run / "loss.csv").open("a") as handle:
        handle.write("6,2,0.12")
    list(resume_run(str(run), other))
    assert torch.equal(rows_of(settings)["clip_l"], rows_of(other)["clip_l"])
    assert losses_of(settings) == losses_of(other)


def test_an_interrupted_run_leaves_the_word_as_learned_so_far(settings, options):
    stop_after(train_word(options(), settings), 4)
    assert read_embedding(settings.embeddings_dir / "zorp.safetensors").provenance.step == 4


def test_a_finished_run_can_be_trained_further_as_if_it_had_been_asked_for(settings, options, tmp_path):
    whole = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    list(train_word(options(steps=9), whole))
    list(train_word(options(), settings))
    events = list(resume_run("zorp", settings, steps=9))
    assert [e.step for e in events if isinstance(e, StepDone)] == [7, 8, 9]
    assert torch.equal(rows_of(settings)["clip_l"], rows_of(whole)["clip_l"])
    with pytest.raises(BadOption, match="already done"):
        list(resume_run("zorp", settings, steps=5))


def test_resuming_a_finished_run_takes_no_step_and_says_so(settings, options):
    list(train_word(options(), settings))
    events = list(resume_run("zorp", settings))
    assert not [e for e in events if isinstance(e, StepDone)]
    assert isinstance(events[-1], RunEnded)
    assert events[-1].step == 6


def test_accumulation_teaches_what_a_batch_of_that_size_teaches(settings, options, tmp_path):
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    list(train_word(options(batch_size=4), settings))
    list(train_word(options(batch_size=1, accumulate=4), other))
    torch.testing.assert_close(rows_of(settings)["clip_l"], rows_of(other)["clip_l"], rtol=1e-4, atol=1e-5)
    one, four = ([float(loss) for _, loss, _ in losses_of(s)] for s in (settings, other))
    assert one == pytest.approx(four, rel=1e-4)


def test_another_seed_learns_otherwise(settings, options, tmp_path):
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    list(train_word(options(), settings))
    list(train_word(options(seed=1), other))
    assert not torch.equal(rows_of(settings)["clip_l"], rows_of(other)["clip_l"])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_rows_that_are_float32(settings, options, precision):
    list(train_word(options(precision=precision, preview_every=0), settings))
    state = TrainState.load(settings.runs_dir / "zorp" / "state.safetensors")
    assert state.step == 6
    assert state.rows["clip_l"].dtype == state.memory.tensors["clip_l.exp_avg"].dtype == torch.float32
    assert (state.loss_scale > 1) == (precision == "fp16")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_state_before(settings, options, monkeypatch):
    from pseudoword.training import loop

    real = loop._gradients
    monkeypatch.setattr(loop, "_gradients", lambda t, s: float("nan") if s.step == 4 else real(t, s))
    with pytest.raises(TrainingDiverged, match="step 5"):
        list(train_word(options(), settings))
    state = TrainState.load(settings.runs_dir / "zorp" / "state.safetensors")
    assert state.step == 4
    assert all(rows.isfinite().all() for rows in state.rows.values())


def test_a_step_that_is_torn_apart_does_not_reach_the_disk(settings, options, tmp_path, monkeypatch):
    from pseudoword.training import loop

    def torn(task, state):
        if state.step == 4:
            raise KeyboardInterrupt

    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    list(train_word(options(), other))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(loop, "_grow_scale", torn)  # called when the rows are changed and the step is not counted
        list(train_word(options(), settings))
    assert TrainState.load(settings.runs_dir / "zorp" / "state.safetensors").step < 5
    list(resume_run("zorp", settings))
    assert torch.equal(rows_of(settings)["clip_l"], rows_of(other)["clip_l"])


def test_in_fp16_an_overflow_repeats_the_step_at_a_lower_scale(settings, options, monkeypatch):
    from pseudoword.training import loop

    real, calls = loop._gradients, []

    def overflow_once(task, state):
        loss = real(task, state)
        calls.append(state.loss_scale)
        if len(calls) == 1:
            state.rows["clip_l"].grad.fill_(float("inf"))
        return loss

    monkeypatch.setattr(loop, "_gradients", overflow_once)
    list(train_word(options(precision="fp16", steps=2, preview_every=0, evaluate_every=0), settings))
    assert calls == [1024.0, 256.0, 256.0]


def test_unreadable_pictures_are_named_and_the_rest_is_learned(settings, options, pictures_dir):
    (pictures_dir / "broken.png").write_bytes(b"x")
    events = list(train_word(options(steps=1, preview_every=0, evaluate_every=0), settings))
    assert [e.message for e in events if isinstance(e, Warned)] == ["broken.png is skipped: no picture"]


def test_held_back_pictures_are_judged_by_and_not_trained_on(settings, options, pictures_dir, tmp_path):
    held = tmp_path / "held"
    held.mkdir()
    shutil.move(pictures_dir / "4-star.png", held)
    events = list(train_word(options(held_back=str(held), preview_every=0), settings))
    [started] = [e for e in events if isinstance(e, RunStarted)]
    assert started.num_pictures == 4
    record = json.loads((settings.runs_dir / "zorp" / "run.json").read_text())
    assert [name for name, _ in record["held_back"]] == ["4-star.png"]


def test_a_schedule_that_ends_early_ends_the_training(settings, options):
    events = list(train_word(options(learning_rate="1e-2:2, 1e-3:4", preview_every=0), settings))
    assert [e.step for e in events if isinstance(e, StepDone)][-1] == 4
    assert [e.learning_rate for e in events if isinstance(e, StepDone)] == [1e-2, 1e-2, 1e-3, 1e-3]


def test_an_existing_name_is_kept_unless_overwriting_is_asked_for(settings, options):
    settings.embeddings_dir.mkdir()
    taken = settings.embeddings_dir / "zorp.safetensors"
    taken.write_bytes(b"mine")
    with pytest.raises(NameTaken, match="--overwrite"):
        list(train_word(options(), settings))
    assert taken.read_bytes() == b"mine"
    assert not settings.runs_dir.exists()
    list(train_word(options(overwrite=True, steps=1, preview_every=0), settings))
    assert read_embedding(taken).provenance.step == 1


@pytest.mark.parametrize("other", ["zorp.pt", "ZORP.safetensors", "sub/zorp.bin"])
def test_a_file_that_would_hide_the_new_word_is_named_even_when_overwriting(settings, options, other):
    path = settings.embeddings_dir / other
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    for overwrite in (False, True):
        with pytest.raises(NameTaken):
            list(train_word(options(overwrite=overwrite), settings))
    assert path.read_bytes() == b"mine"


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_session_that_fails_leaves_the_embedding_that_was_there(settings, options, monkeypatch, error):
    from pseudoword.training import loop

    list(train_word(options(), settings))
    before = (settings.embeddings_dir / "zorp.safetensors").read_bytes()

    def fail(task, state):
        raise error

    monkeypatch.setattr(loop, "_grow_scale", fail)
    with pytest.raises(error):
        list(train_word(options(overwrite=True), settings))
    assert (settings.embeddings_dir / "zorp.safetensors").read_bytes() == before


def test_a_run_goes_on_with_the_captions_and_templates_that_it_began_with(settings, options, pictures_dir, tmp_path):
    template = tmp_path / "t.txt"
    template.write_text("a [name], [filewords]\n")
    stop_after(train_word(options(template=str(template)), settings), 2)
    template.write_text("another [name]\n")
    (pictures_dir / "0-cat.txt").write_text("other words")
    with pytest.raises(BadPictures, match=r"0-cat.png"):
        list(resume_run("zorp", settings))
    (pictures_dir / "0-cat.txt").unlink()
    list(resume_run("zorp", settings))
    record = json.loads((settings.runs_dir / "zorp" / "run.json").read_text())
    assert record["templates"] == ["a [name], [filewords]"]


def test_a_resume_that_is_refused_changes_nothing(settings, options, pictures_dir):
    stop_after(train_word(options(), settings), 2)
    before = (settings.runs_dir / "zorp" / "run.json").read_bytes()
    (pictures_dir / "0-cat.png").unlink()
    with pytest.raises(BadPictures):
        list(resume_run("zorp", settings, steps=50))
    assert (settings.runs_dir / "zorp" / "run.json").read_bytes() == before


def test_a_resumed_run_writes_where_it_began_to_write(settings, options, tmp_path):
    stop_after(train_word(options(), settings), 2)
    elsewhere = replace(settings, embeddings_dir=tmp_path / "elsewhere")
    list(resume_run("zorp", elsewhere))
    assert read_embedding(settings.embeddings_dir / "zorp.safetensors").provenance.step == 6
    assert not elsewhere.embeddings_dir.exists()


@pytest.mark.parametrize(("name", "words"), [("zorp-", "0 times"), ("art", "2 times")])
def test_a_name_that_the_captions_cannot_call_exactly_once_is_refused(settings, options, tmp_path, name, words):
    template = tmp_path / "t.txt"
    template.write_text("[name], art of it\n")
    with pytest.raises(BadOption, match=words):
        list(train_word(options(name=name, template=str(template)), settings))
    assert not settings.runs_dir.exists()


@pytest.mark.parametrize("damage", ["threads", "pictures", "rows", "counters", "log"])
def test_a_damaged_run_ends_in_one_clear_error_or_is_mended(settings, options, damage):
    from safetensors.torch import load_file, save_file

    from pseudoword.errors import BadFile

    stop_after(train_word(options(), settings), 2)
    run = settings.runs_dir / "zorp"
    record = json.loads((run / "run.json").read_text())
    tensors = load_file(run / "state.safetensors")
    if damage == "log":
        (run / "loss.csv").write_bytes((run / "loss.csv").read_bytes() + b"\xff\x00junk\n,,\n")
        list(resume_run("zorp", settings))
        assert [step for step, _, _ in losses_of(settings)] == [str(n) for n in range(1, 7)]
        return
    if damage == "threads":
        record["num_threads"] = "many"
    elif damage == "pictures":
        record["pictures"] = [[1]]
    elif damage == "rows":
        tensors.pop("initial.clip_l")
        save_file(tensors, run / "state.safetensors", {"format": FORMAT, "counters": "{}", "optimizer": "{}"})
    else:
        save_file(tensors, run / "state.safetensors", {"format": FORMAT})
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(BadFile):
        list(resume_run("zorp", settings))


def test_a_second_run_of_a_name_has_a_folder_of_its_own(settings, options):
    for _ in range(2):
        list(train_word(options(steps=1, preview_every=0, overwrite=True), settings))
    assert sorted(p.name for p in settings.runs_dir.iterdir()) == ["zorp", "zorp-2"]


def test_bad_input_leaves_nothing_behind(settings, options, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    for changes, error in (
        ({"pictures": str(tmp_path / "missing")}, BadPictures),
        ({"pictures": str(empty)}, BadPictures),
        ({"held_back": str(tmp_path / "missing")}, BadPictures),
        ({"model": str(empty)}, BadModel),
    ):
        with pytest.raises(error):
            list(train_word(options(**changes), settings))
    assert not settings.runs_dir.exists()
    assert not settings.embeddings_dir.exists()


def test_a_run_whose_pictures_changed_is_not_continued(settings, options, pictures_dir):
    stop_after(train_word(options(), settings), 2)
    (pictures_dir / "0-cat.png").unlink()
    shutil.copyfile(pictures_dir / "1-dog.png", pictures_dir / "2-house.png")
    with pytest.raises(BadPictures, match=r"0-cat.png, 2-house.png"):
        list(resume_run("zorp", settings))


def test_a_run_on_a_model_that_changed_is_not_continued(settings, options, tiny_folder, tmp_path):
    copy = shutil.copytree(tiny_folder("sd1"), tmp_path / "model")
    stop_after(train_word(options(model=str(copy)), settings), 2)
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-2] ^= 1
    weights.write_bytes(content)
    with pytest.raises(BadModel, match="on which this run began"):
        list(resume_run("zorp", settings))


def test_initial_text_is_spread_over_the_vectors(load):
    from pseudoword.training.initial import initial_rows

    model = load("sd1")
    encoder = model.encoders[0]
    table = encoder.module.get_input_embeddings().weight
    first, second = encoder.tokenizer("cat dog", add_special_tokens=False).input_ids
    rows = initial_rows(model, "cat dog", 5)["clip_l"]
    assert torch.equal(rows, table[[first, first, first, second, second]])
    with pytest.raises(BadOption, match="at least one word"):
        initial_rows(model, "", 1)


def test_previews_are_drawn_with_the_rows_of_their_step(settings, options):
    list(train_word(options(learning_rate="0.5"), settings))
    from PIL import Image

    first, last = (np.asarray(Image.open(settings.runs_dir / "zorp" / "previews" / f"zorp-{n}.png")) for n in (0, 6))
    assert first.shape == (64, 4 * 64, 3)
    assert not np.array_equal(first, last)


def test_saved_events_name_files_that_are_there(settings, options):
    assert all(e.path.is_file() for e in train_word(options(), settings) if isinstance(e, Saved))


WAYS = [
    {"optimizer": "prodigy", "learning_rate": None},
    {"optimizer": "adafactor", "clip_grad_mode": "norm", "clip_grad_value": "0.01:2, 0.1"},
    {"parameterisation": "norm", "editability": 1.0, "learning_rate": None},
    {"ema": 0.5, "min_snr": 5.0, "offset_noise": 0.05, "min_timestep": 100, "max_timestep": 900},
    {"init_from": "random", "latent_sampling": "once"},
    {"crop": "bucket", "flip": True, "cache_latents": "disk", "noun": "cat", "shuffle_tags": True, "drop_tags": 0.3},
    {"init_from": "zeros", "latent_sampling": "deterministic", "clip_grad_mode": "value"},
]


@pytest.mark.parametrize("changes", WAYS)
def test_every_way_of_learning_goes_on_with_the_same_bits(settings, options, tmp_path, changes):
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    changes = {"preview_every": 0, **changes}
    list(train_word(options(**changes), settings))
    stop_after(train_word(options(**changes), other), 3)
    list(resume_run("zorp", other))
    assert torch.equal(rows_of(settings)["clip_l"], rows_of(other)["clip_l"])
    assert losses_of(settings) == losses_of(other)


def test_turning_vectors_keep_the_length_that_the_initial_text_has(settings, options, load):
    list(train_word(options("sdxl", parameterisation="norm", learning_rate=None, init="red cat"), settings))
    for encoder in load("sdxl").encoders:
        ids = encoder.tokenizer("red cat", add_special_tokens=False).input_ids
        wanted = encoder.module.get_input_embeddings().weight[ids].norm(dim=1).mean()
        found = rows_of(settings)[encoder.slot].norm(dim=1)
        torch.testing.assert_close(found, wanted.expand(2))


def test_a_word_goes_on_from_an_embedding_with_its_number_of_vectors(settings, options, tmp_path):
    list(train_word(options(vectors=3), settings))
    first = settings.embeddings_dir / "zorp.safetensors"
    changes = {"name": "zarp", "init_from": str(first), "vectors": None, "steps": 1, "learning_rate": "1e-9"}
    list(train_word(options(**changes), settings))
    torch.testing.assert_close(rows_of(settings, "zarp")["clip_l"], rows_of(settings)["clip_l"])
    with pytest.raises(BadOption, match="3 vectors"):
        list(train_word(options(**(changes | {"vectors": 2, "overwrite": True})), settings))


def test_an_embedding_of_another_family_is_no_start(settings, options):
    list(train_word(options("sd2"), settings))
    path = str(settings.embeddings_dir / "zorp.safetensors")
    with pytest.raises(WrongFamily, match="made for"):
        list(train_word(options(name="zarp", init_from=path, vectors=None), settings))


def test_timesteps_beyond_the_models_own_are_refused(settings, options):
    with pytest.raises(BadOption, match="below 1000"):
        list(train_word(options(max_timestep=1001), settings))


def test_several_folders_with_masks_are_learned_from_and_a_change_in_any_is_noticed(settings, options, tmp_path):
    from PIL import Image

    more = tmp_path / "more"
    more.mkdir()
    Image.effect_noise((80, 48), 90).convert("RGB").save(more / "0-cat.png")
    Image.new("L", (80, 48), 200).save(more / "0-cat-masklabel.png")
    changes = {"more_pictures": (f"{more}:2:0.5",), "masks": "files", "crop": "bucket", "preview_every": 0}
    stop_after(train_word(options(**changes), settings), 3)
    Image.new("L", (80, 48), 10).save(more / "0-cat-masklabel.png")
    with pytest.raises(BadPictures, match=r"1/0-cat\.png"):
        list(resume_run("zorp", settings))


def test_weights_of_places_change_what_is_learned(settings, options, pictures_dir, tmp_path):
    from PIL import Image

    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    list(train_word(options(preview_every=0), settings))
    for picture in sorted(pictures_dir.glob("*.png")):
        mask = Image.new("L", (64, 64), 0)
        mask.paste(255, (0, 0, 20, 64))
        mask.save(picture.with_name(f"{picture.stem}-masklabel.png"))
    list(train_word(options(preview_every=0, masks="files"), other))
    assert not torch.equal(rows_of(settings)["clip_l"], rows_of(other)["clip_l"])
