"""`pseudoword suggest-init` and `train --init suggest` on a tiny model."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from pseudoword.cli.main import app
from pseudoword.training import suggesting


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(2):
        Image.effect_noise((64, 64), 50).convert("RGB").save(folder / f"{number}-cat.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PSEUDOWORD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(suggesting, "_ROUNDS", ((12, 2), (6, 4)))  # a tiny model needs no long search
    return folder


def test_words_are_named_with_figures_and_the_default_beside_them(pictures, tiny_folder):
    command = ["suggest-init", str(pictures), "--model", str(tiny_folder("sdxl")), "--count", "3"]
    result = CliRunner().invoke(app, [*command, "--held-back", str(pictures), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["final"]
    *best, default = found["words"]
    assert len(best) == 3
    assert default["word"] == "style"
    assert default["only_compared"]
    assert [entry["loss"] for entry in best] == sorted(entry["loss"] for entry in best)
    for entry in found["words"]:  # the same pictures held back: the same figures
        assert entry["held_back_loss"] == pytest.approx(entry["loss"], rel=1e-4)
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert best[0]["word"] in shown.stdout


def test_a_training_starts_from_the_word_that_the_pictures_suggest(pictures, tiny_folder, tmp_path):
    model = ["--model", str(tiny_folder("sd1"))]
    suggested = CliRunner().invoke(app, ["suggest-init", str(pictures), *model, "--count", "1", "--json"])
    assert suggested.exit_code == 0, suggested.output
    best = min(json.loads(suggested.stdout)["words"], key=lambda entry: entry["loss"])["word"]
    few = ["--steps", "1", "--batch-size", "1", "--preview-every", "0", "--init", "suggest"]
    trained = CliRunner().invoke(app, ["train", "zorp", str(pictures), *model, *few])
    assert trained.exit_code == 0, trained.output
    assert json.loads((tmp_path / "runs" / "zorp" / "run.json").read_text())["options"]["init"] == best
