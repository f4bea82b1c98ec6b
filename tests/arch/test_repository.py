"""Rules about the files of the repository that no linter checks."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pseudoword

# Put together here, so that this file does not break its own rule.
REGISTRY_HOSTS = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
        ("download", "pytorch", "org"),
    ]
]
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:work|root|home|opt)/")
PINNED = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*==[0-9]+(?:\.[0-9]+)*")
LONGEST_FILE = 400


@pytest.fixture(scope="module")
def texts(project_root: Path) -> dict[str, str]:
    """Path to content of every text file under version control, or about to be."""
    if not (project_root / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for name in filter(None, listing.stdout.split("\0")):
        path = project_root / name
        content = path.read_bytes() if path.is_file() else b"\0"
        if b"\0" not in content:
            found[name] = content.decode("utf-8", errors="replace")
    return found


@pytest.fixture(scope="module")
def project(project_root: Path) -> dict[str, Any]:
    return tomllib.loads((project_root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def constraints(project_root: Path) -> list[str]:
    lines = (project_root / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def requirements(project: dict[str, Any]) -> list[Requirement]:
    groups = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
    ]
    return [Requirement(line) for group in groups for line in group]


def test_no_file_names_a_package_registrys_host(texts: dict[str, str]) -> None:
    assert not [(name, host) for name, text in texts.items() for host in REGISTRY_HOSTS if host in text]


def test_no_file_names_a_path_of_one_machine(texts: dict[str, str]) -> None:
    assert not [(name, found[0]) for name, text in texts.items() if (found := MACHINE_PATH.search(text))]


def test_every_constraint_is_one_name_and_one_exact_version(constraints: list[str]) -> None:
    assert not [line for line in constraints if not PINNED.fullmatch(line)]
    names = [line.split("==")[0] for line in constraints]
    assert names == sorted(set(names))


def test_every_requirement_has_a_constraint_that_it_accepts(project: dict[str, Any], constraints: list[str]) -> None:
    pinned = dict(line.split("==") for line in constraints)
    refused = [
        str(requirement)
        for requirement in requirements(project)
        if not requirement.specifier.contains(pinned.get(canonicalize_name(requirement.name), "0"))
    ]
    assert not refused


def test_torch_is_pinned_in_the_constraints_and_nowhere_else(project: dict[str, Any], constraints: list[str]) -> None:
    assert [line for line in constraints if line.startswith("torch==")]
    torch = next(r for r in requirements(project) if r.name == "torch")
    assert {specifier.operator for specifier in torch.specifier} == {">="}


def test_the_changelog_knows_the_version(texts: dict[str, str]) -> None:
    assert f"\n## {pseudoword.__version__} " in texts["CHANGELOG.md"]


def test_no_source_file_is_too_long_to_read(texts: dict[str, str]) -> None:
    lengths = {name: text.count("\n") for name, text in texts.items() if re.match(r"src/.*\.py$", name)}
    assert lengths
    assert not {name: length for name, length in lengths.items() if length > LONGEST_FILE}


def test_decision_records_are_numbered_in_order_and_fit_on_a_page(project_root: Path) -> None:
    records = sorted((project_root / "docs" / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    for record in records:
        lines = record.read_text("utf-8").splitlines()
        assert re.match(rf"# {record.name[:4]} ", lines[0]), record.name
        assert len(lines) <= 60, record.name


def test_make_without_a_target_lists_every_documented_target(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text("utf-8")
    command = ["make", "--no-print-directory"]
    shown = subprocess.run(command, cwd=project_root, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^\.PHONY: (.*?[^\\])$", makefile, re.MULTILINE | re.DOTALL)[0].split()
    assert [line.split()[0] for line in shown.splitlines()] == [t for t in targets if t != "\\"]
