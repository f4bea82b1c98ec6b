"""README.md's commands run as they stand, but for shorter; its shape is as agreed."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# what would take minutes is made short: the same commands with these words added
SHORTER = {
    "train": [
        "--steps",
        "2",
        "--evaluate-every",
        "0",
        "--preview-every",
        "0",
        "--save-every",
        "0",
        "--batch-size",
        "1",
    ],
    "resume": ["--steps", "3"],
    "generate": ["--steps", "2", "--seed", "1"],
}


@pytest.fixture(scope="module")
def readme(project_root: Path) -> str:
    return (project_root / "README.md").read_text("utf-8")


def commands(readme: str) -> list[list[str]]:
    """Words of each line of the shell blocks, comments taken away."""
    blocks = re.findall(r"^```bash\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    return [shlex.split(line, comments=True) for line in lines if "git clone" not in line]


def test_the_first_line_says_what_it_is_and_the_first_commands_come_by_line_20(readme):
    lines = readme.splitlines()
    assert lines[0].startswith("Pseudoword ")
    assert lines[0].endswith(".")
    assert lines.index("```bash") < 20
    assert next(line for line in lines[1:] if line).startswith("![")


def test_every_command_of_make_is_a_target(readme, project_root):
    makefile = (project_root / "Makefile").read_text("utf-8")
    targets = [words[1] for words in commands(readme) if words[0] == "make"]
    assert targets == ["demo", "test"]
    for target in (*targets, *re.findall(r"`make ([a-z-]+)`", readme)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.timeout(600)
def test_the_commands_for_ones_own_pictures_run_in_their_order(readme, pictures_dir, tmp_path):
    own = [words for words in commands(readme) if words[0] == "pseudoword"]
    assert [words[1] for words in own] == ["train", "resume", "generate"]
    here = tmp_path / "here"
    here.mkdir()
    shutil.copytree(pictures_dir, here / "my-pictures")
    for words in own:
        command = [sys.executable, "-m", "pseudoword", *words[1:], *SHORTER[words[1]]]
        done = subprocess.run(
            command, cwd=here, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    assert (here / "embeddings" / "mystyle.safetensors").is_file()
    assert len(list((here / "outputs").rglob("*.png"))) == 1


def test_every_page_of_the_guide_is_linked_from_the_readme_and_from_the_index(readme, project_root):
    index = (project_root / "docs" / "guide" / "README.md").read_text("utf-8")
    for page in (project_root / "docs" / "guide").glob("*.md"):
        if page.name != "README.md":
            assert f"(docs/guide/{page.name})" in readme, page.name
            assert f"({page.name})" in index, page.name


def test_every_command_of_the_program_is_told_in_the_readme_or_in_the_guide(readme, project_root):
    import typer

    from pseudoword.cli.main import app

    told = readme + "".join(page.read_text("utf-8") for page in (project_root / "docs" / "guide").glob("*.md"))
    names = list(typer.main.get_command(app).commands)
    assert "suggest-init" in names
    assert not [name for name in names if f"pseudoword {name}" not in told]
