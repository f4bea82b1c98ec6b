"""The studio: hot reload of the embeddings folder, several words, files on disk."""

import numpy as np
import pytest
import torch

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import Embedding, write_embedding
from pseudoword.events import PictureDone, Saved, Warned
from pseudoword.generation.options import GenerateOptions
from pseudoword.library import Library
from pseudoword.services.generate import Studio
from pseudoword.settings import Settings


@pytest.fixture
def studio(load, tmp_path):
    settings = Settings(
        embeddings_dir=tmp_path / "embeddings", outputs_dir=tmp_path / "outputs", cache_dir=tmp_path / "cache"
    )
    return Studio(conditioner=Conditioner(load("sdxl")), library=Library(settings.embeddings_dir), settings=settings)


def put(studio, path, value):
    widths = studio.conditioner.model.widths()
    vectors = {slot: torch.full((2, width), value) for slot, width in widths.items()}
    write_embedding(Embedding(name="x", vectors=vectors), studio.settings.embeddings_dir / path)


def draw(studio, prompt, **options):
    request = GenerateOptions(prompt=prompt, steps=2, seed=3, **options)
    return [event for event in studio.draw(request) if isinstance(event, PictureDone)]


def same(one, other):
    return np.array_equal(np.asarray(one.image), np.asarray(other.image))


@pytest.mark.parametrize("path", ["zorp.safetensors", "sub/folder/zorp.safetensors", "zorp.pt"])
def test_a_file_that_appears_changes_or_goes_is_noticed_without_a_restart(studio, path):
    [without] = draw(studio, "a zorp")
    put(studio, path, 1.0)
    [first] = draw(studio, "a zorp")
    put(studio, path, -2.0)
    [second] = draw(studio, "a zorp")
    (studio.settings.embeddings_dir / path).unlink()
    [gone] = draw(studio, "a zorp")
    assert not same(without, first)
    assert not same(first, second)
    assert same(without, gone)
    assert "TI hashes" in second.infotext
    assert first.infotext != second.infotext
    assert gone.infotext == without.infotext


def test_several_words_in_both_prompts_stand_in_the_infotext_positive_first(studio):
    for name, value in (("neg", 0.5), ("blik", 1.0), ("zorp", -1.0)):
        put(studio, f"{name}.safetensors", value)
    [done] = draw(studio, "a zorp and a blik, zorp", negative_prompt="neg")
    hashes = done.infotext.split('TI hashes: "')[1].split('"')[0]
    assert [item.split(":")[0] for item in hashes.split(", ")] == ["zorp", "blik", "neg"]


def test_every_picture_of_a_batch_names_its_words(studio):
    put(studio, "zorp.safetensors", 1.0)
    done = draw(studio, "a zorp", batch_size=2, count=2)
    assert len(done) == 4
    assert all("TI hashes" in event.infotext for event in done)


def test_pictures_and_grid_are_on_disk_when_they_are_told(studio):
    request = GenerateOptions(prompt="a cat", steps=1, seed=1, batch_size=3)
    events = list(studio.draw_and_save(request))
    paths = [event.path for event in events if isinstance(event, PictureDone | Saved)]
    assert len(paths) == 4
    assert all(path.is_file() for path in paths)


def test_a_damaged_file_whose_name_stands_in_the_prompt_is_told(studio):
    studio.settings.embeddings_dir.mkdir()
    (studio.settings.embeddings_dir / "zorp.pt").write_bytes(b"junk")
    events = list(studio.draw(GenerateOptions(prompt="a zorp", steps=1)))
    assert [e.message.startswith("'zorp' is not used: ") for e in events if isinstance(e, Warned)] == [True]
    assert not [e for e in studio.draw(GenerateOptions(prompt="a cat", steps=1)) if isinstance(e, Warned)]


def test_junk_in_the_folder_stops_nothing(studio):
    studio.settings.embeddings_dir.mkdir()
    (studio.settings.embeddings_dir / "junk.pt").write_bytes(b"junk")
    (studio.settings.embeddings_dir / "empty.safetensors").write_bytes(b"")
    assert len(draw(studio, "a junk")) == 1
