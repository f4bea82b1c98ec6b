"""`find`, `pull` and `publish` as a user types them: whole lines, exit codes, nothing half-written."""

import json
import re

import pytest
from tests.share_server import status
from typer.testing import CliRunner

from pseudoword.cli.main import app


@pytest.fixture
def run(share_server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


def one_line_and_code_2(result, *words):
    assert result.exit_code == 2, result.output
    (line,) = result.output.strip().splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def test_find_prints_a_row_for_each_with_question_marks_for_what_nobody_says(run):
    result = run("find", "cat", "toy")
    assert result.exit_code == 0, result.output
    head, *rows = result.output.splitlines()
    assert head.split() == ["id", "name", "family", "vectors", "downloads", "licence", "preview"]
    cells = [re.split(r"\s{2,}", row.strip()) for row in rows]
    assert cells[0] == ["civitai:3036", "Cat Toy", "sd1", "~8", "56206", "commercial: Rent",
                        "https://image.civitai.com/x/width=450/12.jpeg"]  # fmt: skip
    assert cells[1][:6] == ["sd-concepts-library/cat-toy", "cat-toy", "?", "?", "0", "mit"]
    assert result.output.splitlines()[-1] == "Fetch one with: pseudoword pull civitai:3036"


def test_find_prints_json(run):
    result = run("find", "cat", "--source", "hub", "--limit", 1, "--json")
    (row,) = json.loads(result.output)
    assert list(row) == ["id", "source", "name", "family", "base_model", "vectors", "downloads", "licence", "preview",
                         "page"]  # fmt: skip
    assert (row["id"], row["family"]) == ("someone/fluffy-cat", "sdxl")


def test_the_text_of_strangers_cannot_draw_on_the_terminal(run, share_server):
    share_server.civitai["items"][0]["name"] = "cat \x1b[31m[red]toy[/red]\n\u202e"
    result = run("find", "cat", "--source", "civitai")
    assert "cat [31m[red]toy[/red]" in result.output
    assert "\x1b" not in result.output


def test_find_without_a_hit_says_so(run):
    result = run("find", "zzz")
    assert (result.exit_code, result.output) == (0, "nothing found; try fewer or other words\n")


def test_pull_says_what_to_write_in_a_prompt(run, tmp_path):
    result = run("pull", "sd-concepts-library/cat-toy")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "wrote embeddings/cat-toy.bin  (write 'cat-toy' in a prompt; 1 vector for SD1.x (768); from "
        "sd-concepts-library/cat-toy)"
    ]
    assert (tmp_path / "embeddings" / "cat-toy.bin").is_file()


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("cat", ["id 'cat'", "owner/name"]),
        ("no/where", ["answered 404", "pseudoword find"]),
        ("civitai:1", ["No model with id 0"]),
        ("someone/evil", ["system", "nothing of it was run"]),
        ("civitai:777", ["Danger"]),
        ("someone/many", ["2 embeddings", "pseudoword pull someone/many/"]),
    ],
)
def test_what_cannot_be_pulled_is_one_line(run, tmp_path, identity, words):
    one_line_and_code_2(run("pull", identity), *words)
    assert not (tmp_path / "embeddings").exists()


def test_being_offline_is_one_line(run, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for command in (("find", "cat"), ("pull", "a/b"), ("pull", "civitai:1")):
        one_line_and_code_2(run(*command), "HF_HUB_OFFLINE is set")


def test_a_busy_service_is_one_line(run, share_server):
    share_server.fail("/api/", status(429, retry_after="600"))
    one_line_and_code_2(run("pull", "a/b"), "asks to wait 600 seconds")


def test_a_missing_extra_is_one_line(run, monkeypatch):
    monkeypatch.setattr("pseudoword.hub.wire.find_spec", lambda name: None)
    one_line_and_code_2(run("find", "cat"), "pip install 'pseudoword[hub]'")


def test_publish_needs_a_repository_and_a_dry_run_tells_what_it_wrote(run):
    run("pull", "sd-concepts-library/cat-toy")
    assert run("publish", "cat-toy").exit_code == 2
    result = run("publish", "cat-toy", "--repo", "me/cat-toy", "--dry-run", "out")
    assert result.exit_code == 0, result.output
    assert [line for line in result.output.splitlines() if line.startswith("wrote")] == [
        "wrote out/README.md  (not uploaded)",
        "wrote out/cat-toy.bin  (not uploaded)",
    ]


@pytest.mark.parametrize(("command", "option"), [("find", "--family"), ("pull", "--max-size"), ("publish", "--repo")])
def test_help_shows_the_options(run, command, option):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert option in result.output
