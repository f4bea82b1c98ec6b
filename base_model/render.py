"""Stage 1: draw every icon of the training sets as a square picture with alpha.

Reads `icons.json` (one SVG body per icon) and `info.json` (author and licence) of each set; writes
`render/<set>.npy` (uint8, n × p × p × 4) and `render/<set>.json` (names). Left out: skin-tone variants,
flags, digits, low-contrast doubles. A set of the kept-back table is refused, also when its folder has
another name. Resumable by set.
"""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from PIL import Image

from base_model.options import names, option
from base_model.sets import BY_NAME, KEPT_BACK, TRAINING_SETS
from base_model.sizes import SIZES
from base_model.work import Recipe, Refused, Work, recipe_facts
from pseudoword.files import atomic_path, write_json

LEFT_OUT = re.compile(
    r"(light|dark|medium)-skin|skin-tone|medium-light|medium-dark|-(light|dark|medium)$"  # skin tones
    r"|^flag-|regional-indicator|-low$|^[0-9]$"
)
INK = "#222"  # what `currentColor` becomes


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderOptions:
    """Options of `render`; the first three are kept for all later stages."""

    size: str = option("full", "size of pictures and networks", choices=sorted(SIZES))
    seed: int = option(0, "seed of every later stage", int)
    shared_by: int = option(4, "sets that must share a concept for the denoiser to learn it", int)
    sets: tuple[str, ...] = option((), "training sets, separated by commas (all of the table)", names)
    icons: Path | None = option(None, "folder with one folder per set (WORK/icons)", Path)  # noqa: RUF009


def check(work: Work, options: RenderOptions) -> None:
    """Refuse before anything is drawn or removed.

    Raises:
        Refused: a set is kept back, unknown or missing.
    """
    for name in _chosen(options):
        check_set(name, options.icons or work.icons)


def run(work: Work, options: RenderOptions) -> None:
    """Render the sets that `options` names.

    Raises:
        Refused: the folder was begun with another size, seed or choice of sets.
    """
    check(work, options)
    source, chosen = options.icons or work.icons, _chosen(options)
    recipe = Recipe(size=options.size, seed=options.seed, sets=chosen, shared_by=options.shared_by)
    _check_same_recipe(work, recipe)
    reports = {name: _render_set(source / name, work.folder("render"), options.size) for name in chosen}
    work.finish("render", {"recipe": recipe_facts(recipe), "sets": reports})


def _chosen(options: RenderOptions) -> tuple[str, ...]:
    return options.sets or tuple(icons.name for icons in TRAINING_SETS)


def check_set(name: str, source: Path) -> None:
    """Refuse a set that must not be trained on or is not there.

    Raises:
        Refused: the set, by its name or by the prefix in its `icons.json`, is kept back, unknown or missing.
    """
    _refuse_kept_back(name)
    if name not in BY_NAME:
        raise Refused(f"{name} has no style word. Add it to base_model/sets.py, or choose of {', '.join(BY_NAME)}")
    for file in ("info.json", "icons.json"):
        path = source / name / file
        if not path.is_file():
            raise Refused(f"{path} is not there. Run `python -m base_model fetch` first, or give --icons")
    _refuse_kept_back(json.loads((source / name / "icons.json").read_text("utf-8"))["prefix"])


def _refuse_kept_back(name: str) -> None:
    if name in KEPT_BACK:
        raise Refused(f"{name} is kept back ({KEPT_BACK[name]}): it is never trained on. Leave it out of --sets")


def _check_same_recipe(work: Work, recipe: Recipe) -> None:
    path = work.folder("render") / "recipe.json"
    if path.is_file() and json.loads(path.read_text("utf-8")) != recipe_facts(recipe):
        raise Refused(f"{path.parent} was begun with other options. Use --again, or another --work folder")
    write_json(path, recipe_facts(recipe))


def _render_set(source: Path, folder: Path, size: str) -> dict[str, Any]:
    """Draw one set, unless its names file says that it is drawn; returns the facts for the card."""
    report_path = folder / f"{source.name}.json"
    if report_path.is_file():
        return json.loads(report_path.read_text("utf-8"))["facts"]
    icons = json.loads((source / "icons.json").read_text("utf-8"))
    pictures: list[np.ndarray] = []
    drawn: list[str] = []
    skipped: dict[str, str] = {}
    for name, svg in _documents(icons, SIZES[size].pixels):
        try:
            pictures.append(draw(svg, SIZES[size].pixels))
            drawn.append(name)
        except ValueError as reason:
            skipped[name] = str(reason)
    if not pictures:
        raise Refused(f"no icon of {source} could be drawn: {skipped or 'it holds none that is wanted'}")
    with atomic_path(folder / f"{source.name}.npy") as temporary:
        np.save(temporary, np.stack(pictures))
    facts = {**_origin(source), "pictures": len(drawn), "skipped": skipped}
    write_json(report_path, {"names": drawn, "facts": facts})
    print(f"{source.name}: {len(drawn)} pictures, {len(skipped)} could not be drawn")
    return facts


def _origin(source: Path) -> dict[str, str]:
    info = json.loads((source / "info.json").read_text("utf-8"))
    return {
        "title": info["name"],
        "author": info["author"]["name"],
        "url": info["author"].get("url", ""),
        "licence": info["license"]["spdx"],
        "licence_url": info["license"].get("url", ""),
    }


def _documents(icons: dict[str, Any], pixels: int) -> Iterator[tuple[str, str]]:
    for name, icon in icons["icons"].items():
        if not icon.get("hidden") and not LEFT_OUT.search(name):
            yield name, svg_document(icon, icons, pixels)


def svg_document(icon: dict[str, Any], defaults: dict[str, Any], pixels: int) -> str:
    """A whole SVG document of an icon's body, centred in a square view box."""
    width = icon.get("width", defaults.get("width", 16))
    height = icon.get("height", defaults.get("height", 16))
    side = max(width, height)
    left = icon.get("left", 0) - (side - width) / 2
    top = icon.get("top", 0) - (side - height) / 2
    body = icon["body"].replace("currentColor", INK)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {side} {side}" width="{pixels}" height="{pixels}">{body}</svg>'
    )


def draw(svg: str, pixels: int) -> np.ndarray:
    """Draw an SVG document as uint8 RGBA of shape (pixels, pixels, 4), alpha not premultiplied.

    Raises:
        ValueError: the document cannot be drawn, or the picture is empty.
    """
    png = resvg_py.svg_to_bytes(svg_string=svg, width=pixels, height=pixels, skip_system_fonts=True)
    rgba = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))
    if rgba.shape != (pixels, pixels, 4):
        raise ValueError(f"drawn as {rgba.shape}, expected {(pixels, pixels, 4)}")
    if not rgba[..., 3].any():
        raise ValueError("nothing was drawn")
    return rgba
