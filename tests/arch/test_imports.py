"""The house: who may import whom, as the contract in pyproject.toml says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def linter_settings(project_root: Path) -> dict[str, Any]:
    return tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]


def layers(linter_settings: dict[str, Any]) -> list[str]:
    house = next(c for c in linter_settings["contracts"] if c["type"] == "layers")
    return [room.strip() for layer in house["layers"] for room in layer.split("|")]


def modules(project_root: Path) -> set[str]:
    package = project_root / "src" / "pseudoword"
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "_version"}
    folders = {path.name for path in package.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    return files | folders


def test_no_import_goes_against_the_contract(project_root: Path, linter_settings: dict[str, Any]) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([program], cwd=project_root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{len(linter_settings['contracts'])} kept, 0 broken" in result.stdout


def test_every_room_is_named_in_the_contract(project_root: Path, linter_settings: dict[str, Any]) -> None:
    named = {room.strip("()") for room in layers(linter_settings)}
    assert modules(project_root) <= named


def test_every_room_that_the_contract_requires_is_there(project_root: Path, linter_settings: dict[str, Any]) -> None:
    required = {room for room in layers(linter_settings) if not room.startswith("(")}
    assert required <= modules(project_root)


def test_a_room_that_is_there_is_no_longer_optional_in_the_contract(
    project_root: Path, linter_settings: dict[str, Any]
) -> None:
    optional = {room.strip("()") for room in layers(linter_settings) if room.startswith("(")}
    assert not optional & modules(project_root), "take the brackets away"


def test_the_guide_to_the_house_describes_every_room(project_root: Path) -> None:
    picture = (project_root / "docs" / "architecture.md").read_text("utf-8")
    rooms = picture.split("\n## Rooms\n")[1].split("\n## ")[0]
    described = set(re.findall(r"^\| `(\w+)(?:/|\.py)` \|", rooms, re.MULTILINE))
    assert modules(project_root) - {"__main__"} == described
