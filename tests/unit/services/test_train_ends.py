"""How a training ends, what it keeps and shows: stopping rule, best rows, records, pages; tiny models."""

import csv
import io
import shutil
import tomllib
from dataclasses import replace

import pytest
import torch
from PIL import Image

from pseudoword.embeddings import read_embedding
from pseudoword.errors import BadFile, BadOption, NothingLearned, NotSaved, TrainingDiverged
from pseudoword.events import Evaluated, RunEnded, RunStarted, StepDone, Warned
from pseudoword.files import held_alone
from pseudoword.generation.infotext import read_infotext
from pseudoword.services.train import resume_run, train_word
from pseudoword.settings import Settings
from pseudoword.training.config import read_config
from pseudoword.training.options import TrainOptions
from pseudoword.training.run import RunFolder
from pseudoword.training.state import TrainState


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
    def make(**changes):
        values = {
            "name": "zorp",
            "pictures": str(pictures_dir),
            "model": str(tiny_folder("sd1")),
            "init": "cat",
            "vectors": 2,
            "steps": 6,
            "batch_size": 2,
            "learning_rate": "1e-2",
            "evaluate_every": 2,
            "preview_every": 0,
            "save_every": 0,
            "device": "cpu",
            "precision": "fp32",
        }
        return TrainOptions(**(values | changes))

    return make


@pytest.fixture
def held_back(pictures_dir, tmp_path):
    folder = tmp_path / "held"
    folder.mkdir()
    shutil.move(pictures_dir / "4-star.png", folder)
    return str(folder)


def stop_after(events, steps):
    for event in events:
        if isinstance(event, StepDone) and event.step == steps:
            break
    events.close()


def elsewhere(settings, tmp_path):
    return replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")


def rows_of(settings):
    return read_embedding(settings.embeddings_dir / "zorp.safetensors").vectors["clip_l"]


def table(settings, name):
    with (settings.runs_dir / "zorp" / name).open() as handle:
        return list(csv.DictReader(handle))


def the(events, kind):
    [event] = [e for e in events if isinstance(e, kind)]
    return event


AUTO = {"stop": "auto", "steps": 60, "evaluate_every": 2, "patience": 2, "settle": 0.3, "learning_rate": "0.1"}


def test_auto_ends_where_the_losses_have_settled_and_a_resumed_run_at_the_same_step(settings, options, tmp_path):
    whole = list(train_word(options(**AUTO), settings))
    ended = the(whole, RunEnded)
    assert ended.reason == "settled"
    assert 8 <= ended.step < 60
    other = elsewhere(settings, tmp_path)
    stop_after(train_word(options(**AUTO), other), 3)
    stop_after(resume_run("zorp", other), 7)
    again = the(list(resume_run("zorp", other)), RunEnded)
    assert (again.reason, again.step, again.best_step) == (ended.reason, ended.step, ended.best_step)
    assert torch.equal(rows_of(settings), rows_of(other))
    assert table(settings, "evaluations.csv") == table(other, "evaluations.csv")


def test_a_run_that_settled_goes_on_when_it_is_told_to_go_by_steps(settings, options):
    settled = the(list(train_word(options(**AUTO), settings)), RunEnded).step
    assert the(list(resume_run("zorp", settings)), RunEnded).step == settled
    assert the(list(resume_run("zorp", settings, stop="steps", steps=settled + 3)), RunEnded).step == settled + 3


def test_time_ends_a_run_with_a_last_judgement(settings, options):
    events = list(train_word(options(stop="time", max_time=0.02, steps=None, evaluate_every=1000), settings))
    ended = the(events, RunEnded)
    assert ended.reason == "time"
    assert [e.step for e in events if isinstance(e, Evaluated)] == [0, ended.step]
    assert TrainState.load(settings.runs_dir / "zorp" / "state.safetensors").elapsed >= 1.2


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_best_rows_are_kept_under_their_name_and_keep_says_which_become_the_word(settings, options, keep):
    """A rate that is far too high after the fourth step, so that the best is not the last."""
    events = list(train_word(options(learning_rate="1e-2:4, 5", keep=keep, save_every=2), settings))
    ended = the(events, RunEnded)
    judged = {e.step: e.loss for e in events if isinstance(e, Evaluated)}
    best = min((step for step in judged if step), key=judged.__getitem__)
    assert best < 6
    assert (ended.best_step, ended.kept_step) == (best, best if keep == "best" else 6)
    copies = settings.runs_dir / "zorp" / "embeddings"
    named = read_embedding(copies / "zorp-best.safetensors")
    assert named.provenance.step == best
    assert named.same_vectors(read_embedding(copies / f"zorp-{best}.safetensors"))
    assert torch.equal(
        rows_of(settings), read_embedding(copies / f"zorp-{ended.kept_step}.safetensors").vectors["clip_l"]
    )


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_stopped_run_leaves_what_it_would_leave_at_its_end(settings, options, keep):
    stop_after(train_word(options(keep=keep), settings), 5)
    state = TrainState.load(settings.runs_dir / "zorp" / "state.safetensors")
    assert state.best_step in (2, 4)
    step = read_embedding(settings.embeddings_dir / "zorp.safetensors").provenance.step
    assert step == (state.best_step if keep == "best" else 5)


