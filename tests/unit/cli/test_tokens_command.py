"""`pseudoword tokens` as a user sees it."""

import json

import pytest
from typer.testing import CliRunner

from pseudoword.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, ["tokens", *(str(argument) for argument in arguments)])

    return call


def test_a_prompt_with_everything(run, tmp_path, tiny_folder):
    import torch

    from pseudoword.embeddings import Embedding, write_embedding

    (tmp_path / "embeddings").mkdir()
    word = Embedding(name="zorp", vectors={"clip_l": torch.ones(2, 32)})
    write_embedding(word, tmp_path / "embeddings" / "zorp.safetensors")
    (tmp_path / "styles.csv").write_text("name,prompt\nNight,at night\n")
    result = run(
        "(cat:1.2) by [zorp|red] AND dog:0.5", "-n", "zorp-1 \x1b[2J", "--style", "Night", "--steps", 3,
        "--model", tiny_folder("sd1"),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.output.startswith("prompt, part 1, weight 1, calls 1 to 2 of 3: 4/75\n")
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "3-4 zorp learned word, 2 vectors" in lines
    assert any(line.startswith("1 cat token ") and line.endswith(" weight 1.2") for line in lines)
    assert "prompt, part 1, weight 1, call 3 of 3: 3/75" in lines
    assert any(line.startswith("negative prompt: ") for line in lines)
    assert "learned words: zorp" in lines
    assert any("'zorp-1' is not loaded, so its part 'zorp' is used" in line for line in lines)
    assert "\x1b" not in result.output


def test_json(run):
    result = run("a cat", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["model"] == "bundled"
    assert [row["text"] for row in told["prompt"][0]["stretches"][0]["chunks"][0]] == ["a", "cat"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--steps", "0"], "1 to 150"),
        (["--emphasis", "Loud"], "Original"),
        (["\udcff"], "UTF-8 text"),
        (["--style", "Dawn"], "style 'Dawn'"),
        (["--model", "nowhere"], "no model 'nowhere'"),
    ],
)
def test_bad_input_is_one_line(run, arguments, word):
    result = run(*arguments) if len(arguments) == 1 else run("a", *arguments)
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1
    assert word in result.output


def test_a_long_prompt_makes_no_noise(run, capfd):
    result = run("cat, " * 100)
    assert result.exit_code == 0
    assert "prompt: 200/225" in result.output
    assert "longer than" not in capfd.readouterr().err + result.output
