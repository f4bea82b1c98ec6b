"""Finds a model: one that ships, a file, a folder in diffusers' layout, or a repository on the Hugging Face hub."""

import json
import re
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from pseudoword.errors import BadModel

BUNDLED = "bundled"
NIGHT = "bundled-night"
BUNDLED_MODELS = (BUNDLED, NIGHT)
"""The models that ship: the first whole, the others as small differences to it."""
DIFFERENCE = "difference.safetensors"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_PARTS = ("tokenizer", "text_encoder", "unet", "vae", "scheduler")
_SECOND = ("tokenizer_2", "text_encoder_2")
_PIPELINES = {
    "StableDiffusionPipeline": _PARTS,
    "StableDiffusionInpaintPipeline": _PARTS,
    "StableDiffusionXLPipeline": _PARTS + _SECOND,
    "StableDiffusionXLInpaintPipeline": _PARTS + _SECOND,
}
_WANTED_FILES = ["*.json", "*.txt", "*.safetensors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A folder that has been checked to hold every part of a pipeline that can be used here."""

    path: Path
    name: str
    parts: tuple[str, ...]
    difference: Path | None = None
    """What turns the UNet into the model's own, where the folder's parts are those of the model it began from."""

    def config(self, part: str) -> dict[str, Any]:
        """The part's own configuration."""
        filename = "scheduler_config.json" if part == "scheduler" else "config.json"
        return _read_json(self.path / part / filename)

    def index(self) -> dict[str, Any]:
        """The pipeline's own settings, from model_index.json."""
        return _read_json(self.path / "model_index.json")

    def weights(self, part: str) -> tuple[list[Path], str | None]:
        """The part's weight files, and their variant (`fp16`) where only such files are there."""
        found = sorted((self.path / part).glob("*.safetensors"))
        plain = [file for file in found if len(file.name.split(".")) == 2]
        if plain:
            return plain, None
        half = [file for file in found if ".fp16" in file.name]
        if half:
            return half, "fp16"
        pickled = list((self.path / part).glob("*.bin"))
        raise BadModel(
            f"{part}/ of {self.path} holds {'only pickled weights' if pickled else 'no weights'}",
            expected="a .safetensors file",
            next_move="Save the pipeline again with safe_serialization=True" if pickled else "Fetch it again",
        )


def find_checkpoint(source: str) -> Path | None:
    """The file behind these words, where they name one."""
    path, exists = look(source)
    return path if source not in BUNDLED_MODELS and exists and path.is_file() else None


def find_model(source: str) -> ModelFolder:
    """The folder behind the name of a bundled model, a path or a hub id.

    Raises:
        BadModel: there is none, it lacks a part, or its pipeline is of a kind that has no place here.
    """
    if source in BUNDLED_MODELS:
        return _checked(_shipped(source), source)
    path, exists = look(source)
    if exists and path.is_dir():
        return _checked(path, path.resolve().name)
    if _HUB_ID.fullmatch(source):
        return _checked(_fetch(source), source.split("/")[1])
    raise BadModel(
        f"no model {source!r} here",
        expected=f"{', '.join(BUNDLED_MODELS)}, a .safetensors or .ckpt file, a folder in diffusers' layout, "
        "or a hub id such as owner/name",
        next_move="Check the path given to --model",
    )


def _shipped(name: str) -> Path:
    return Path(str(files("pseudoword"))) / "models" / name


def look(source: str) -> tuple[Path, bool]:
    """The path that the words may mean, and whether it is there."""
    try:
        path = Path(source).expanduser()
        return path, path.exists()
    except (OSError, RuntimeError, ValueError):  # too long a name, an unknown user's home, a null character
        return Path(source), False


def _fetch(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=_WANTED_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as problem:
        raise BadModel(
            f"{hub_id!r} could not be fetched from the hub ({type(problem).__name__})",
            next_move="Check the spelling and the connection, or give a folder on this machine",
        ) from problem


def _checked(path: Path, name: str) -> ModelFolder:
    if (path / DIFFERENCE).is_file():
        return replace(_checked(_shipped(BUNDLED), name), difference=path / DIFFERENCE)
    index = path / "model_index.json"
    if not index.is_file():
        raise BadModel(
            f"{path} is no model",
            expected="a folder in diffusers' layout, with model_index.json in it",
            next_move="Check the path given to --model",
        )
    pipeline = str(_read_json(index).get("_class_name"))
    parts = _PIPELINES.get(pipeline)
    if parts is None:
        raise BadModel(f"{path} is a {pipeline}", expected=" or ".join(_PIPELINES))
    missing = [part for part in parts if not (path / part).is_dir()]
    if missing:
        raise BadModel(f"{path} lacks {', '.join(missing)}", next_move="Fetch or copy the whole folder again")
    return ModelFolder(path=path, name=name, parts=parts)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise BadModel(f"{path} cannot be read ({problem})", next_move="Fetch the model again") from problem
    if not isinstance(value, dict):
        raise BadModel(f"{path} holds no JSON object", next_move="Fetch the model again")
    return value