def test_both_series_of_losses_are_told_and_the_held_back_one_decides(settings, options, held_back):
    events = list(train_word(options(held_back=held_back), settings))
    rows = table(settings, "evaluations.csv")
    for event, row in zip([e for e in events if isinstance(e, Evaluated)], rows, strict=True):
        assert event.loss == event.held_back_loss != event.training_loss
        assert (row["loss"], row["held_back_loss"]) == (f"{event.loss:.7f}", f"{event.held_back_loss:.7f}")
        assert row["training_loss"] == f"{event.training_loss:.7f}"
    assert the(events, RunEnded).best_loss == min(e.loss for e in events if isinstance(e, Evaluated) and e.step)


def test_an_initial_text_that_was_better_than_all_that_was_learned_is_told(settings, options):
    events = list(train_word(options(learning_rate="5"), settings))
    assert any("better than anything that was learned" in e.message for e in events if isinstance(e, Warned))


def test_a_run_that_moved_no_row_is_no_success(settings, options):
    with pytest.raises(NothingLearned, match="6 steps"):
        list(train_word(options(learning_rate="1e-30"), settings))
    assert not (settings.embeddings_dir / "zorp.safetensors").exists()


def test_a_diverged_run_leaves_a_report_that_says_so(settings, options, monkeypatch):
    from pseudoword.training import loop

    real = loop._gradients
    monkeypatch.setattr(loop, "_gradients", lambda task, state: float("nan") if state.step == 4 else real(task, state))
    with pytest.raises(TrainingDiverged):
        list(train_word(options(), settings))
    assert "not a finite number" in (settings.runs_dir / "zorp" / "report.html").read_text()
    assert not (settings.embeddings_dir / "zorp.safetensors").exists()


@pytest.mark.parametrize("blocked", ["run/embeddings", "embeddings"])
def test_a_file_that_cannot_be_written_ends_the_run_and_the_rest_is_made_up_for(settings, options, tmp_path, blocked):
    """A file in the place of its folder, which even root cannot write into; then it is cleared away."""
    whole = elsewhere(settings, tmp_path)
    list(train_word(options(save_every=2), whole))
    events = train_word(options(save_every=2), settings)
    for event in events:
        if isinstance(event, StepDone) and event.step == 3:
            break
    path = settings.runs_dir / "zorp" / "embeddings" if blocked == "run/embeddings" else settings.embeddings_dir
    shutil.rmtree(path, ignore_errors=True)
    path.write_bytes(b"in the way")
    with pytest.raises(NotSaved, match="continue with: pseudoword resume"):
        list(events)
    path.unlink()
    list(resume_run("zorp", settings))
    assert torch.equal(rows_of(settings), rows_of(whole))


def test_previews_that_cannot_be_written_do_not_end_a_run(settings, options):
    events = train_word(options(preview_every=3), settings)
    for event in events:
        if isinstance(event, StepDone) and event.step == 1:
            break
    (settings.runs_dir / "zorp" / "previews" / "zorp-3.png").mkdir()
    rest = list(events)
    assert the(rest, RunEnded).step == 6


def test_a_run_is_held_by_one_process_at_a_time(settings, options):
    stop_after(train_word(options(), settings), 2)
    run = settings.runs_dir / "zorp"
    with held_alone(RunFolder(run).lock, "it"), pytest.raises(BadFile, match="another process"):
        list(resume_run("zorp", settings))
    list(resume_run("zorp", settings))


def test_a_moved_project_goes_on_with_the_same_bits(settings, options, tmp_path, pictures_dir):
    whole = elsewhere(settings, tmp_path)
    list(train_word(options(), whole))
    project = tmp_path / "project"
    project.mkdir()
    shutil.copytree(pictures_dir, project / "pictures")
    own = replace(settings, embeddings_dir=project / "embeddings", runs_dir=project / "runs")
    stop_after(train_word(options(pictures=str(project / "pictures")), own), 3)
    moved = project.rename(tmp_path / "moved")
    list(resume_run(str(moved / "runs" / "zorp"), settings))
    there = replace(settings, embeddings_dir=moved / "embeddings")
    assert torch.equal(rows_of(there), rows_of(whole))
    assert not project.exists()


