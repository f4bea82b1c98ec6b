"""Tiny models as single-file checkpoints, shared by the tests of this room."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.original_layout import original_state
from tests.tiny import write_tiny_model


@pytest.fixture(scope="session")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny model with CLIP's whole vocabulary: whole_folder("sd1" | "sd2" | "sdxl" | "sd1-inpainting")."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            folder = tmp_path_factory.mktemp("whole") / f"whole-{kind}"
            made[kind] = write_tiny_model(kind, folder, whole_vocabulary=True)
        return made[kind]

    return get


@pytest.fixture(scope="session")
def original(whole_folder: Callable[[str], Path]) -> Callable[[str], dict[str, torch.Tensor]]:
    """The same model's weights under the original names."""
    made: dict[str, dict[str, torch.Tensor]] = {}

    def get(kind: str) -> dict[str, torch.Tensor]:
        if kind not in made:
            made[kind] = original_state(whole_folder(kind))
        return dict(made[kind])

    return get


@pytest.fixture
def write_file(original: Callable[[str], dict[str, torch.Tensor]], tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint's file: write_file("sd1", "zip" | "legacy" | "safetensors", change=lambda state: state)."""

    def write(kind: str, container: str = "safetensors", change=lambda state: state, name: str = "model") -> Path:
        from safetensors.torch import save_file

        state = change(original(kind))
        if container == "safetensors":
            path = tmp_path / f"{name}.safetensors"
            save_file({key: value.contiguous() for key, value in state.items()}, path)
            return path
        path = tmp_path / f"{name}.ckpt"
        content = {"epoch": 3, "global_step": 470000, "state_dict": state}
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
        return path

    return write
