"""Measures the demo's words and writes the figures into the README, between `<!-- figures: … -->` and `<!-- end -->`.

    python tools/make_figures.py    # trains both words first
    python tools/make_figures.py --style demo/hikon.safetensors --subject build/demo-mirp/mirp.safetensors
    python tools/make_figures.py --check         # only says whether the README has the last figures

The sentences are here and the numbers are `benchmarks.learned_word`'s. What eyes must judge (which parts of the mascot
come back) stands outside of the marks and is not touched.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
STYLE_SETS = ("noto", "blob", "twitter", "fluent 3d", "fluent flat", "emojione", "firefox", "line art")
WIDTH = 120


def style_text(figures: Mapping[str, Any]) -> str:
    """What was measured of the style word."""
    plain = figures["plain_losses"]
    best_set = min(STYLE_SETS, key=lambda word: plain[word])
    closer, drawn = figures["closer"], figures["pictures"]
    before, after = figures["mean_closeness"]
    return (
        f"On 12 held-back pictures the loss is **{_below(figures, plain[best_set])} lower** than with the best of"
        f" the model's eight style words (“{best_set}”), and {_below(figures, min(plain.values()))} lower than with the"
        f" best of all {len(plain)} words tried (“{figures['best_plain_word']}”). Of 8 prompts × 4 seeds,"
        f" **{closer} of {drawn}** pictures are closer in style to the held-back ones than those drawn with"
        f" the word that it started from (“silhouette”; mean closeness {before:.3f} → {after:.3f}). Prompts go"
        " on deciding what is drawn: pictures of different things differ"
        f" {figures['spread_over_prompts']:.1f} times as much as before. (`python -m benchmarks.learned_word style`)"
    )


def subject_text(figures: Mapping[str, Any]) -> str:
    """What was measured of the subject's word."""
    best = figures["best_plain_word"]
    return (
        f"On 4 held-back drawings the loss is **{_below(figures, figures['best_plain_loss'])} lower** than with the"
        f" best of {len(figures['plain_losses'])} plain nouns tried (“{best}”), and"
        f" {_below(figures, figures['initial_loss'])} lower than with the text that it started from."
        " (`python -m benchmarks.learned_word subject`)"
    )


TEXTS = {"style": style_text, "subject": subject_text}


def _below(figures: Mapping[str, Any], loss: float) -> str:
    return f"{1 - figures['learned_loss'] / loss:.1%}".replace("%", " %")


def wrapped(text: str) -> str:
    """Lines of at most `WIDTH` letters; what stands in backticks is not cut."""
    words = re.findall(r"\S*`[^`]*`\S*|\S+", text)
    lines = [""]
    for word in words:
        longer = f"{lines[-1]} {word}".strip()
        if len(longer) > WIDTH:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def with_figures(readme: str, kind: str, text: str) -> str:
    """The README with the text between the marks of this kind.

    Raises:
        ValueError: it has no such marks, or several.
    """
    pattern = re.compile(rf"(<!-- figures: {kind} -->\n).*?(<!-- end -->)", re.DOTALL)
    changed, count = pattern.subn(lambda match: match[1] + wrapped(text) + "\n" + match[2], readme)
    if count != 1:
        raise ValueError(f"{count} places for the figures of {kind}, expected 1")
    return changed


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for kind in TEXTS:
        parser.add_argument(f"--{kind}", type=Path, help="the word's file, as the demo wrote it")
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    readme = README.read_text("utf-8")
    for kind, text in TEXTS.items():
        if not chosen.check:
            file = getattr(chosen, kind)
            command = [sys.executable, "-m", "benchmarks.learned_word", kind, *([str(file)] if file else [])]
            subprocess.run(command, check=True, cwd=ROOT)
        figures = json.loads((ROOT / "benchmarks" / "results" / f"learned-{kind}.json").read_text("utf-8"))
        readme = with_figures(readme, kind, text(figures))
    if chosen.check:
        sys.exit(0 if readme == README.read_text("utf-8") else "README.md does not have the last figures")
    README.write_text(readme, "utf-8")


if __name__ == "__main__":
    main()
