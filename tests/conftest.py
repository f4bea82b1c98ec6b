"""What all tests share: deterministic examples, nothing fetched, nothing written outside the test."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from pseudoword.models.diffusers_model import DiffusersModel
    from tests.share_server import ShareServer

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Settings from the developer's shell do not reach a test, and the cache is a temporary one."""
    for name in [name for name in os.environ if name.startswith("PSEUDOWORD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PSEUDOWORD_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], Path]":
    """Folder of a tiny model: tiny_folder("sd1" | "sd2" | "sdxl")."""
    from tests.tiny import write_tiny_model

    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = write_tiny_model(kind, tmp_path_factory.mktemp("tiny") / f"tiny-{kind}")
        return made[kind]

    return get


@pytest.fixture(scope="session")
def load(
    tiny_folder: "Callable[[str], Path]", tmp_path_factory: pytest.TempPathFactory
) -> "Callable[..., DiffusersModel]":
    """A loaded model, shared by all tests of the process: load("sd1" | "sd2" | "sdxl" | "bundled", "fp32")."""
    from pseudoword.models.load import load_model

    loaded: dict[tuple[str, str], DiffusersModel] = {}

    def get(kind: str, precision: str = "fp32") -> "DiffusersModel":
        key = (kind, precision)
        if key not in loaded:
            source = kind if kind == "bundled" else str(tiny_folder(kind))
            cache = tmp_path_factory.getbasetemp() / "hashes.json"
            loaded[key] = load_model(source, device="cpu", precision=precision, hash_cache=cache)
        return loaded[key]

    return get


@pytest.fixture
def pictures_dir(tmp_path: Path) -> Path:
    """Five small drawings with words in their names."""
    from PIL import Image, ImageDraw

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, (words, colour) in enumerate(
        [("cat", "red"), ("dog", "blue"), ("house", "green"), ("car", "orange"), ("star", "purple")]
    ):
        image = Image.new("RGB", (70 + number, 64), "white")
        ImageDraw.Draw(image).ellipse((8, 8, 40 + 4 * number, 50), fill=colour)
        image.save(folder / f"{number}-{words}.png")
    return folder


@pytest.fixture
def share_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Iterator[ShareServer]":
    """Both services on 127.0.0.1, with what they share; this process asks them and nobody is logged in."""
    import huggingface_hub.constants

    from tests.share_server import ShareServer, fill

    with ShareServer() as server:
        fill(server)
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("PSEUDOWORD_CIVITAI_ENDPOINT", server.url)
        monkeypatch.setenv("PSEUDOWORD_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        for name in (
            "HF_TOKEN",
            "HUGGING_FACE_HUB_TOKEN",
            "CIVITAI_API_TOKEN",
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
        ):
            monkeypatch.delenv(name, raising=False)
        # huggingface_hub reads its environment when it is imported, which was long ago
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        yield server
