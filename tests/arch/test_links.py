"""The documentation's links, and the script that checks them."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def broken_links(project_root: Path) -> Callable[[Path], list[str]]:
    return runpy.run_path(str(project_root / "docs" / "check_links.py"))["broken_links"]


def test_every_link_in_this_projects_documentation_leads_somewhere(
    broken_links: Callable[[Path], list[str]], project_root: Path
) -> None:
    assert broken_links(project_root) == []


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ("[a](docs/guide.md)", None),
        ("[a](docs/guide.md#two-words)", None),
        ("[a](#here)", None),
        ("![a](docs/a%20picture.png)", None),
        ('<img alt="a" src="docs/a picture.png">', None),
        ("[a](https://example.org/nowhere)", None),
        ("`[a](in-code.md)`", None),
        ("```\n[a](in-a-block.md)\n```", None),
        ("[a](gone.md)", "gone.md: there is no such file"),
        ("[a](docs/guide.md#gone)", "docs/guide.md#gone: there is no such heading"),
        ("[a](#gone)", "#gone: there is no such heading"),
        ('<a href="gone/">', "gone/: there is no such file"),
        ("[a](../outside.md)", "../outside.md: leads out of the repository"),
    ],
)
def test_a_link_that_leads_nowhere_is_named(
    broken_links: Callable[[Path], list[str]], tmp_path: Path, link: str, problem: str | None
) -> None:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "guide.md").write_text("# Guide\n\n## Two words!\n", "utf-8")
    (root / "docs" / "a picture.png").touch()
    (tmp_path / "outside.md").touch()
    (root / "README.md").write_text(f"# Here\n\n{link}\n", "utf-8")
    assert broken_links(root) == ([f"README.md: {problem}"] if problem else [])


def test_documents_below_docs_are_read_too(broken_links: Callable[[Path], list[str]], tmp_path: Path) -> None:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "docs" / "deep" / "page.md").write_text("[up](../../README.md) [gone](x.md)", "utf-8")
    (tmp_path / "README.md").touch()
    assert broken_links(tmp_path) == ["docs/deep/page.md: x.md: there is no such file"]
