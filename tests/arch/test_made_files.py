"""What programs made: every picture has a maker, `make regenerate` runs them all, the README's figures are theirs."""

import re
import runpy
from pathlib import Path

import pytest

MAKERS = ("make_samples.py", "make_pictures.py", "make_golden.py", "make_figures.py")


def test_every_picture_of_the_documentation_and_of_the_golden_tests_is_named_by_its_maker(project_root: Path) -> None:
    tools = "".join((project_root / "tools" / name).read_text("utf-8") for name in MAKERS)
    golden = (project_root / "tests" / "golden" / "cases.py").read_text("utf-8")
    pictures = [path for path in (project_root / "docs" / "images").iterdir() if path.is_file()]
    assert pictures
    # the logo is written as SVG and rendered to PNG beside it
    orphans = [p.name for p in pictures if f'"{p.name}"' not in tools and f'"{p.stem}.svg"' not in tools]
    assert orphans == []
    kept = list((project_root / "tests" / "golden").glob("*.png"))
    assert kept
    assert [path.name for path in kept if f'name="{path.stem}"' not in golden] == []


def test_every_picture_that_the_maker_lists_is_there_and_shown(project_root: Path) -> None:
    tools = (project_root / "tools" / "make_pictures.py").read_text("utf-8")
    names = re.findall(r'^    "([\w-]+\.png)": ', tools, re.MULTILINE)
    pages = "".join(
        page.read_text("utf-8") for page in (project_root / "README.md", *(project_root / "docs").rglob("*.md"))
    )
    assert len(names) >= 9
    for name in names:
        assert (project_root / "docs" / "images" / name).is_file(), name
        assert f"images/{name})" in pages, f"{name} is shown nowhere"


def test_regenerate_runs_every_maker_on_a_line_of_its_own(project_root: Path) -> None:
    makefile = (project_root / "Makefile").read_text("utf-8")
    recipe = re.findall(r"^regenerate:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[0].splitlines()
    for maker in (*MAKERS, "check_links.py"):
        assert sum(maker in line for line in recipe) == 1, maker
    assert sum("pseudoword demo" in line for line in recipe) == 2


FIGURES = {
    "style": {
        "learned_loss": 0.2,
        "best_plain_word": "sketch",
        "plain_losses": {
            **dict.fromkeys(("noto", "twitter", "fluent 3d", "fluent flat", "emojione", "firefox", "line art"), 0.5),
            "blob": 0.4,
            "sketch": 0.25,
            "silhouette": 0.6,
        },
        "closer": 31,
        "pictures": 32,
        "mean_closeness": [0.9, 0.95],
        "spread_over_prompts": 0.84,
    },
    "subject": {
        "learned_loss": 0.2,
        "initial_loss": 0.32,
        "best_plain_word": "octopus",
        "best_plain_loss": 0.25,
        "plain_losses": dict.fromkeys(("octopus", "smiling face with horns"), 0.3),
    },
}
SAID = {
    "style": ["**50.0 % lower**", "(“blob”)", "20.0 % lower", "(“sketch”)", "**31 of 32**", "0.8 times"],
    "subject": ["**20.0 % lower**", "2 plain nouns", "(“octopus”)", "37.5 % lower"],
}


@pytest.mark.parametrize("kind", ["style", "subject"])
def test_figures_are_written_between_their_marks_and_nothing_else_changes(project_root: Path, kind: str) -> None:
    tool = runpy.run_path(str(project_root / "tools" / "make_figures.py"))
    readme = (project_root / "README.md").read_text("utf-8")
    changed = tool["with_figures"](readme, kind, tool["TEXTS"][kind](FIGURES[kind]))
    begin, end = f"<!-- figures: {kind} -->\n", "\n<!-- end -->"
    head, rest = changed.split(begin)
    told, tail = rest.split(end, 1)
    for words in SAID[kind]:
        assert words in " ".join(told.split()), words
    assert max(map(len, told.splitlines())) <= 120
    assert readme.startswith(head + begin)
    assert readme.endswith(end + tail)
    with pytest.raises(ValueError, match="0 places"):
        tool["with_figures"]("no marks", kind, "text")
