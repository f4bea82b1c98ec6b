"""What `pseudoword tokens` tells, with CLIP's own vocabulary where ids are known from the published tokenizer."""

import dataclasses

import pytest
import torch

from pseudoword.conditioning.guidance import PromptOptions
from pseudoword.embeddings import Embedding, write_embedding
from pseudoword.errors import BadOption
from pseudoword.services.styles import with_styles
from pseudoword.services.tokens import read_tokens
from pseudoword.settings import Settings


@pytest.fixture
def settings(tmp_path):
    folder = tmp_path / "embeddings"
    folder.mkdir()
    for name, vectors in (
        ("zorp", {"clip_l": torch.ones(2, 32)}),
        ("long", {"clip_l": torch.ones(80, 32)}),
        ("wide", {"clip_h": torch.ones(1, 1024)}),
    ):
        write_embedding(Embedding(name=name, vectors=vectors), folder / f"{name}.safetensors")
    return Settings(embeddings_dir=folder, styles_file=tmp_path / "styles.csv")


@pytest.fixture
def read(settings, tiny_folder):
    def call(prompt, negative="", steps=10, model="sd1", **options):
        return read_tokens(
            prompt, negative, settings, model=str(tiny_folder(model)), steps=steps, options=PromptOptions(**options)
        )

    return call


def test_tokens_have_places_weights_and_ids_and_words_have_all_their_places(read):
    report = read("(red:1.5) zorp cat")
    ((stretch,),) = [part.stretches for part in report.prompt]
    (chunk,) = stretch.chunks
    assert [(row.place, row.places, row.text, row.id is None, row.weight) for row in chunk] == [
        (1, 1, "red", False, 1.5),
        (2, 2, "zorp", True, 1.0),
        (4, 1, "cat", False, 1.0),
    ]
    assert (stretch.used, stretch.limit) == (4, 75)
    assert report.words == ("zorp",)
    assert report.negative is None


def test_used_counts_closed_chunks_as_full_as_a1111s_counter_does(read):
    (part,) = read("cat BREAK cat cat").prompt
    assert [(s.used, s.limit, len(s.chunks)) for s in part.stretches] == [(77, 150, 2)]


def test_the_schedule_is_told_in_calls_from_1(read):
    (part,) = read("[cat:dog:5]").prompt
    assert [(s.first_call, s.last_call, s.chunks[0][0].text) for s in part.stretches] == [(1, 6, "cat"), (7, 10, "dog")]
    (part,) = read("[cat|dog]", steps=4).prompt
    assert [(s.first_call, s.last_call, s.chunks[0][0].text) for s in part.stretches] == [
        (1, 2, "cat"),
        (3, 3, "dog"),
        (4, 4, "cat"),
    ]


def test_parts_have_their_weights_and_the_negative_prompt_is_apart(read):
    report = read("cat AND dog:-0.5", "red AND blue:2")
    assert [part.weight for part in report.prompt] == [1.0, -0.5]
    assert report.negative is not None
    assert report.negative.weight == 1.0
    assert dataclasses.asdict(report) == report.as_json()


def test_words_that_do_not_fit_or_are_too_long_are_told(read):
    report = read("a wide <embedding:wide> long")
    assert report.notes[0].startswith("'wide' is not used: made for SD2.x (1024), the model is")
    assert any("'wide' is not loaded and left out" in note for note in report.notes)
    assert any("'long' has 80 vectors" in note for note in report.notes)


def test_the_comma_option_reaches_the_chunks(read):
    prompt = "cat " * 60 + "," + " dog" * 20
    sizes = [
        [len(chunk) for chunk in read(prompt, comma_backtrack=backtrack).prompt[0].stretches[0].chunks]
        for backtrack in (20, 0)
    ]
    assert sizes == [[61, 20], [75, 6]]


def test_a_model_with_two_encoders_is_read_once(read):
    assert read("a cat", model="sdxl").prompt[0].stretches[0].used == 2


def test_styles_come_from_the_styles_file(settings):
    settings.styles_file.write_text('name,prompt,negative_prompt\nNight,"{prompt}, at night",day\n')
    assert with_styles(settings, "a cat", "", ["Night"]) == ("a cat, at night", "day")
    assert with_styles(settings, "a cat", "", []) == ("a cat", "")
    with pytest.raises(BadOption, match="'Dawn'"):
        with_styles(settings, "a cat", "", ["Dawn"])