def test_a_moved_run_folder_alone_goes_on_too(settings, options, tmp_path):
    stop_after(train_word(options(), settings), 3)
    (settings.runs_dir / "zorp").rename(tmp_path / "away")
    list(resume_run(str(tmp_path / "away"), settings))
    assert read_embedding(settings.embeddings_dir / "zorp.safetensors").provenance.step


def test_other_previews_copies_and_judgements_change_no_bit(settings, options, tmp_path):
    whole = elsewhere(settings, tmp_path)
    list(train_word(options(keep="last"), whole))
    stop_after(train_word(options(keep="last", preview_every=2), settings), 2)
    changes = {
        "preview_every": 1, "preview_prompt": ("a [name]", "[name] style"), "preview_negative": "cat",
        "preview_steps": 2, "preview_seed": 5, "preview_count": 3, "save_every": 1, "evaluate_every": 3,
        "state_every": 1, "overwrite": True,
    }  # fmt: skip
    list(resume_run("zorp", settings, **changes))
    assert torch.equal(rows_of(settings), rows_of(whole))
    config = tomllib.loads((settings.runs_dir / "zorp" / "config.toml").read_text())
    assert (config["preview_seed"], config["preview_prompt"]) == (5, ["a [name]", "[name] style"])


def test_changes_that_would_make_another_run_of_it_are_all_shown_and_change_nothing(settings, options):
    stop_after(train_word(options(), settings), 2)
    before = (settings.runs_dir / "zorp" / "run.json").read_bytes()
    with pytest.raises(BadOption) as caught:
        list(resume_run("zorp", settings, learning_rate="1e-3", seed=4, batch_size=2, save_every=1))
    told = str(caught.value)
    assert "--learning-rate is 1e-2 in the run and 1e-3 here" in told
    assert "--seed is 0 in the run and 4 here" in told
    assert "batch-size" not in told and "save-every" not in told
    assert (settings.runs_dir / "zorp" / "run.json").read_bytes() == before


def test_a_record_of_the_first_format_is_read_and_one_of_a_later_format_refused_by_name(settings, options):
    import json

    stop_after(train_word(options(), settings), 2)
    path = settings.runs_dir / "zorp" / "run.json"
    record = json.loads(path.read_text())
    later = record | {"format": "pseudoword-run-9"}
    path.write_text(json.dumps(later))
    with pytest.raises(BadFile, match="pseudoword-run-9"):
        list(resume_run("zorp", settings))
    new = (
        "stop", "max_time", "patience", "settle", "keep", "preview_negative", "preview_steps", "preview_seed",
        "preview_count", "state_every",
    )  # fmt: skip
    old = {key: value for key, value in record["options"].items() if key not in new} | {"preview_prompt": "[name]"}
    del record["folder"]
    path.write_text(json.dumps(record | {"format": "pseudoword-run-1", "options": old}))
    started = the(list(resume_run("zorp", settings)), RunStarted)
    assert (started.step, started.keep) == (2, "last")


def test_captions_without_the_word_are_found_before_the_first_step(settings, options, pictures_dir, tmp_path):
    template = tmp_path / "t.txt"
    template.write_text("[filewords]\n")
    for path in sorted(pictures_dir.glob("*.png")):
        path.with_suffix(".txt").write_text("a [name] here")
    list(train_word(options(template=str(template), steps=1), settings))
    (pictures_dir / "2-house.txt").write_text("a house")
    with pytest.raises(BadOption, match=r"'a house' of 2-house.png does not call 'zorp'"):
        list(train_word(options(template=str(template), overwrite=True), settings))
    template.write_text("[filewords][name]\n")
    for path in pictures_dir.glob("*.txt"):
        path.write_text("cat")
    with pytest.raises(BadOption, match="does not call 'zorp'"):
        list(train_word(options(template=str(template), overwrite=True), settings))
    assert sorted(p.name for p in settings.runs_dir.iterdir()) == ["zorp"]


def test_a_word_that_stands_in_a_tag_must_not_be_dropped(settings, options, pictures_dir, tmp_path):
    template = tmp_path / "t.txt"
    template.write_text("[filewords]\n")
    for path in pictures_dir.glob("*.png"):
        path.with_suffix(".txt").write_text("[name], red")
    with pytest.raises(BadOption, match="--drop-tags"):
        list(train_word(options(template=str(template), drop_tags=0.5), settings))


def test_the_log_for_a1111s_users_has_its_columns(settings, options):
    list(train_word(options(), settings))
    path = settings.runs_dir / "zorp" / "textual_inversion_loss.csv"
    assert path.read_text().splitlines()[0] == "step,epoch,epoch_step,loss,learn_rate"
    own, theirs = table(settings, "loss.csv"), table(settings, "textual_inversion_loss.csv")
    assert [(r["step"], r["loss"]) for r in own] == [(r["step"], r["loss"]) for r in theirs]
    # five pictures, two a step: samples 0-1, 2-3 and 4 of the first epoch
    assert [(r["epoch"], r["epoch_step"]) for r in theirs] == [
        ("0", "0"), ("0", "1"), ("1", "0"), ("1", "1"), ("1", "2"), ("2", "0"),
    ]  # fmt: skip


