"""Make the sample pictures that ship with the project, and its logo.

A style that the bundled model has never seen, and a subject: the project's own mascot, the mirp.

    python tools/make_samples.py                                 # mascot and logo
    npm pack @iconify-json/fluent-emoji-high-contrast@1.2.6      # then unpack it
    python tools/make_samples.py --icons package                 # the style too

A picture's file name is its caption (`[filewords]` in a template). The pictures are in the repository, so
this runs only when one of them is to change; the same input gives the same files.
"""

import argparse
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import resvg_py
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "src" / "pseudoword" / "samples"
LOGO = ROOT / "docs" / "images" / "logo.svg"
SIZE = 256
LOGO_SIZE = 512
INK = "#222"
STYLE = "high-contrast"
MASCOT = "mascot"

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

# The grounds are the colours that the bundled model was trained with.
GROUNDS = {
    "beige": "#f0e1c3",
    "blue": "#3264dc",
    "green": "#3ca050",
    "pink": "#faaac8",
    "red": "#dc322f",
    "sky blue": "#96cdfa",
    "white": "#ffffff",
    "yellow": "#fad746",
}
SKIN, LEAF, PUPIL = "#7a3fd0", "#ff8a1f", "#2b2140"
BODY = (
    f'<path d="M126 62C110 20 66 6 34 14C42 56 84 82 126 62Z" fill="{LEAF}"/>'
    f'<path d="M126 62C124 20 160-6 214 4C212 52 170 82 126 62Z" fill="{LEAF}"/>'
    f'<path d="M50 180L28 250L132 226Z" fill="{SKIN}"/>'
    f'<ellipse cx="128" cy="147" rx="112" ry="95" fill="{SKIN}"/>'
)
SMILE = f'<path d="M98 193q30 32 60 0" fill="none" stroke="{PUPIL}" stroke-width="10" stroke-linecap="round"/>'
LAUGH = f'<path d="M98 193h60a30 28 0 0 1-60 0Z" fill="{PUPIL}"/>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How the mascot stands in one picture: lengths in 256ths of the picture, the tilt in degrees."""

    ground: str = "white"
    scale: float = 1.0
    shift: tuple[float, float] = (0, 0)
    tilt: float = 0
    gaze: tuple[float, float] = (0, 0)
    laughs: bool = False


TRAINING_SCENES = {
    "looking to the left, on a white background": Scene(scale=0.96, gaze=(-11, 0)),
    "on a green background": Scene(ground="green", scale=0.86, shift=(-8, 6), gaze=(11, 0)),
    "on a pink background": Scene(ground="pink", scale=0.94, gaze=(0, -11)),
    "on a sky blue background": Scene(ground="sky blue", scale=0.82, shift=(10, -8), tilt=-8, laughs=True),
    "on a white background": Scene(),
    "on a yellow background": Scene(ground="yellow", scale=0.95, shift=(4, 0), tilt=8),
    "small, on a white background": Scene(scale=0.74, shift=(0, 10)),
    "tilted to the left, on a white background": Scene(scale=0.86, shift=(0, 4), tilt=-14),
}
HELD_BACK_SCENES = {
    "on a beige background": Scene(ground="beige", scale=0.92, shift=(4, 2), gaze=(-11, 0)),
    "on a blue background": Scene(ground="blue", scale=0.86, shift=(-6, 4), tilt=-6, laughs=True),
    "on a red background": Scene(ground="red", scale=0.9, tilt=6),
    "tilted to the right, on a white background": Scene(scale=0.9, tilt=12),
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


def eye(centre: float, gaze: tuple[float, float]) -> str:
    """One eye at `centre` from the left, its pupil moved by `gaze`."""
    return (
        f'<circle cx="{centre:g}" cy="132" r="40" fill="#fff"/>'
        f'<circle cx="{centre + gaze[0]:g}" cy="{132 + gaze[1]:g}" r="19" fill="{PUPIL}"/>'
    )


def mirp(scene: Scene) -> str:
    """The mascot as SVG elements: a plump violet speech bubble with big eyes and two orange leaves."""
    margin = 128 * (1 - scene.scale)
    left, top = scene.shift
    return (
        f'<g transform="translate({left:g} {top:g}) rotate({scene.tilt:g} 128 128) '
        f'translate({margin:g} {margin:g}) scale({scene.scale:g})">'
        f"{BODY}{eye(83, scene.gaze)}{eye(173, scene.gaze)}{LAUGH if scene.laughs else SMILE}</g>"
    )


def svg_file(content: str) -> str:
    """`content` as a whole SVG file with a 256 x 256 view."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 256 256">{content}</svg>\n'


def make_mascot() -> None:
    """Write the subject set: the SVG source of every scene and the picture rendered from it."""
    sources = SAMPLES / MASCOT / "svg"
    sources.mkdir(parents=True, exist_ok=True)
    for folder, scenes in (("training", TRAINING_SCENES), ("held-back", HELD_BACK_SCENES)):
        for caption, scene in scenes.items():
            svg = svg_file(f'<rect width="256" height="256" fill="{GROUNDS[scene.ground]}"/>{mirp(scene)}')
            (sources / f"{caption}.svg").write_text(svg, encoding="utf-8")
            save_picture(svg, SAMPLES / MASCOT / folder / f"{caption}.png")


def make_logo() -> None:
    """Write the logo, the mascot on a transparent ground, as SVG and as PNG."""
    svg = svg_file(mirp(Scene(scale=0.98)))
    LOGO.parent.mkdir(parents=True, exist_ok=True)
    LOGO.write_text(svg, encoding="utf-8")
    drawn = resvg_py.svg_to_bytes(svg_string=svg, width=LOGO_SIZE, height=LOGO_SIZE)
    Image.open(io.BytesIO(drawn)).save(LOGO.with_suffix(".png"), optimize=True)


def main() -> None:
    """Write the mascot and the logo; the style set too where its source is given."""
    parser = argparse.ArgumentParser(description="Make the sample pictures that ship with the project.")
    parser.add_argument("--icons", type=Path, help="the unpacked icon package's folder")
    package = parser.parse_args().icons
    make_mascot()
    make_logo()
    if package is not None:
        make_style(package)


if __name__ == "__main__":
    main()
