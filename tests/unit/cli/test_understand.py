"""`inspect`, `merge` and `library` as a user meets them."""

import json

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from pseudoword.cli.main import app


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "embeddings").mkdir()

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


@pytest.fixture
def two_files(run, tmp_path):
    tables = {"string_to_param": {"*": torch.full((2, 768), 0.01)}, "name": "mignon", "step": 19500}
    torch.save(
        {**tables, "sd_checkpoint": "45dee52b", "sd_checkpoint_name": "wd-1.2"}, tmp_path / "embeddings/mignon.pt"
    )
    save_file({"<cat-toy>": torch.ones(3, 256)}, tmp_path / "embeddings/cat-toy.safetensors")


def test_json_is_one_array_over_all_files_and_errors_go_elsewhere(run, two_files, tmp_path):
    (tmp_path / "notes.json").write_text("{}")
    result = run(
        "inspect", "--json", "embeddings/mignon.pt", "notes.json", "nowhere.pt", "embeddings/cat-toy.safetensors"
    )
    assert result.exit_code == 2
    assert [one["trigger"] for one in json.loads(result.stdout)] == ["mignon", "cat-toy"]
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: notes.json: JSON")
    assert lines[1].startswith("error: nowhere.pt: no such file")


def test_side_files_of_a_folder_are_passed_over_and_one_alone_is_answered(run, two_files, tmp_path):
    for name in ("mignon.origin.json", "mignon.preview.png"):
        (tmp_path / "embeddings" / name).write_text("{}")
    result = run("inspect", "--json", *sorted((tmp_path / "embeddings").iterdir()))
    assert (result.exit_code, result.stderr) == (0, "")
    assert [one["trigger"] for one in json.loads(result.stdout)] == ["cat-toy", "mignon"]
    alone = run("inspect", "embeddings/mignon.origin.json")
    assert alone.exit_code == 2
    assert "mignon.origin.json: JSON" in alone.stderr


def test_a_file_in_a_folder_is_named_as_it_was_given(run, two_files, tmp_path):
    (tmp_path / "embeddings" / "empty.pt").write_bytes(b"")
    result = run("inspect", "embeddings/empty.pt")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: embeddings/empty.pt: an empty file")


def test_json_of_nothing_is_an_empty_array(run):
    result = run("inspect", "--json", "nowhere.pt")
    assert (result.exit_code, json.loads(result.stdout)) == (2, [])


def test_the_page_for_people_is_at_most_80_columns_wide(run, two_files):
    result = run("inspect", "embeddings/mignon.pt", "embeddings/cat-toy.safetensors", "--model", "bundled")
    assert result.exit_code == 0, result.output
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80
    text = " ".join(result.output.split())
    for words in (
        "made for SD1.x",
        "trained on wd-1.2 [45dee52b]",
        "steps 19500",
        "2 × 768 float32",
        "vocabulary: 0.4",
    ):
        assert words in text
    for program in ("A1111 / Forge", "ComfyUI", "InvokeAI", "SD.Next", "diffusers", "kohya"):
        assert text.count(program) >= 2
    assert "nearest words of bundled" in text


def test_a_command_that_helps_stands_on_a_line_of_its_own_to_be_copied(run, tmp_path):
    name = "a-name-so-long-that-the-command-which-has-it-twice-is-wider-than-the-terminal"
    save_file({"<w>": torch.ones(3, 768)}, tmp_path / f"{name}.safetensors")
    result = run("inspect", f"{name}.safetensors")
    assert f"  pseudoword convert {name}.safetensors converted/{name}.safetensors --layout emb_params" in (
        result.output.splitlines()
    )


def test_names_of_foreign_files_are_shown_and_not_obeyed(run, tmp_path):
    save_file({"<a[bold]\x1b[31mb>": torch.ones(1, 768)}, tmp_path / "odd.safetensors")
    result = run("inspect", "odd.safetensors")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert "[bold]" in result.output


def test_merging_writes_a_word_that_inspect_and_library_know(run, two_files):
    result = run("merge", "new", "cat-toy*0.5 + 'a cat'", "--truncate", 1)
    assert result.exit_code == 0, result.output
    assert result.output == "wrote embeddings/new.safetensors  (1 vector, clip_l 256)\n"
    assert "merged from cat-toy*0.5 + 'a cat'" in " ".join(run("inspect", "embeddings/new.safetensors").output.split())
    found = json.loads(run("library", "--json", "--model", "bundled").stdout)
    assert [one["trigger"] for one in found["loaded"]] == ["cat-toy", "new"]
    (skipped,) = found["skipped"]
    assert skipped == {
        "file": "embeddings/mignon.pt",
        "reason": "made for SD1.x (768), the model is the bundled model (256)",
    }


def test_a_wrong_expression_is_one_line_with_the_column(run, two_files):
    result = run("merge", "new", "cat-toy + ")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: expression, column 11: the expression ends here")


def test_the_folder_as_a_page(run, two_files, tmp_path):
    save_file({"emb_params": torch.ones(3, 256)}, tmp_path / "embeddings/CAT-TOY.bin")
    save_file({"emb_params": torch.ones(3, 256)}, tmp_path / "embeddings/same.safetensors")
    result = run("library")
    assert result.exit_code == 0, result.output
    lines = [line.rstrip() for line in result.output.splitlines()]
    assert lines[0] == "embeddings: 3 words, 1 file skipped"
    assert max(len(line) for line in lines if not line.startswith(("taken twice", "the same"))) <= 80
    text = " ".join(result.output.split())
    assert "taken by" in text
    assert "with the same vectors" in text
    assert "the same vectors: " in text


def test_a_large_folder_is_listed_in_plain_lines(run, tmp_path):
    for number in range(301):
        save_file({"emb_params": torch.full((1, 256), number / 300)}, tmp_path / f"embeddings/w{number:03}.safetensors")
    lines = run("library").output.splitlines()
    assert lines[0] == "embeddings: 301 words, 0 files skipped"
    assert lines[1].split("  ")[0] == "word"
    assert len(lines) == 303
    assert lines[-1].startswith("w300")
    assert lines[-1].endswith("  w300.safetensors")


def test_another_folder(run, two_files, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    assert run("library", "--embeddings-dir", "elsewhere").output.startswith("elsewhere: 0 words, 0 files skipped")
    assert run("library", "--embeddings-dir", "embeddings/mignon.pt").exit_code == 2


def test_help_is_quick_and_whole(run):
    for command, words in (("inspect", "--json"), ("merge", "--rescale"), ("library", "--model")):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert words in result.output
