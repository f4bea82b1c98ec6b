"""Several words in one run: each is reached, each is written, and no stop changes a bit.

Where a figure is expected it is Adam's: with bias correction its first step moves every coordinate that has a gradient
by the learning rate, whatever the gradient's size (Kingma & Ba 2015, arXiv 1412.6980, §2.1).
"""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from pseudoword.embeddings import read_embedding
from pseudoword.errors import BadOption, BadPictures, NameTaken
from pseudoword.events import Evaluated, RunStarted, Saved, StepDone
from pseudoword.services.train import resume_run, train_word
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions
from pseudoword.training.state import TrainState

RATE = 1e-2


@pytest.fixture
def settings(tmp_path):
    return Settings(embeddings_dir=tmp_path / "e", runs_dir=tmp_path / "r", cache_dir=tmp_path / "cache")


def folder_of(path, *names):
    path.mkdir()
    for name in names:
        Image.effect_noise((64, 64), 50).convert("RGB").save(path / f"{name}.png")
    return path


@pytest.fixture
def options(tmp_path, tiny_folder):
    mine = folder_of(tmp_path / "mine", "1-cat", "2-dog")
    other = folder_of(tmp_path / "other", "1-tree")

    def make(kind="sd1", **changes):
        values = {
            "name": "zorp",
            "pictures": str(mine),
            "other_words": (f"blorp={other};init=star moon;vectors=3;template=subject;noun=beast",),
            "model": str(tiny_folder(kind)),
            "init": "cat",
            "vectors": 2,
            "steps": 4,
            "batch_size": 3,
            "learning_rate": str(RATE),
            "evaluate_every": 2,
            "preview_every": 0,
            "save_every": 2,
            "keep": "last",
            "device": "cpu",
            "precision": "fp32",
        }
        return TrainOptions(**(values | changes))

    return make


def moved(settings, name, slot="clip_l"):
    """How far each coordinate of a word is from where it began."""
    state = TrainState.load(settings.runs_dir / "zorp" / "state.safetensors")
    key = slot if name == "zorp" else f"{name}/{slot}"
    return (read_embedding(settings.embeddings_dir / f"{name}.safetensors").vectors[slot] - state.initial[key]).abs()


def is_one_step(change):
    return torch.allclose(change, torch.full_like(change, RATE), rtol=2e-2)


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_the_gradient_reaches_every_word_of_a_step(settings, options, kind):
    list(train_word(options(kind, steps=1), settings))  # three pictures a step: all of both folders
    for name in ("zorp", "blorp"):
        for slot in ("clip_l",) if kind == "sd1" else ("clip_l", "clip_g"):
            assert is_one_step(moved(settings, name, slot)), (name, slot)


def test_a_word_that_no_caption_of_a_step_calls_stays_where_it_is(settings, options):
    list(train_word(options(steps=1, batch_size=1), settings))
    [one] = [name for name in ("zorp", "blorp") if moved(settings, name).any()]
    assert is_one_step(moved(settings, one))


def test_a_caption_teaches_all_words_that_it_names(settings, options, tmp_path):
    both = folder_of(tmp_path / "both", "1")
    (both / "1.txt").write_text("[name] and blorp on a table")
    list(train_word(options(pictures=str(both), other_words=("blorp;init=star",), steps=1, batch_size=1), settings))
    assert is_one_step(moved(settings, "zorp"))
    assert is_one_step(moved(settings, "blorp"))


def test_every_word_gets_its_files_its_start_and_its_previews(settings, options):
    events = list(train_word(options(preview_every=4, preview_count=1, preview_steps=1), settings))
    run = settings.runs_dir / "zorp"
    assert {e.path.name for e in events if isinstance(e, Saved)} >= {"zorp.safetensors", "blorp.safetensors"}
    for name in ("zorp", "blorp"):
        assert {f"{name}-{step}.safetensors" for step in (2, 4)} <= {p.name for p in (run / "embeddings").iterdir()}
    blorp = read_embedding(settings.embeddings_dir / "blorp.safetensors")
    assert (blorp.name, blorp.num_vectors, blorp.provenance.initial_text) == ("blorp", 3, "star moon")
    [started] = [e for e in events if isinstance(e, RunStarted)]
    assert started.num_vectors == 2 + 3
    with Image.open(run / "previews" / "zorp-4.png") as grid:
        assert grid.height == 2 * grid.width  # one seed, a row for each word
    near = [e for e in events if isinstance(e, Evaluated)][-1].nearest
    assert {slot for slot, _ in near} == {"clip_l", "blorp/clip_l"}
    report = (run / "report.html").read_text()
    assert "blorp: 3 × clip_l" in report
    assert "embeddings/blorp-4.safetensors" in report


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_and_continued_run_of_two_words_gives_the_same_bits(settings, options, tmp_path, stop):
    asked = options("sdxl", clip_grad_mode="norm", ema=0.9, batch_size=1)
    list(train_word(asked, settings))
    other = replace(settings, embeddings_dir=tmp_path / "e2", runs_dir=tmp_path / "r2")
    events = train_word(asked, other)
    next(event for event in events if isinstance(event, StepDone) and event.step == stop)
    events.close()
    list(resume_run("zorp", other))
    for name in ("zorp", "blorp"):
        whole, continued = (read_embedding(s.embeddings_dir / f"{name}.safetensors") for s in (settings, other))
        assert whole.same_vectors(continued)
    one, two = (TrainState.load(s.runs_dir / "zorp" / "state.safetensors") for s in (settings, other))
    assert one.rows.keys() == two.rows.keys()
    assert [judged.loss for judged in one.history] == [judged.loss for judged in two.history]


def test_a_word_that_is_nowhere_called_is_found_before_the_first_step(settings, options):
    with pytest.raises(BadOption, match="blorp"):
        list(train_word(options(other_words=("blorp",)), settings))


def test_every_words_file_must_be_free_and_its_folder_its_own(settings, options, tmp_path):
    settings.embeddings_dir.mkdir()
    (settings.embeddings_dir / "Blorp.pt").write_bytes(b"")
    with pytest.raises(NameTaken):
        list(train_word(options(), settings))
    with pytest.raises(BadPictures):
        list(train_word(options(other_words=(f"flib={tmp_path / 'mine'}",)), settings))
