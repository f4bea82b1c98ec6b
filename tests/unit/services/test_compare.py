"""Comparisons on tiny models: cells, resuming, notes, what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pseudoword.embeddings import Embedding, write_embedding
from pseudoword.errors import BadInput
from pseudoword.events import PictureDone, Progress, Saved, Warned
from pseudoword.generation.comparison import CompareOptions
from pseudoword.generation.metadata import read_picture
from pseudoword.generation.options import GenerateOptions
from pseudoword.services import compare as service
from pseudoword.services.compare import compare
from pseudoword.services.generate import Studio
from pseudoword.services.train import train_word
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions


@pytest.fixture
def settings(tmp_path):
    return Settings(
        embeddings_dir=tmp_path / "embeddings", outputs_dir=tmp_path / "outputs", runs_dir=tmp_path / "runs",
        cache_dir=tmp_path / "cache",
    )  # fmt: skip


@pytest.fixture
def word(settings):
    def make(name, value, width=32):
        path = settings.embeddings_dir / f"{name}.safetensors"
        write_embedding(
            Embedding(name=name, vectors={"clip_l": value * torch.linspace(-1, 1, 2 * width).reshape(2, width)}), path
        )
        return path

    return make


@pytest.fixture
def asked(tiny_folder, tmp_path):
    def make(*axis, **changes):
        values = {"prompt": "a zorp", "steps": 2, "model": str(tiny_folder("sd1")), "precision": "fp32",
                  "out": tmp_path / "out", "axis": axis}  # fmt: skip
        return CompareOptions(**(values | changes))

    return make


def cells(path):
    return {file.name: np.asarray(Image.open(file)) for file in sorted((path / "cells").glob("*.png"))}


def test_a_grid_and_a_page_are_written_and_say_the_command(asked, settings, word, tmp_path):
    word("zorp", 1.0)
    events = list(compare(asked("seed=1,2", "steps=1,2"), settings))
    assert [event.path.name for event in events if isinstance(event, Saved)] == ["grid.png", "index.html"]
    told = [(event.done, event.total) for event in events if isinstance(event, Progress)]
    assert told == sorted(told)
    assert told[-1] == (6, 6)
    assert len(cells(tmp_path / "out")) == 4
    command = "pseudoword compare 'a zorp' --steps 2 --axis seed=1,2 --axis steps=1,2"
    assert command.split(" --steps")[0] in (tmp_path / "out" / "index.html").read_text().replace("&#x27;", "'")
    said = read_picture(tmp_path / "out" / "grid.png").infotext.values
    assert (said["X Type"], said["X Values"], said["Y Type"]) == ("seed", "1, 2", "steps")
    assert said["Command"].startswith("pseudoword compare 'a zorp' --steps 2 ")


def test_a_cell_is_the_picture_that_generate_draws(asked, settings, word, tmp_path, tiny_folder):
    word("zorp", 1.0)
    list(compare(asked("seed=4"), settings))
    studio = Studio.open(settings, model=str(tiny_folder("sd1")), precision="fp32")
    [done] = [e for e in studio.draw(GenerateOptions(prompt="a zorp", steps=2, seed=4)) if isinstance(e, PictureDone)]
    [cell] = cells(tmp_path / "out").values()
    assert np.array_equal(cell, np.asarray(done.image))


def test_a_stopped_comparison_goes_on_and_a_wider_one_draws_only_what_is_new(asked, settings, monkeypatch, tmp_path):
    drawn = []
    real = Studio.draw
    monkeypatch.setattr(Studio, "draw", lambda self, options: (drawn.append(options.seed), real(self, options))[1])
    loop = compare(asked("seed=1,2,3"), settings)
    while len(drawn) < 2:
        next(loop)
    loop.close()
    assert not (tmp_path / "out" / "index.html").exists()
    list(compare(asked("seed=1,2,3"), settings))
    assert drawn == [1, 2, 2, 3]
    list(compare(asked("seed=1..4"), settings))
    assert drawn == [1, 2, 2, 3, 4]
    (tmp_path / "out" / "cells" / ".0123.4-5.tmp.png").write_bytes(b"what a kill left")
    for file in (tmp_path / "out" / "cells").glob("[!.]*.png"):
        file.write_bytes(file.read_bytes()[:40])
    list(compare(asked("seed=1"), settings))
    assert drawn == [1, 2, 2, 3, 4, 1], "half a file is drawn again"
    assert not list((tmp_path / "out").rglob("*.tmp*"))


def test_a_word_that_was_trained_anew_is_drawn_anew(asked, settings, word, tmp_path):
    word("zorp", 1.0)
    list(compare(asked("seed=1"), settings))
    word("zorp", -2.0)
    list(compare(asked("seed=1"), settings))
    one, other = cells(tmp_path / "out").values()
    assert not np.array_equal(one, other)


def test_embeddings_take_each_others_place_from_the_library_from_files_or_not_at_all(asked, settings, word, tmp_path):
    word("zorp", 1.0)
    word("blik", -1.0)
    elsewhere = word("lurk", 3.0).rename(tmp_path / "lurk.safetensors")
    list(compare(asked(f"embedding=zorp,blik,{elsewhere},none"), settings))
    texts = [read_picture(path).infotext for path in (tmp_path / "out" / "cells").glob("*.png")]
    assert sorted(text.prompt for text in texts) == ["a", "a blik", "a lurk", "a zorp"]
    assert sorted(str(text.values.get("TI hashes", "")).split(":")[0] for text in texts) == ["", "blik", "lurk", "zorp"]


def test_copies_of_a_run_are_compared_and_labelled_with_their_loss(
    asked, settings, tiny_folder, pictures_dir, tmp_path
):
    options = TrainOptions(
        name="zorp", pictures=str(pictures_dir), model=str(tiny_folder("sd1")), steps=4, save_every=2, batch_size=1,
        preview_every=0, evaluate_every=2, precision="fp32", vectors=2, learning_rate="0.5",
    )  # fmt: skip
    list(train_word(options, settings))
    list(compare(asked("checkpoint=zorp"), settings))
    assert len({cell.tobytes() for cell in cells(tmp_path / "out").values()}) == 2
    page = (tmp_path / "out" / "index.html").read_text()
    assert "step 2<small>loss " in page
    assert page.count("(lowest)</small>") == 1
    list(compare(asked("checkpoint=zorp:4", out=tmp_path / "one"), settings))
    assert len(cells(tmp_path / "one")) == 1
    with pytest.raises(BadInput, match="of 2, 4"):
        list(compare(asked("checkpoint=zorp:3"), settings))
    with pytest.raises(BadInput, match="does not name 'zorp'"):
        list(compare(asked("checkpoint=zorp", prompt="a cat"), settings))


def test_an_embedding_that_does_not_fit_one_of_the_models_is_told_on_the_page_again_and_again(
    asked, settings, word, tmp_path, tiny_folder
):
    word("zorp", 1.0)
    both = f"model={tiny_folder('sd1')},{tiny_folder('sd2')}"
    for _ in range(2):  # the second time from the cells
        notes = [event.message for event in compare(asked(both), settings) if isinstance(event, Warned)]
        assert len(notes) == 1
        assert "'zorp' is not used" in notes[0]
        assert "tiny-sd2" in notes[0]
        assert "is not used" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ("prompt=dog|cat", "'dog' is not in the prompt"),
        ("embedding=nope,zorp", "there: zorp"),
        ("embedding=blik", "none of them is in the prompt|there: zorp"),
        ("checkpoint=nowhere", "no run"),
        ("weight=other:0.5", "a learned word in the prompt"),
    ],
)
def test_values_that_mean_nothing_are_refused_before_a_model_is_loaded(asked, settings, word, monkeypatch, axis, words):
    word("zorp", 1.0)
    monkeypatch.setattr(service.Studio, "open", None)
    with pytest.raises(BadInput, match=words):
        list(compare(asked(axis), settings))


def test_a_weight_needs_to_know_whose(asked, settings, word):
    word("zorp", 1.0)
    word("blik", 1.0)
    with pytest.raises(BadInput, match=r"weight=\w+:0\.6"):
        list(compare(asked("weight=0.5", prompt="zorp blik"), settings))
    with pytest.raises(BadInput, match="a learned word"):
        list(compare(asked("weight=0.5", prompt="a cat"), settings))


def test_weights_stand_in_the_prompt(asked, settings, word, tmp_path):
    word("zorp", 1.0)
    list(compare(asked("weight=0.5,1"), settings))
    prompts = [read_picture(path).infotext.prompt for path in (tmp_path / "out" / "cells").glob("*.png")]
    assert sorted(prompts) == ["a (zorp:0.5)", "a zorp"]


def test_results_go_into_a_folder_of_the_plan_by_default(asked, settings):
    list(compare(replace(asked("seed=1"), out=None), settings))
    [folder] = (settings.outputs_dir / "comparisons").iterdir()
    assert folder.name.startswith("a-zorp-")
    assert (folder / "index.html").is_file()
