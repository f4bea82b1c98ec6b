"""The wheel, alone in an empty environment, does the main job with what is inside it."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

WORD = "wheelword"
FULL = ["--precision", "fp32"]
WHERE = (
    "import json, pseudoword; from pathlib import Path; "
    "home = Path(pseudoword.__file__).parent; "
    "print(json.dumps([str(home), str(home / 'samples' / 'high-contrast' / 'training')]))"
)


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PSEUDOWORD_", "VIRTUAL_ENV"))}
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "PYTHONUTF8": "1", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    constraints = str(project_root / "constraints.txt")
    run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", out, project_root],
        cwd=out,
        PIP_CONSTRAINT=constraints,
        PIP_BUILD_CONSTRAINT=constraints,
    )
    (built,) = out.glob("pseudoword-*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel: Path, project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel and what it asks for, and nothing else."""
    place = tmp_path_factory.mktemp("fresh")
    run([sys.executable, "-m", "venv", place / "venv"], cwd=place)
    found = place / "venv" / ("Scripts" if os.name == "nt" else "bin")
    run([found / "python", "-m", "pip", "install", "-c", project_root / "constraints.txt", wheel], cwd=place)
    return found


def test_the_wheel_holds_model_samples_and_licences_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    bundled = "pseudoword/models/bundled"
    for part in ("text_encoder/model", "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model"):
        assert f"{bundled}/{part}.safetensors" in names
    assert f"{bundled}/model_index.json" in names
    samples = "pseudoword/samples/high-contrast"
    assert len([n for n in names if n.startswith(f"{samples}/training/") and n.endswith(".png")]) == 24
    assert len([n for n in names if n.startswith(f"{samples}/held-back/") and n.endswith(".png")]) == 12
    assert f"{samples}/LICENSE" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pseudoword"}


def test_the_installed_program_shows_its_help(programs: Path, tmp_path: Path) -> None:
    assert "train" in run([programs / "pseudoword", "--help"], cwd=tmp_path)


def test_the_installed_program_learns_a_word_and_draws_with_it(programs: Path, tmp_path: Path) -> None:
    home, pictures = json.loads(run([programs / "python", "-c", WHERE], cwd=tmp_path))
    assert Path(home).is_relative_to(programs.parent)

    run([programs / "pseudoword", "train", WORD, pictures, "--steps", "3", *FULL], cwd=tmp_path)
    (learned,) = (tmp_path / "embeddings").rglob(f"{WORD}.safetensors")
    assert learned.stat().st_size > 0

    run([programs / "pseudoword", "generate", f"a cat, art by {WORD}", "--steps", "2", *FULL], cwd=tmp_path)
    (picture,) = (tmp_path / "outputs").rglob("*.png")
    assert f'TI hashes: "{WORD}: '.encode() in picture.read_bytes()
