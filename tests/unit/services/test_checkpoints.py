"""Single-file checkpoints through the services and the command line, from file to picture and trained word."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tests.original_layout import original_state
from tests.tiny import write_tiny_model
from typer.testing import CliRunner

from pseudoword.cli.main import app
from pseudoword.events import Saved
from pseudoword.generation.metadata import read_picture
from pseudoword.services.train import resume_run, train_word
from pseudoword.settings import Settings
from pseudoword.training.options import TrainOptions
from pseudoword.training.run import RunFolder
from pseudoword.training.state import TrainState


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny SD1 without autoencoder, and the autoencoder in a file of its own."""
    folder = tmp_path_factory.mktemp("checkpoint")
    state = original_state(write_tiny_model("sd1", folder / "folder", whole_vocabulary=True))
    own = {name: state.pop(name).contiguous() for name in list(state) if name.startswith("first_stage_model.")}
    torch.save({"state_dict": state}, folder / "tiny.ckpt")
    save_file(own, folder / "tiny.vae.safetensors")
    return folder


def settings_in(folder):
    names = ("embeddings_dir", "outputs_dir", "runs_dir", "cache_dir")
    return Settings(**{name: folder / name for name in names})


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_generate_draws_with_a_checkpoint_and_its_vae_in_every_memory_mode(checkpoint, tmp_path):
    drawn = []
    for memory in ("normal", "medium", "low"):
        target = tmp_path / f"{memory}.png"
        result = run(
            *("generate", "a cat", "--model", checkpoint / "tiny.ckpt", "--vae", checkpoint / "tiny.vae.safetensors"),
            *("--prediction", "v", "--memory", memory, "--steps", 2, "--width", 64, "--height", 64, "--seed", 1),
            *("--device", "cpu", "--precision", "fp32", "--output", target),
        )
        assert result.exit_code == 0, result.output
        drawn.append(target)
    import numpy as np
    from PIL import Image

    first, *others = (np.asarray(Image.open(path), dtype=int) for path in drawn)
    assert first.shape == (64, 64, 3)
    assert all(abs(first - other).max() <= 1 for other in others)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "tiny.ckpt"], "no autoencoder (VAE)"),
        (["--model", "tiny.vae.safetensors"], "is a VAE; expected a whole SD1, SD2 or SDXL checkpoint"),
        (["--model", "note.safetensors"], "is a text file"),
        (["--memory", "tiny"], "normal | medium | low"),
        (["--prediction", "x0"], "auto | epsilon | v"),
        (["--vae", "nowhere.pt"], "no VAE"),
    ],
)
def test_what_cannot_be_used_ends_in_one_line_and_exit_code_2(checkpoint, monkeypatch, words, message):
    (checkpoint / "note.safetensors").write_text("not a model")
    monkeypatch.chdir(checkpoint)
    result = run("generate", "a cat", "--device", "cpu", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_picture_records_the_prediction_and_is_drawn_again_with_it(checkpoint, tmp_path):
    which = ("--model", checkpoint / "tiny.ckpt", "--vae", checkpoint / "tiny.vae.safetensors", "--device", "cpu")
    for name, more in (
        ("first", ("a cat", "--prediction", "v", "--steps", 2, "--width", 64, "--height", 64, "--seed", 1)),
        ("again", ("--from", tmp_path / "first.png")),
        ("other", ("--from", tmp_path / "first.png", "--prediction", "epsilon")),
        ("plain", ("--from", tmp_path / "other.png", "--prediction", "auto")),
    ):
        result = run("generate", *more, *which, "--precision", "fp32", "--output", tmp_path / f"{name}.png")
        assert result.exit_code == 0, result.output
        told = "was drawn with --prediction" in " ".join(result.output.split())
        assert told == (name in ("other", "plain")), result.output
    texts = {path.stem: read_picture(path).text for path in tmp_path.glob("*.png")}
    assert ", Prediction type: v, Version: pseudoword-" in texts["first"]
    assert texts["again"] == texts["first"]
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "first.png").read_bytes()
    assert "Prediction type: epsilon" in texts["other"]
    assert "Prediction type" not in texts["plain"]


def trained(checkpoint, pictures_dir, folder, memory, **more):
    options = TrainOptions(
        name="zzz",
        pictures=str(pictures_dir),
        model=str(checkpoint / "tiny.ckpt"),
        vae=str(checkpoint / "tiny.vae.safetensors"),
        steps=3,
        batch_size=1,
        vectors=2,
        preview_every=0,
        evaluate_every=0,
        device="cpu",
        precision="fp32",
        memory=memory,
        **more,
    )
    events = list(train_word(options, settings_in(folder)))
    assert any(isinstance(event, Saved) for event in events)
    return RunFolder(folder / "runs_dir" / "zzz")


@pytest.fixture
def small(monkeypatch):
    """A checkpoint says 512 pixels by its family; the tiny one is trained on fewer here, to be quick."""
    from pseudoword.models import shapes

    small = shapes.Facts(num_heads=8, resolution=64, latents_scale=0.18215)
    monkeypatch.setattr(shapes, "FACTS", {**shapes.FACTS, "sd1": small})


def test_training_with_little_memory_learns_the_same_and_the_run_remembers_its_model(
    small, checkpoint, pictures_dir, tmp_path
):
    rows = {}
    for memory in ("normal", "low"):
        run_folder = trained(checkpoint, pictures_dir, tmp_path / memory, memory)
        rows[memory] = TrainState.load(run_folder.state).rows["clip_l"]
        record = json.loads(run_folder.record.read_text())
        assert record["options"]["memory"] == memory
        assert record["options"]["vae"] == str(checkpoint / "tiny.vae.safetensors")
        assert len(record["model"]["vae"]) == 10
    assert (rows["low"] - rows["normal"]).norm() / rows["normal"].norm() < 1e-3
    settings = settings_in(tmp_path / "normal")
    list(resume_run("zzz", settings, steps=4, memory="medium"))
    assert TrainState.load(RunFolder(settings.runs_dir / "zzz").state).step == 4


def test_a_run_does_not_go_on_with_another_autoencoder(small, checkpoint, pictures_dir, tmp_path):
    from pseudoword.errors import BadModel

    own = tmp_path / "own"
    own.mkdir()
    for file in ("tiny.ckpt", "tiny.vae.safetensors"):
        (own / file).write_bytes((checkpoint / file).read_bytes())
    trained(own, pictures_dir, tmp_path, "normal")
    (own / "tiny.vae.safetensors").write_bytes((own / "tiny.vae.safetensors").read_bytes()[:-4] + b"\x00\x00\x00\x3f")
    with pytest.raises(BadModel, match=r"the VAE .* has the hash"):
        list(resume_run("zzz", settings_in(tmp_path), steps=4))
