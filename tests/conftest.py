"""What all tests share: deterministic examples, nothing fetched, nothing written outside the test."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
