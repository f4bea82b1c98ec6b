"""The guide to training names every option of the commands that it is about."""

from dataclasses import fields
from pathlib import Path

import pytest

from pseudoword.training.data_options import DatasetOptions
from pseudoword.training.options import TrainOptions
from pseudoword.training.record_options import HARMLESS

ARGUMENTS = {"name", "pictures"}


@pytest.fixture(scope="module")
def guide(project_root: Path) -> str:
    return (project_root / "docs" / "guide" / "training.md").read_text("utf-8")


def flag(name: str) -> str:
    return f"`--{name.replace('_', '-')}"


@pytest.mark.parametrize("options", [TrainOptions, DatasetOptions])
def test_the_guide_names_every_option(guide: str, options: type) -> None:
    declared = [field for field in fields(options) if field.name not in ARGUMENTS]
    flags = {field.metadata.get("flag", flag(field.name).removeprefix("`")) for field in declared}
    assert not [name for name in sorted(flags) if f"`{name}" not in guide]


def test_the_guide_lists_the_settings_that_a_continued_run_takes(guide: str) -> None:
    start = guide.index("The settings of a run are kept with it")
    listed = guide[start : guide.index("(`--evaluate-every`", start)]
    assert {name for name in HARMLESS if flag(name) in listed} == HARMLESS
    assert listed.count("`--") == len(HARMLESS)


def test_the_guide_names_every_file_of_a_run(guide: str, project_root: Path) -> None:
    from pseudoword.training.run import RunFolder

    folder = RunFolder(Path("x"))
    paths = [value for name in dir(RunFolder) if isinstance(value := getattr(folder, name), Path) and name != "path"]
    assert not [path.name for path in paths if path.name not in guide and not path.name.startswith(".")]
