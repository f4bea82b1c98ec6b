"""A1111's switches, by the table of its wiki ("Command Line Arguments and Settings", 1.10)."""

import json

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pseudoword.cli._a1111 import translated
from pseudoword.cli.main import app

OURS = ("--precision", "--memory", "--steps")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (["--no-half"], ["--precision", "fp32"]),
        (["--precision", "full"], ["--precision", "fp32"]),
        (["--precision=full"], ["--precision", "fp32"]),
        (["--precision", "autocast"], ["--precision", "auto"]),
        (["--precision", "half"], ["--precision", "fp16"]),
        (["--medvram"], ["--memory", "medium"]),
        (["--medvram-sdxl"], ["--memory", "medium"]),
        (["--lowvram"], ["--memory", "low"]),
        (["--no-half-vae"], []),
        (["--no-half", "--precision", "full"], ["--precision", "fp32", "--precision", "fp32"]),
        (["a", "--steps", "3", "--lowvram", "b"], ["a", "--steps", "3", "--memory", "low", "b"]),
    ],
)
def test_each_switch_becomes_an_option_of_ours_and_is_named(written, meant):
    ours, notes = translated(written, OURS)
    assert ours == meant
    assert notes


def test_our_own_options_and_what_follows_two_dashes_stay_as_they_are():
    written = ["--precision", "bf16", "--memory=low", "--steps", "2", "--", "--medvram"]
    ours, notes = translated(written, OURS)
    assert ours == ["--precision", "bf16", "--memory", "low", "--steps", "2", "--", "--medvram"]
    assert notes == []


def test_a_command_without_such_options_leaves_them_to_be_refused():
    assert translated(["--medvram", "--no-half"], ("--json",)) == (["--medvram", "--no-half"], [])


@pytest.mark.parametrize("written", [["--medvram", "--lowvram"], ["--no-half", "--precision", "bf16"]])
def test_two_that_contradict_each_other_are_refused(written):
    with pytest.raises(typer.BadParameter):
        translated(written, OURS)


@pytest.mark.parametrize(
    ("switches", "recorded"),
    [
        (["--no-half"], {"precision": "fp32", "memory": "normal"}),
        (["--precision", "full"], {"precision": "fp32", "memory": "normal"}),
        (["--medvram"], {"memory": "medium"}),
        (["--lowvram", "--no-half-vae"], {"memory": "low"}),
    ],
)
def test_training_and_drawing_run_under_each(switches, recorded, tmp_path, tiny_folder, monkeypatch):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.effect_noise((64, 64), 50).convert("RGB").save(pictures / "1-cat.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PSEUDOWORD_CACHE_DIR", str(tmp_path / "cache"))
    model = ["--model", str(tiny_folder("sd1"))]
    few = ["--steps", "2", "--batch-size", "1", "--preview-every", "0"]
    trained = CliRunner().invoke(app, ["train", "zorp", str(pictures), *model, *few, *switches])
    assert trained.exit_code == 0, trained.output
    assert "here" in trained.stderr
    options = json.loads((tmp_path / "runs" / "zorp" / "run.json").read_text())["options"]
    assert {name: options[name] for name in recorded} == recorded
    drawn = CliRunner().invoke(app, ["generate", "a zorp", *model, "--steps", "2", *switches])
    assert drawn.exit_code == 0, drawn.output
