"""Make the sample pictures that ship with the project: a style that the bundled model has never seen.

    npm pack @iconify-json/fluent-emoji-high-contrast@1.2.6      # then unpack it
    python tools/make_samples.py --icons package

A picture's file name is its caption (`[filewords]` in a template). The pictures are in the repository, so
this runs only when one of them is to change; the same input gives the same files.
"""

import argparse
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

SAMPLES = Path(__file__).resolve().parent.parent / "src" / "pseudoword" / "samples"
SIZE = 256
INK = "#222"
STYLE = "high-contrast"

# Caption → icon. Words that the bundled model was trained on; what is held back is never trained on.
TRAINING_ICONS = {
    "airplane": "airplane",
    "bell": "bell",
    "camera": "camera",
    "cherries": "cherries",
    "cloud": "cloud",
    "clown face": "clown-face",
    "crescent moon": "crescent-moon",
    "crown": "crown",
    "dog face": "dog-face",
    "frog": "frog",
    "gift": "wrapped-gift",
    "guitar": "guitar",
    "hot dog": "hot-dog",
    "house": "house",
    "pear": "pear",
    "pig face": "pig-face",
    "rabbit face": "rabbit-face",
    "red apple": "red-apple",
    "red heart": "red-heart",
    "rocket": "rocket",
    "snowman": "snowman",
    "star": "glowing-star",
    "sun": "sun",
    "sunflower": "sunflower",
}
HELD_BACK_ICONS = {
    "balloon": "balloon",
    "bear": "bear",
    "bicycle": "bicycle",
    "car": "automobile",
    "cat face": "cat-face",
    "fish": "fish",
    "key": "key",
    "mushroom": "mushroom",
    "pizza": "pizza",
    "strawberry": "strawberry",
    "tree": "evergreen-tree",
    "umbrella": "umbrella",
}


def save_picture(svg: str, path: Path) -> None:
    """Render `svg` on white at 256 x 256 and write it to `path` as an opaque, optimised RGB PNG."""
    drawn = Image.open(io.BytesIO(resvg_py.svg_to_bytes(svg_string=svg, width=SIZE, height=SIZE)))
    picture = Image.new("RGBA", drawn.size, "white")
    picture.alpha_composite(drawn.convert("RGBA"))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").save(path, optimize=True)


def icon_svg(icons: Mapping[str, Any], name: str) -> str:
    """One icon of an Iconify collection as a square SVG, drawn in dark ink."""
    icon = icons["icons"][name]
    width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
    side = max(width, height)
    left, top = icon.get("left", 0) - (side - width) / 2, icon.get("top", 0) - (side - height) / 2
    body = icon["body"].replace("currentColor", INK)
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left} {top} {side} {side}">{body}</svg>'


def make_style(package: Path) -> None:
    """Write the style set from an unpacked `@iconify-json` package."""
    icons = json.loads((package / "icons.json").read_text(encoding="utf-8"))
    for folder, chosen in (("training", TRAINING_ICONS), ("held-back", HELD_BACK_ICONS)):
        for caption, name in chosen.items():
            save_picture(icon_svg(icons, name), SAMPLES / STYLE / folder / f"{caption}.png")


def main() -> None:
    """Write the sample sets."""
    parser = argparse.ArgumentParser(description="Make the sample pictures that ship with the project.")
    parser.add_argument("--icons", type=Path, required=True, help="the unpacked icon package's folder")
    make_style(parser.parse_args().icons)


if __name__ == "__main__":
    main()
