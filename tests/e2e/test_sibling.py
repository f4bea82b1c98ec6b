"""The second bundled model: a small difference to the first, with a look and hash of its own; it can be made again."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from pseudoword.conditioning.conditioner import Conditioner
from pseudoword.errors import BadModel
from pseudoword.events import PictureDone
from pseudoword.generation.draw import draw
from pseudoword.generation.options import GenerateOptions
from pseudoword.models.folder import BUNDLED_MODELS, find_model
from pseudoword.models.load import load_model
from pseudoword.settings import Settings

NIGHT = "bundled-night"
ICONS = Path(__file__).resolve().parents[2] / "tests" / "data" / "icons"


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return load_model(NIGHT, device="cpu", precision="fp32", hash_cache=tmp_path_factory.mktemp("cache") / "h.json")


def test_it_differs_from_the_first_in_the_unet_alone(night, load):
    base = load("bundled")
    for part in ("vae", "encoders"):
        ours, theirs = (getattr(model, part) for model in (night, base))
        modules = [(ours, theirs)] if part == "vae" else [(ours[0].module, theirs[0].module)]
        for one, other in modules:
            assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    pairs = zip(night.unet.parameters(), base.unet.parameters(), strict=True)
    assert sum(not torch.equal(ours, theirs) for ours, theirs in pairs) > 100


def test_it_has_a_name_and_a_hash_of_its_own_and_is_small(night, load):
    assert night.name == NIGHT
    assert night.hash != load("bundled").hash
    assert night.family == load("bundled").family
    file = find_model(NIGHT).difference
    assert file is not None
    assert file.stat().st_size <= 6_000_000
    assert {path.name for path in file.parent.iterdir()} >= {"README.md", "LICENSE.md"}


def test_its_ground_is_dark_without_being_asked(night, load):
    def brightest_corner(model):
        events = draw(Conditioner(model), GenerateOptions(prompt="a smiling face", seed=1, steps=10), {})
        (picture,) = [event.image for event in events if isinstance(event, PictureDone)]
        grey, last = picture.convert("L"), picture.width - 3
        return max(grey.getpixel(place) for place in ((2, 2), (last, 2), (2, last), (last, last))) / 255

    assert brightest_corner(load("bundled")) > 0.9
    assert brightest_corner(night) < 0.4


def test_a_word_learned_on_it_says_so(night, tmp_path, pictures_dir):
    from pseudoword.embeddings import read_embedding
    from pseudoword.services.train import train_word
    from pseudoword.training.options import TrainOptions

    settings = Settings(embeddings_dir=tmp_path / "words", runs_dir=tmp_path / "runs", cache_dir=tmp_path / "cache")
    options = TrainOptions(
        name="lit", pictures=str(pictures_dir), model=NIGHT, steps=1, batch_size=1, precision="fp32", preview_every=0
    )
    for _ in train_word(options, settings):
        pass
    provenance = read_embedding(tmp_path / "words" / "lit.safetensors").provenance
    assert (provenance.base_model, provenance.base_model_hash) == (NIGHT, night.hash)


def test_an_unknown_model_is_answered_with_those_that_ship():
    with pytest.raises(BadModel) as refused:
        find_model("bundled-day")
    assert all(name in str(refused.value) for name in BUNDLED_MODELS)


def test_the_help_of_generate_names_it():
    from pseudoword.cli.main import app

    shown = CliRunner().invoke(app, ["generate", "--help"], env={"COLUMNS": "200"}).output
    assert NIGHT in shown


def test_the_factors_gradients_are_those_of_autograd():
    from base_model.sibling import factor_gradients

    draws = torch.Generator().manual_seed(0)
    weight, target = torch.randn(5, 7, generator=draws), torch.randn(5, 7, generator=draws)
    up, down = (torch.randn(shape, generator=draws, requires_grad=True) for shape in ((5, 2), (2, 7)))
    summed = weight + up @ down
    summed.retain_grad()
    (summed - target).pow(4).sum().backward()
    ours = factor_gradients(summed.grad, up.detach(), down.detach())
    torch.testing.assert_close(ours, (up.grad, down.grad))


def test_its_look_is_dark_and_keeps_colours_and_shapes_apart():
    from base_model.looks import GROUNDS
    from base_model.night import night as at_night

    alpha = torch.zeros(2, 1, 128, 128)
    alpha[:, :, 32:96, 32:96] = 1
    red = torch.zeros(2, 3, 128, 128)
    red[:, 0] = 0.9
    shown = at_night(red, alpha, torch.tensor([0, list(GROUNDS).index("green")]))
    assert shown.min() >= 0
    assert shown.max() <= 1
    inside, edge, corner = shown[:, :, 64, 64], shown[:, :, 64, 32], shown[:, :, 2, 2]
    assert (edge.amax(1) > 0.8).all()
    assert (edge.argmax(1) == 0).all()
    assert (inside.argmax(1) == 0).all()
    assert corner[0].argmax() == 2  # a white ground becomes a dark blue night
    assert corner[1].argmax() == 1  # and a green one a dark green one
    assert corner.max() < 0.4


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A work folder with the fixture's icons drawn at the model's size."""
    from base_model.__main__ import main

    work = tmp_path_factory.mktemp("sibling")
    sets = "noto,fluent-emoji-flat,fxemoji"
    assert main(["render", "--work", str(work), "--icons", str(ICONS), "--sets", sets, "--shared-by", "2"]) == 0
    return work


@pytest.mark.slow
def test_the_stage_resumes_to_the_same_bits_and_leaves_a_model_that_loads(rendered, load, tmp_path):
    import shutil

    from base_model.__main__ import main
    from safetensors.torch import load_file

    small = ["--steps", "3", "--batch", "2", "--warmup", "1", "--precision", "fp32"]
    written = {}
    for kind, pause in (("whole", []), ("broken", ["--pause-after", "0"])):
        work = tmp_path / kind
        shutil.copytree(rendered, work)
        for _ in range(3 if pause else 1):  # a sitting ends after one step
            assert main(["sibling", "--work", str(work), *small, *pause]) == 0
        assert (work / "sibling" / "done.json").is_file()
        written[kind] = load_file(work / "sibling" / NIGHT / "difference.safetensors")
    assert written["whole"].keys() == written["broken"].keys()
    assert all(torch.equal(value, written["broken"][name]) for name, value in written["whole"].items())
    made = load_model(
        str(tmp_path / "whole" / "sibling" / NIGHT), device="cpu", precision="fp32", hash_cache=tmp_path / "h.json"
    )
    assert made.hash != load("bundled").hash


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_it_draws_the_same_things_in_another_look(tmp_path):
    from benchmarks.sibling import measure_look

    look = measure_look(tmp_path)
    assert look.pictures == 32
    assert look.farther >= 16, look
    assert look.closeness_to_base[NIGHT] < look.closeness_to_base["bundled"] - 0.05, look
    assert look.same_thing >= 10, look  # 4 by chance


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_word_works_better_on_the_model_that_it_was_learned_on(tmp_path):
    from benchmarks.sibling import measure_word

    rows = {(row.learned_on, row.used_on): row for row in measure_word(tmp_path)}
    for home, abroad in (("bundled", NIGHT), (NIGHT, "bundled")):
        own, foreign = rows[home, home], rows[abroad, home]  # on one model: its own word, and the other's
        assert own.gain > 0.04, rows
        assert foreign.learned_loss > own.learned_loss, rows
        assert foreign.closeness < own.closeness, rows
    assert rows["bundled", NIGHT].gain < 0.6 * rows["bundled", "bundled"].gain, rows
