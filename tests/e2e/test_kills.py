"""A run that is killed over and over, at any moment and at every kind of write, ends with the bits of one that was not.

The moments are drawn anew in every run of the tests and stand in the message of a failure.
"""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pseudoword.embeddings import read_embedding
from pseudoword.training.state import TrainState

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals and forks are POSIX's")
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LONGEST = 3.0
MOST_WRITES = 60


class Server:
    """Speaks to tests/kill_server.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def run(self, folder: Path, *arguments: object, **job: object) -> tuple[int, str]:
        folders = ["--runs-dir", str(folder / "runs")]
        if arguments[0] == "train":
            folders += ["--embeddings-dir", str(folder / "embeddings")]
        told = {"folder": str(folder), "arguments": [*map(str, arguments), *folders], **job}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["code"], answer["output"]


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    with server.process:
        server.process.stdin.close()


@pytest.fixture
def train_arguments(pictures_dir, tiny_folder, tmp_path):
    held_back = tmp_path / "held-back"
    held_back.mkdir()
    (pictures_dir / "4-star.png").rename(held_back / "4-star.png")
    return (
        "train", "zorp", pictures_dir, "--held-back", held_back, "--model", tiny_folder("sd1"), "--init", "cat",
        "--vectors", 2, "--batch-size", 2, "--learning-rate", "2e-2:40, 5e-3", "--ema", 0.9, "--precision", "fp32",
        "--device", "cpu", "--stop", "auto", "--steps", 110, "--evaluate-every", 5, "--patience", 6, "--settle", 0.2,
        "--save-every", 20, "--preview-every", 30, "--preview-steps", 2, "--preview-count", 1, "--state-every", 7,
    )  # fmt: skip


def check_whole(folder: Path) -> None:
    """Every file that can be seen is whole."""
    for path in folder.rglob("*"):
        if path.name.startswith(".") or path.is_dir():
            continue
        if path.suffix == ".safetensors":
            assert load_file(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text())
        elif path.suffix == ".html":
            assert path.read_text().endswith("</html>\n")
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        elif path.suffix == ".csv":
            content = path.read_text()
            rows = list(csv.reader(content.splitlines()))
            assert content.endswith("\n")
            assert {len(row) for row in rows} == {len(rows[0])}, path


def kill(server: Server, folder: Path, arguments: tuple[object, ...]) -> tuple[int, str]:
    """One session with a random end; the exit code and what was done."""
    number = random.choice(SIGNALS)
    chosen: dict[str, object] = {"signal": int(number)}
    if random.random() < 0.5:
        chosen["kill_after"] = random.uniform(0, LONGEST)
    else:
        chosen["kill_at_write"] = random.randint(1, MOST_WRITES)
    begun = (folder / "runs" / "zorp" / "state.safetensors").is_file()
    if not begun and (folder / "runs" / "zorp").is_dir():  # killed before there was a run to go on with
        for path in (folder / "runs" / "zorp").iterdir():
            path.unlink()
        (folder / "runs" / "zorp").rmdir()
    code, output = server.run(folder, *(("resume", "zorp") if begun else arguments), **chosen)
    assert code in (0, 130, -number), f"{chosen}: {output}"
    check_whole(folder)
    return code, str(chosen)


def logged(folder: Path, name: str) -> list[tuple[str, ...]]:
    with (folder / "runs" / "zorp" / name).open() as handle:
        return [tuple(value for key, value in row.items() if key != "seconds") for row in csv.DictReader(handle)]


def assert_same_end(one: Path, other: Path, told: str, but: tuple[str, ...] = ()) -> None:
    first, second = (TrainState.load(f / "runs" / "zorp" / "state.safetensors") for f in (one, other))
    for group in ("rows", "initial", "average", "best"):
        for slot, values in getattr(first, group).items():
            assert torch.equal(values, getattr(second, group)[slot]), f"{group}: {told}"
    assert first.memory.numbers == second.memory.numbers, told
    for key, values in first.memory.tensors.items():
        assert torch.equal(values, second.memory.tensors[key]), f"{key}: {told}"
    assert (first.step, first.history, first.best_step) == (second.step, second.history, second.best_step), told
    for name in ("loss.csv", "evaluations.csv", "textual_inversion_loss.csv", "nearest_words.csv"):
        assert logged(one, name) == logged(other, name), f"{name}: {told}"
    for name in ("embeddings/zorp.safetensors", "runs/zorp/embeddings/zorp-best.safetensors"):
        assert read_embedding(one / name).same_vectors(read_embedding(other / name)), f"{name}: {told}"
    assert names(one, but) == names(other, but), told  # no leftovers either


def names(folder: Path, but: tuple[str, ...]) -> set[str]:
    found = (path for path in (folder / "runs" / "zorp").rglob("*") if "tfevents" not in path.name)
    return {path.name for path in found if path.suffix not in but}


def kill_until(server: Server, tmp_path: Path, arguments: tuple[object, ...], kills: int, each: int) -> None:
    whole = tmp_path / "whole"
    code, output = server.run(whole, *arguments)
    assert code == 0, output
    assert "has settled" in output
    assert TrainState.load(whole / "runs" / "zorp" / "state.safetensors").step < 110
    done = lives = 0
    while done < kills:
        lives += 1
        folder = tmp_path / f"life-{lives}"
        told: list[str] = []
        ended = False
        while len(told) < each and not ended:
            code, how = kill(server, folder, arguments)
            ended = code == 0
            if not ended:
                told.append(how)
        done += len(told)
        if not ended:
            begun = (folder / "runs" / "zorp" / "state.safetensors").is_file()
            if not begun:
                continue
            code, output = server.run(folder, "resume", "zorp")
            assert code == 0, f"{told}: {output}"
        assert_same_end(whole, folder, "; ".join(told))


def test_a_run_that_is_killed_now_and_then_ends_with_the_same_bits(server, train_arguments, tmp_path):
    kill_until(server, tmp_path, train_arguments, kills=5, each=5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_fifty_kills_at_random_moments_and_write_points_change_no_bit(server, train_arguments, tmp_path):
    kill_until(server, tmp_path, train_arguments, kills=50, each=10)


def test_a_full_disk_ends_a_run_with_an_error_and_costs_it_nothing(server, train_arguments, tmp_path):
    """No file may grow beyond some kilobytes, which the state does not reach and the log of all steps does."""
    whole, folder = tmp_path / "whole", tmp_path / "full"
    train_arguments = (*train_arguments, "--stop", "steps", "--steps", 170)
    assert server.run(whole, *train_arguments)[0] == 0
    limit = (whole / "runs" / "zorp" / "loss.csv").stat().st_size * 3 // 4
    needed = ("state.safetensors", "run.json", "config.toml")
    assert limit > max((whole / "runs" / "zorp" / name).stat().st_size for name in needed)
    code, output = server.run(folder, *train_arguments, file_limit=limit)
    assert code == 1
    assert "loss.csv cannot be written (File too large)" in output
    assert output.rstrip().splitlines()[-1].endswith(f"continue with: pseudoword resume {folder / 'runs' / 'zorp'}")
    assert not (folder / "embeddings" / "zorp.safetensors").exists()
    check_whole(folder)
    code, output = server.run(folder, "resume", "zorp")
    assert code == 0, output
    assert_same_end(whole, folder, "a full disk", but=(".png",))  # pictures of rows that are gone
