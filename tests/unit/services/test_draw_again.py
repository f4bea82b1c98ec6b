"""Picture → infotext → the same pixels, for every sampler and every option that changes a picture; what is told."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.embeddings import Embedding, Provenance, write_embedding
from pseudoword.errors import BadFile
from pseudoword.events import PictureDone, Saved, Warned
from pseudoword.generation.metadata import read_picture
from pseudoword.generation.naming import SaveOptions
from pseudoword.generation.options import GenerateOptions
from pseudoword.generation.sampling.names import SAMPLERS, SCHEDULES
from pseudoword.generation.saving import save_picture
from pseudoword.library import Library
from pseudoword.models.protocols import ModelHashes
from pseudoword.services.generate import Studio
from pseudoword.services.repeat import differences, read_request
from pseudoword.services.words import is_stranger, same_model
from pseudoword.settings import Settings


@pytest.fixture
def settings(tmp_path):
    return Settings(
        embeddings_dir=tmp_path / "embeddings", outputs_dir=tmp_path / "outputs", cache_dir=tmp_path / "cache"
    )


@pytest.fixture
def studio(load, settings):
    def make(kind):
        return Studio(conditioner=Conditioner(load(kind)), library=Library(settings.embeddings_dir), settings=settings)

    return make


@pytest.fixture
def word(settings):
    def make(name, width, value=1.0, **provenance):
        values = value * torch.linspace(-1, 1, 2 * width).reshape(2, width)
        embedding = Embedding(name=name, vectors={"clip_l": values}, provenance=Provenance(**provenance))
        write_embedding(embedding, settings.embeddings_dir / f"{name}.safetensors")

    return make


def drawn(studio, request, path):
    """The picture, written; and what was told."""
    events = list(studio.draw_and_save(request, SaveOptions(output=path)))
    return [event.message for event in events if isinstance(event, Warned)]


def pixels(path):
    return np.asarray(Image.open(path))


def same_again(studio, request, tmp_path):
    """Draw, read the file, draw what it says: equal pixels and an equal text, and nothing to tell."""
    drawn(studio, request, tmp_path / "first.png")
    recorded = read_request(tmp_path / "first.png", {})
    assert [warning.message for warning in differences(studio, recorded)] == []
    drawn(studio, recorded.request, tmp_path / "again.png")
    assert read_picture(tmp_path / "first.png").text == read_picture(tmp_path / "again.png").text
    assert np.array_equal(pixels(tmp_path / "first.png"), pixels(tmp_path / "again.png"))


@pytest.mark.parametrize(
    ("kind", "sampler"), [("bundled", "Euler a"), *(("sd1", sampler.name) for sampler in SAMPLERS)]
)
def test_a_picture_of_every_sampler_is_drawn_again_from_its_text(studio, tmp_path, kind, sampler):
    request = GenerateOptions(prompt="a cat", negative_prompt="dog", sampler=sampler, steps=3, cfg_scale=3.3, seed=7)
    same_again(studio(kind), request, tmp_path)


@pytest.mark.parametrize("schedule", [schedule.label for schedule in SCHEDULES])
def test_a_picture_of_every_schedule_is_drawn_again_from_its_text(studio, tmp_path, schedule):
    request = GenerateOptions(prompt="a cat", sampler="DPM++ SDE", scheduler=schedule, steps=3, seed=7)
    same_again(studio("sd1"), request, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "(a cat:1.3), [dog] BREAK a house", "emphasis": "No norm"},
        {"prompt": "a [cat:dog:0.5] and [red|blue]"},
        {"prompt": "a cat AND a dog:0.7"},
        {"prompt": "one\ntwo, three: \"four\"", "negative_prompt": "five:\nsix"},
        {"variation_seed": 3, "variation_strength": 0.123456789},
        {"seed_resize_width": 32, "seed_resize_height": 48},
        {"noise_source": "NV", "seed": 4294967295},
        {"ensd": 31337, "sampler": "Euler a"},
        {"clip_skip": 2},
        {"tiling": True},
        {"cfg_scale": 1.0},
        {"cfg_scale": 7.123456789},
        {"width": 72, "height": 48},
        {"eta": 0.6, "sampler": "Euler a"},
        {"eta": 0.3, "sampler": "DDIM"},
        {"s_churn": 2.0, "s_tmin": 0.1, "s_tmax": 9.0, "s_noise": 1.05, "sampler": "Euler"},
        {"s_min_uncond": 2.0},
        {"sigma_min": 0.1, "sigma_max": 10.0, "rho": 5.0, "scheduler": "Karras", "sampler": "Euler"},
        {"hires_scale": 1.5, "denoising_strength": 0.55, "hires_steps": 2},
        {"hires_width": 96, "hires_height": 80, "hires_upscaler": "Lanczos"},
        {"hires_scale": 2.0, "hires_sampler": "DDIM", "hires_prompt": "a dog, big", "hires_negative_prompt": "x"},
        {"hires_scale": 2.0, "hires_sampler": "DPM++ 2M", "hires_scheduler": "Exponential", "sampler": "Euler"},
        {"comma_backtrack": 0, "prompt": ", ".join(["cat dog red car tree"] * 30)},
    ],
    ids=lambda options: ",".join(options),
)  # fmt: skip
def test_a_picture_of_every_option_is_drawn_again_from_its_text(studio, tmp_path, options):
    request = GenerateOptions(**({"prompt": "a cat", "steps": 4, "seed": 5} | options))
    same_again(studio("sd1"), request, tmp_path)


def test_a_batchs_last_picture_is_drawn_again_alone(studio, tmp_path):
    request = GenerateOptions(prompt="a cat", steps=3, seed=5, batch_size=2, count=2, variation_strength=0.5)
    drawn(studio("sd1"), request, tmp_path / "x.png")
    recorded = read_request(tmp_path / "x-3.png", {})
    drawn(studio("sd1"), recorded.request, tmp_path / "again.png")
    off = np.abs(pixels(tmp_path / "x-3.png").astype(int) - pixels(tmp_path / "again.png"))
    assert off.max() <= 1


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_other_formats_tell_the_same(studio, tmp_path, suffix):
    request = GenerateOptions(prompt="a cat 猫", steps=1, seed=5)
    drawn(studio("sd1"), request, tmp_path / f"x{suffix}")
    recorded = read_request(tmp_path / f"x{suffix}", {})
    assert (recorded.request.prompt, recorded.request.seed, recorded.request.steps) == ("a cat 猫", 5, 1)


def test_a_word_is_drawn_again_and_every_change_of_it_is_told(studio, word, settings, tmp_path):
    word("zorp", 32)
    here = studio("sd1")
    same_again(here, GenerateOptions(prompt="a zorp", steps=2, seed=5), tmp_path)
    recorded = read_request(tmp_path / "first.png", {})
    word("zorp", 32, value=2.0)
    [told] = [warning.message for warning in differences(here, recorded)]
    assert "zorp.safetensors has the hash" in told
    assert "the picture used another 'zorp'" in told
    (settings.embeddings_dir / "zorp.safetensors").unlink()
    [told] = [warning.message for warning in differences(here, recorded)]
    assert "used the embedding 'zorp'" in told
    assert "is not in" in told


def test_a_word_that_is_here_and_was_not_there_is_told(studio, word, tmp_path):
    here = studio("sd1")
    drawn(here, GenerateOptions(prompt="a zorp", steps=1, seed=5), tmp_path / "x.png")
    word("zorp", 32)
    [told] = [warning.message for warning in differences(here, read_request(tmp_path / "x.png", {}))]
    assert "the picture was drawn without it" in told
    other = read_request(tmp_path / "x.png", {"prompt": "two zorp"})
    assert [*differences(here, other)] == []


def test_another_model_is_told(studio, tmp_path):
    drawn(studio("sd1"), GenerateOptions(prompt="a cat", steps=1, seed=5), tmp_path / "x.png")
    [told] = [warning.message for warning in differences(studio("sdxl"), read_request(tmp_path / "x.png", {}))]
    assert "was drawn with the model tiny-sd1 [" in told
    assert "this is tiny-sdxl [" in told


def test_another_autoencoder_is_told(studio, tmp_path):
    here = studio("sd1")
    model = here.conditioner.model
    hashes = replace(model.hashes, vae="0123456789", vae_name="kl.safetensors")
    other = replace(here, conditioner=Conditioner(replace(model, hashes=hashes)))
    for first, second, words in ((here, other, "the model's own VAE"), (other, here, "kl.safetensors [0123456789]")):
        drawn(first, GenerateOptions(prompt="a cat", steps=1, seed=5), tmp_path / "x.png")
        [told] = [warning.message for warning in differences(second, read_request(tmp_path / "x.png", {}))]
        assert f"was drawn with {words}, and this is " in told
    text = read_picture(tmp_path / "x.png").text
    assert "Model: tiny-sd1, VAE hash: 0123456789, VAE: kl.safetensors, RNG: CPU" in text


def test_prompts_of_different_lengths_that_were_not_padded_are_told(studio, tmp_path):
    here = studio("sd1")
    request = GenerateOptions(prompt=", ".join(["cat"] * 60), negative_prompt="dog", steps=1, seed=5)
    same_again(here, request, tmp_path)
    text = read_picture(tmp_path / "first.png").text
    assert ", Pad conds: True, " in text
    image = Image.open(tmp_path / "first.png")
    save_picture(image, tmp_path / "apart.png", text.replace("Pad conds: True, ", ""))
    [told] = [warning.message for warning in differences(here, read_request(tmp_path / "apart.png", {}))]
    assert "with A1111's 'Pad conds'" in told


def test_a_picture_that_says_nothing_is_a_clear_error(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    with pytest.raises(BadFile, match="does not say how it was made"):
        read_request(tmp_path / "x.png", {})


def test_a_word_of_another_checkpoint_is_told_and_stands_at_the_end_of_the_infotext(studio, word, tmp_path):
    here = studio("sd1")
    word("zorp", 32, base_model="elsewhere", base_model_hash="0123456789")
    word("blik", 32, base_model="tiny-sd1", base_model_hash=here.conditioner.model.hash)
    word("lurk", 32)
    [told] = drawn(here, GenerateOptions(prompt="a zorp blik lurk", steps=1, seed=5), tmp_path / "x.png")
    assert "'zorp' was trained on elsewhere [0123456789]" in told
    assert "another checkpoint" in told
    text = read_picture(tmp_path / "x.png").text
    assert ', TI trained on: "zorp: elsewhere 0123456789", Version: pseudoword-' in text
    assert drawn(here, GenerateOptions(prompt="a blik lurk", steps=1, seed=5), tmp_path / "y.png") == []
    assert "TI trained on" not in read_picture(tmp_path / "y.png").text


def test_a_word_of_another_family_is_refused_with_the_reason(studio, word, tmp_path):
    word("zorp", 1024, base_model="elsewhere", base_model_hash="0123456789")
    [told] = drawn(studio("sd1"), GenerateOptions(prompt="a zorp", steps=1, seed=5), tmp_path / "x.png")
    assert told.startswith("'zorp' is not used: made for ")
    assert "TI" not in read_picture(tmp_path / "x.png").text


def test_files_are_named_by_the_pattern_and_written_in_the_format(studio, settings, tmp_path):
    request = GenerateOptions(prompt="a cat on a mat", steps=1, seed=5, batch_size=2)
    saving = SaveOptions(format="webp", name_pattern="[generation_number]-[seed]-[prompt_words<2>]")
    events = list(studio("sd1").draw_and_save(request, saving))
    names = [event.path.name for event in events if isinstance(event, PictureDone | Saved)]
    assert names == ["00000-1-5-a cat.webp", "00001-2-6-a cat.webp", "grid-0000.webp"]
    events = list(studio("sd1").draw_and_save(replace(request, batch_size=1), SaveOptions(output=tmp_path / "a.jpeg")))
    assert [event.path.name for event in events if isinstance(event, PictureDone)] == ["a.jpeg"]


@pytest.mark.parametrize(
    ("digits", "same"),
    [("ab" * 32, True), ("abababab", True), ("ABABABABAB", True), ("0badcafe", True), ("0badcaff", False),
     ("abababac", False), ("", True)],
)  # fmt: skip
def test_a_model_is_known_by_both_kinds_of_hash_in_any_length(load, digits, same):
    model = replace(load("sd1"), hashes=ModelHashes(sha256="ab" * 32, old="0badcafe"))
    assert same_model(digits, model) == same
    assert is_stranger(Provenance(base_model_hash=digits), model) == (not same)
