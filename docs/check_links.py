"""Checks that every link from the documentation into the repository leads somewhere.

    python docs/check_links.py

Looks at README.md, CONTRIBUTING.md, CHANGELOG.md and all Markdown under docs/: Markdown links and pictures
and HTML `href` and `src`. A relative target must exist inside the repository, and a `#heading` must be a
heading of the file it points into. Links to the web are left alone, as is everything inside code.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)|\b(?:href|src)=\"([^\"]+)\"")
_WEB = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)


def documents(root: Path) -> list[Path]:
    """The Markdown files whose links are checked."""
    top = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [path for path in top if path.is_file()] + sorted((root / "docs").rglob("*.md"))


def links(text: str) -> Iterator[str]:
    """Targets of all links into the repository, in order."""
    prose = _CODE.sub("", _FENCE.sub("", text))
    for match in _LINK.finditer(prose):
        target = match[1] or match[2]
        if not _WEB.match(target):
            yield target


def anchors(text: str) -> set[str]:
    """The `#…` names of a file's headings, made as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def problem_with(document: Path, target: str, root: Path) -> str | None:
    """What is wrong with one link, or None."""
    name, _, anchor = unquote(target).partition("#")
    path = (document.parent / name).resolve() if name else document
    if not path.is_relative_to(root):
        return "leads out of the repository"
    if not path.exists():
        return "there is no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path.read_text("utf-8")):
        return "there is no such heading"
    return None


def broken_links(root: Path) -> list[str]:
    """One line for every link that leads nowhere."""
    root = root.resolve()
    return [
        f"{document.relative_to(root)}: {target}: {problem}"
        for document in documents(root)
        for target in links(document.read_text("utf-8"))
        if (problem := problem_with(document, target, root))
    ]


if __name__ == "__main__":
    broken = broken_links(ROOT)
    print("\n".join(broken) if broken else f"{len(documents(ROOT))} documents, every link leads somewhere")
    sys.exit(1 if broken else 0)
