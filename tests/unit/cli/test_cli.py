"""The command line as a user meets it: one clear line for bad input, exit code 2, nothing half-written."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from pseudoword import __version__
from pseudoword.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def train(run, pictures_dir, tiny_folder):
    def call(*arguments, name="zorp", pictures=None, model=None):
        return run(
            "train", name, pictures or pictures_dir, "--model", model or tiny_folder("sd1"), "--steps", 3,
            "--batch-size", 2, "--preview-every", 0, "--evaluate-every", 0, "--precision", "fp32", *arguments,
        )  # fmt: skip

    return call


def one_line_and_code_2(result, *words):
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_train_then_generate_then_resume(run, train, tiny_folder, tmp_path):
    result = train()
    assert result.exit_code == 0, result.output
    assert "embeddings/zorp.safetensors" in result.output
    result = run(
        "generate", "a cat, art by zorp", "--model", tiny_folder("sd1"), "--steps", 2, "--seed", 7,
        "--batch-size", 2, "--precision", "fp32",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    pictures = sorted((tmp_path / "outputs/txt2img-images").rglob("*.png"))
    assert [picture.name for picture in pictures] == ["00000-7.png", "00001-8.png"]
    texts = [Image.open(picture).text["parameters"] for picture in pictures]
    assert all(re.search(r'TI hashes: "zorp: [0-9a-f]{12}"', text) for text in texts)
    assert all(re.search(r"Model hash: [0-9a-f]{10}, Model: tiny-sd1", text) for text in texts)
    assert len(list((tmp_path / "outputs/txt2img-grids").rglob("grid-0000.png"))) == 1
    result = run("resume", "zorp", "--steps", 5)
    assert result.exit_code == 0, result.output
    assert "done: 5 steps" in result.output


def test_the_output_option_names_the_file(run, tiny_folder, tmp_path):
    result = run("generate", "a cat", "--model", tiny_folder("sd1"), "--steps", 1, "--output", "new/x.png")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "new" / "x.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--vectors", "0"], ["--vectors 0", "1 to 75"]),
        (["--vectors", "76"], ["--vectors 76", "1 to 75"]),
        (["--learning-rate", "quick"], ["'quick'", "1e-3:1000"]),
        (["--learning-rate", "1e-3:100, 1e-4:50"], ["do not rise"]),
        (["--precision", "fp8"], ["fp8", "bf16"]),
        (["--device", "abacus"], ["abacus", "cuda"]),
        (["--template", "missing.txt"], ["missing.txt", "subject"]),
        (["--batch-size", "0"], ["--batch-size 0"]),
        (["--held-back", "missing"], ["no folder missing"]),
    ],
)
def test_bad_settings(train, tmp_path, arguments, words):
    one_line_and_code_2(train(*arguments), *words)
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "embeddings").exists()


def test_no_such_folder(train):
    one_line_and_code_2(train(pictures="nowhere"), "no folder nowhere")


def test_no_pictures(train, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("x")
    one_line_and_code_2(train(pictures=empty), "no picture in", "PNG")


@pytest.mark.parametrize("name", ["a/b", "..", "a\\b", "", "CON", "a\nb"])
def test_a_name_that_is_no_file_name(train, name):
    one_line_and_code_2(train(name=name), "name ", "Choose another name")


def test_a_model_that_is_none(train, tmp_path):
    one_line_and_code_2(train(model=tmp_path), "is no model", "model_index.json")
    one_line_and_code_2(train(model="no-such-model"), "no model 'no-such-model'")
    one_line_and_code_2(train(model="some/thing"), "could not be fetched")


def test_an_existing_name(train, tmp_path):
    (tmp_path / "embeddings").mkdir()
    (tmp_path / "embeddings" / "zorp.bin").write_bytes(b"mine")
    one_line_and_code_2(train(), "zorp.bin already exists", "--overwrite")
    assert (tmp_path / "embeddings" / "zorp.bin").read_bytes() == b"mine"


def test_resuming_what_is_no_run(run, tmp_path):
    one_line_and_code_2(run("resume", "nothing"), "no run in", "run.json")
    (tmp_path / "runs" / "bad").mkdir(parents=True)
    (tmp_path / "runs" / "bad" / "run.json").write_text('{"format": "pseudoword-run-1"}')
    one_line_and_code_2(run("resume", "bad"), "damaged")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sampler", "Heun++"], ["Heun++", "Euler a", "UniPC"]),
        (["--steps", "0"], ["--steps 0", "1 to 150"]),
        (["--width", "100"], ["--width 100", "multiple of 8"]),
        (["--cfg-scale", "1001"], ["--cfg-scale 1001", "-1000 to 1000"]),
        (["--seed", "-5"], ["--seed -5"]),
        (["--model", "nowhere"], ["no model 'nowhere'"]),
    ],
)
def test_bad_requests(run, tiny_folder, arguments, words):
    model = [] if "--model" in arguments else ["--model", tiny_folder("sd1")]
    one_line_and_code_2(run("generate", "a cat", *model, *arguments), *words)


@pytest.mark.parametrize("output", [".", "", "picture.tiff", "afile/o.png", "x" * 300 + ".png"])
def test_an_output_that_cannot_be_a_picture(run, tiny_folder, tmp_path, output):
    (tmp_path / "afile").write_text("x")
    one_line_and_code_2(run("generate", "a cat", "--model", tiny_folder("sd1"), "--steps", 1, "--output", output))


@pytest.mark.parametrize("option", ["--embeddings-dir", "--runs-dir"])
def test_a_file_in_place_of_a_folder(train, tmp_path, option):
    (tmp_path / "afile").write_text("x")
    one_line_and_code_2(train(option, "afile"), "afile cannot be written to")


@pytest.mark.parametrize("model", ["foo/bar..baz", "~nosuchuser/x", "x" * 5000])
def test_odd_words_for_a_model(train, model):
    one_line_and_code_2(train(model=model))


def test_a_cache_that_cannot_be_written_costs_only_time(train, tmp_path, monkeypatch):
    (tmp_path / "afile").write_text("x")
    monkeypatch.setenv("PSEUDOWORD_CACHE_DIR", str(tmp_path / "afile" / "cache"))
    result = train()
    assert result.exit_code == 0, result.output


def test_an_embedding_for_another_model_is_told_and_left_out(run, tiny_folder, tmp_path):
    import torch

    from pseudoword.embeddings import Embedding, write_embedding

    folder = tmp_path / "embeddings"
    folder.mkdir()
    write_embedding(Embedding(name="wide", vectors={"clip_h": torch.ones(1, 1024)}), folder / "wide.safetensors")
    result = run("generate", "a cat by wide", "--model", tiny_folder("sd1"), "--steps", 1)
    assert result.exit_code == 0, result.output
    assert "'wide' is not used: made for SD2.x (1024), the model is an unknown model (32)" in result.output


def test_the_version(run):
    assert run("--version").output.strip() == f"pseudoword {__version__}"


def test_an_unknown_demo(run):
    one_line_and_code_2(run("demo", "--word", "nope"), "hikon or mirp")


def test_a_picture_is_drawn_again_with_options_on_top(run, tiny_folder, tmp_path):
    model = ["--model", tiny_folder("sd1")]
    run("generate", "a cat", *model, "--steps", 2, "--seed", 3, "--sampler", "DPM++ 2M Karras", "--output", "x.png")
    result = run("generate", "--from", "x.png", *model, "--output", "y.png")
    assert result.exit_code == 0, result.output
    assert "note" not in result.output
    assert Path("x.png").read_bytes() == Path("y.png").read_bytes()
    run(
        "generate",
        "a dog",
        "--from",
        "x.png",
        *model,
        "--steps",
        1,
        "--format",
        "webp",
        "--name-pattern",
        "[seed]-[sampler]",
    )
    [path] = tmp_path.rglob("*.webp")
    assert path.name == "00000-3-DPM++ 2M.webp"
    assert "a dog\nSteps: 1, Sampler: DPM++ 2M, Schedule type: Karras" in run("info", path).output


def test_another_model_than_the_pictures_is_told(run, tiny_folder):
    run("generate", "a cat", "--model", tiny_folder("sd1"), "--steps", 1, "--output", "x.png")
    result = run("generate", "--from", "x.png", "--model", tiny_folder("sdxl"))
    assert result.exit_code == 0, result.output
    assert "note: x.png was drawn with the model tiny-sd1 [" in result.output


def test_neither_prompt_nor_picture(run):
    one_line_and_code_2(run("generate"), "no prompt", "--from PICTURE")


def test_a_comparison_from_the_command_line(run, tiny_folder, tmp_path):
    result = run(
        "compare", "a cat", "--axis", "seed=1,2", "-a", "prompt=cat|dog", "--model", tiny_folder("sd1"), "--steps", 1
    )
    assert result.exit_code == 0, result.output
    assert len([*tmp_path.rglob("cells/*.png")]) == 4
    [page] = tmp_path.rglob("index.html")
    assert "--axis seed=1,2 --axis &#x27;prompt=cat|dog&#x27;" in page.read_text()
    one_line_and_code_2(run("compare", "a cat", "--axis", "colour=1"), "colour", "checkpoint=", "weight=")
    one_line_and_code_2(run("compare", "a cat"), "0 axes")


def test_info_prints_what_a_picture_says_and_goes_on_after_one_that_says_nothing(run, tiny_folder, tmp_path):
    run("generate", "a cat", "--model", tiny_folder("sd1"), "--steps", 1, "--seed", 3, "--output", "x.png")
    (tmp_path / "no.png").write_bytes(b"x")
    Image.new("RGB", (8, 8)).save("bare.webp")
    result = run("info", "no.png", "x.png", "bare.webp")
    assert result.exit_code == 2
    assert "error: no.png cannot be read as a picture" in result.output
    assert "x.png: PNG, 64 × 64, written by Pseudoword\na cat\nSteps: 1, Sampler: Euler a, " in result.output
    assert "bare.webp: WEBP, 8 × 8; it says nothing about how it was made" in result.output
    [report] = json.loads(run("info", "--json", "x.png").output)
    assert (report["program"], report["prompt"], report["values"]["Seed"]) == ("Pseudoword", "a cat", "3")
    assert (report["parameters"]["Size-1"], report["parameters"]["Clip skip"]) == ("64", "1")


def test_control_characters_of_a_strangers_picture_do_not_reach_the_terminal(run):
    from pseudoword.generation.saving import save_picture

    save_picture(Image.new("RGB", (8, 8)), Path("x.png"), "a \x1b[31mcat\nSteps: 1, Seed: 2, Size: 8x8")
    assert "a \\x1b[31mcat\n" in run("info", "x.png").output


def test_help_of_every_command_shows_its_options_whole(run):
    for command, option in (
        ("train", "[name] for the word"),
        ("generate", "--cfg-scale"),
        ("generate", "--from"),
        ("compare", "--axis"),
        ("demo", "--word"),
        ("resume", "--steps"),
    ):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert option in " ".join(result.output.split())


def test_folders_may_come_from_the_environment(run, tiny_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("PSEUDOWORD_OUTPUTS_DIR", str(tmp_path / "elsewhere"))
    run("generate", "a cat", "--model", tiny_folder("sd1"), "--steps", 1)
    assert list((tmp_path / "elsewhere").rglob("*.png"))
    assert not Path("outputs").exists()


def test_a_config_file_gives_settings_and_the_command_line_goes_before_it(
    run, train, pictures_dir, tiny_folder, tmp_path
):
    (tmp_path / "c.toml").write_text(
        f'name = "zorp"\npictures = "{pictures_dir}"\nmodel = "{tiny_folder("sd1")}"\nsteps = 50\nflip = true\n'
        'evaluate_every = 0\npreview_every = 0\nprecision = "fp32"\nlearning_rate = 0.01\n'
        'preview_prompt = ["a [name]"]\n'
    )
    result = run("train", "--config", "c.toml", "--steps", 2, "--no-flip", "--batch-size", 1)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "runs/zorp/run.json").read_text())["options"]
    assert (written["steps"], written["flip"], written["batch_size"], written["learning_rate"]) == (2, False, 1, "0.01")
    assert written["preview_prompt"] == ["a [name]"]
    result = run("train", "quux", "--config", "runs/zorp/config.toml", "--save-every", 1)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs/quux/embeddings/quux-1.safetensors").is_file()


def test_what_is_wrong_with_a_config_is_one_line_and_code_2(run, tmp_path):
    (tmp_path / "c.toml").write_text("colour = 1\nsteps = true\n")
    one_line_and_code_2(run("train", "zorp", "p", "--config", "c.toml"), "colour is no setting", "steps = True")
    one_line_and_code_2(run("train", "zorp", "p", "--config", "none.toml"), "none.toml cannot be read")
    one_line_and_code_2(run("train", "zorp"), "no PICTURES_DIR", "--config")
    one_line_and_code_2(run("train"), "no NAME and no PICTURES_DIR")


def test_resume_takes_harmless_settings_and_refuses_others_with_the_difference(run, train, tmp_path):
    assert train().exit_code == 0
    result = run("resume", "zorp", "--steps", 5, "--preview-every", 5, "--preview-prompt", "a [name]", "--keep", "last")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs/zorp/previews/zorp-5.png").is_file()
    one_line_and_code_2(
        run("resume", "zorp", "--steps", 9, "--batch-size", 4, "--flip"),
        "--batch-size is 2 in the run and 4 here", "--flip is False in the run and True here",
    )  # fmt: skip
    assert run("resume", "zorp", "--batch-size", 2, "--no-flip").exit_code == 0


def test_the_last_lines_say_what_was_best_and_why_it_ended(train):
    result = train("--evaluate-every", 1)
    done, best, kept = result.output.strip().splitlines()[-3:]
    assert re.fullmatch(r"done: 3 steps, [\d.]+ s per step; ended with its last step", done)
    step = re.fullmatch(r"best: loss [\d.]+ on the fixed batch after step (\d), [\d.]+ before training", best)[1]
    assert kept == f"kept: the vectors after step {step}"
    assert train("--evaluate-every", 0, name="quux").output.strip().endswith("kept: the vectors after step 3")
