"""What users import stays small, and starting the program stays quick."""

import os
import subprocess
import sys

import pseudoword

HEAVY = [
    "accelerate",
    "diffusers",
    "huggingface_hub",
    "matplotlib",
    "numpy",
    "tensorboard",
    "torch",
    "transformers",
]
SAY_WHAT_IS_LOADED = f"import sys; print(*[name for name in {HEAVY} if name in sys.modules])"


def loaded_after(code: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{SAY_WHAT_IS_LOADED}"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1].split()


def test_the_public_names_are_few_sorted_and_there() -> None:
    names = list(pseudoword.__all__)
    assert names == sorted(set(names))
    assert len(names) <= 25
    missing = [name for name in names if not hasattr(pseudoword, name)]
    assert not missing


def test_dir_lists_the_public_names() -> None:
    assert set(pseudoword.__all__) <= set(dir(pseudoword))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import pseudoword") == []


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_after("import pseudoword.cli.main") == []


def test_help_loads_nothing_heavy_and_names_the_main_commands() -> None:
    code = """
import sys
sys.argv = ["pseudoword", "--help"]
from pseudoword.cli.main import run
try:
    run()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert loaded_after(code) == []


def test_python_m_runs_the_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pseudoword", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"},
    )
    assert result.returncode == 0, result.stderr
    for command in ("train", "generate", "resume", "demo"):
        assert command in result.stdout