def test_tensorboard_reads_curves_texts_and_pictures(settings, options, held_back):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stop_after(train_word(options(held_back=held_back, preview_every=3), settings), 4)
    list(resume_run("zorp", settings))
    read = EventAccumulator(str(settings.runs_dir / "zorp" / "tensorboard"))
    read.Reload()
    tags = read.Tags()
    assert {
        "loss/train", "loss/fixed_batch", "loss/fixed_batch_held_back", "learning_rate", "rows/mean_norm",
        "rows/cosine_to_initial",
    } <= set(tags["scalars"])  # fmt: skip
    assert [event.step for event in read.Scalars("loss/train")] == [1, 2, 3, 4, 5, 6]
    assert [event.step for event in read.Images("previews")] == [0, 3, 6]
    picture = Image.open(io.BytesIO(read.Images("previews")[0].encoded_image_string))
    assert picture.size == (4 * 64, 64)


def test_previews_of_several_prompts_are_laid_out_over_the_steps(settings, options):
    prompts = ("a [name]", "[name] style")
    list(train_word(options(preview_every=3, preview_prompt=prompts, preview_count=3, preview_seed=7), settings))
    run = settings.runs_dir / "zorp"
    with Image.open(run / "previews" / "zorp-3.png") as preview:
        assert preview.size == (3 * 64, 2 * 64)
        text = read_infotext(preview.info["parameters"])
        first = preview.convert("RGB").crop((0, 0, 64, 64)).tobytes()
    assert text.prompt == "a zorp"
    assert (text.values["Seed"], text.values["TI training step"]) == ("7", "3")
    with Image.open(run / "progress.png") as progress:
        assert progress.width >= 3 * 64
        found = progress.convert("RGB").tobytes()
    assert first[: 64 * 3] in found  # the first line of pixels of a cell


def test_templates_of_the_users_own_say_what_the_previews_show(settings, options, tmp_path):
    template = tmp_path / "t.txt"
    template.write_text("[filewords], [name]\nan icon of [name]\nart by [name]\n")
    list(train_word(options(template=str(template), steps=1, preview_every=1, preview_steps=1), settings))
    with Image.open(settings.runs_dir / "zorp" / "previews" / "zorp-1.png") as preview:
        assert read_infotext(preview.info["parameters"]).prompt == "an icon of zorp"


def test_the_report_is_one_file_that_asks_nothing_of_the_network(settings, options, held_back):
    list(train_word(options(held_back=held_back, preview_every=3, save_every=3), settings))
    page = (settings.runs_dir / "zorp" / "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    assert "src=" not in page.replace('src="data:image/png;base64,', "")
    for words in (
        "It ended with its last step", "Lowest loss on the fixed batch of held-back pictures", "<svg",
        "zorp-3.safetensors",
        "zorp-best.safetensors", "AUTOMATIC1111", "ComfyUI", "embedding:zorp", "InvokeAI", "&lt;zorp&gt;", "diffusers",
        "load_textual_inversion", "pseudoword generate", "learning_rate = &quot;1e-2&quot;", "each",
    ):  # fmt: skip
        assert words in page, words


def test_a_stopped_run_has_a_report_too(settings, options):
    stop_after(train_word(options(), settings), 3)
    page = (settings.runs_dir / "zorp" / "report.html").read_text()
    assert "Trained for 3 steps. It was stopped, and can be continued." in page


def test_the_settings_of_a_run_train_the_same_word_again(settings, options, tmp_path):
    list(train_word(options(preview_prompt=('with "quotes" \\ and é',), more_pictures=()), settings))
    values = read_config(settings.runs_dir / "zorp" / "config.toml")
    other = elsewhere(settings, tmp_path)
    list(train_word(TrainOptions(**values), other))
    assert torch.equal(rows_of(settings), rows_of(other))


def test_the_vocabularys_nearest_words_are_told_with_every_judgement(settings, options):
    events = list(train_word(options(), settings))
    first = next(e for e in events if isinstance(e, Evaluated))
    [(slot, vectors)] = first.nearest
    assert slot == "clip_l"
    assert [near[0][0] for near in vectors] == ["cat", "cat"]
    assert vectors[0][0][1] == pytest.approx(1.0, abs=1e-5)
    rows = table(settings, "nearest_words.csv")
    assert [(row["step"], row["vector"]) for row in rows[:3]] == [("0", "0"), ("0", "1"), ("2", "0")]
    assert rows[0]["words"].startswith("cat 1.000, ")
