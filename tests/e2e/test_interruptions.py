"""A training stopped by a signal at a random moment ends, once resumed, with the same bits; a comparison too.

Real processes and real signals, on a tiny model and on the one that ships. The moment is drawn anew in every run of
the tests and stands in the message of a failure.
"""

import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from pseudoword.embeddings import read_embedding
from pseudoword.training.state import TrainState

STEPS = {"sd1": 60, "bundled": 8}


def command(folder: Path, *arguments: object) -> list[str]:
    folders = ["--embeddings-dir", str(folder / "embeddings"), "--runs-dir", str(folder / "runs")]
    return [sys.executable, "-m", "pseudoword", *(str(a) for a in arguments), *folders]


def training(folder: Path, model: object, pictures: Path, steps: int) -> list[str]:
    return command(
        folder, "train", "zorp", pictures, "--model", model, "--init", "cat", "--steps", steps, "--batch-size", 2,
        "--evaluate-every", steps // 2, "--preview-every", 0, "--save-every", steps // 2, "--precision", "fp32",
    )  # fmt: skip


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def rows_in_log(folder: Path) -> list[tuple[str, str]]:
    path = folder / "runs" / "zorp" / "loss.csv"
    if not path.is_file():
        return []
    with path.open() as handle:
        return [(row["step"], row["loss"]) for row in csv.DictReader(handle)]


def wait_for_state(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the first state is on disk: the run exists from then on."""
    state = folder / "runs" / "zorp" / "state.safetensors"
    deadline = time.monotonic() + 120
    while not state.is_file():
        assert process.poll() is None, "the training ended before it began"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["sd1", "bundled"])
def test_a_run_stopped_by_a_signal_ends_with_the_same_bits(kind, tiny_folder, pictures_dir, tmp_path):
    model, steps = ("bundled" if kind == "bundled" else tiny_folder(kind)), STEPS[kind]
    whole = tmp_path / "whole"
    start = time.monotonic()
    subprocess.run(
        training(whole, model, pictures_dir, steps), check=True, env=environment(), stdout=subprocess.DEVNULL
    )
    with (whole / "runs" / "zorp" / "loss.csv").open() as handle:
        stepping = sum(float(row["seconds"]) for row in csv.DictReader(handle))
    assert time.monotonic() - start > stepping
    for number in (signal.SIGINT, signal.SIGKILL):
        moment = random.uniform(0, stepping)
        folder = tmp_path / number.name
        process = subprocess.Popen(
            training(folder, model, pictures_dir, steps), env=environment(), stdout=subprocess.DEVNULL
        )
        wait_for_state(process, folder)
        time.sleep(moment)
        process.send_signal(number)
        code = process.wait(timeout=120)
        told = f"{number.name} {moment:.3f} s after the first state"
        assert code in ((130, 0) if number == signal.SIGINT else (-signal.SIGKILL, 0)), told
        subprocess.run(
            [*command(folder, "resume", "zorp")[:-4], "--runs-dir", str(folder / "runs")],
            check=True,
            env=environment(),
            stdout=subprocess.DEVNULL,
        )
        assert rows_in_log(folder) == rows_in_log(whole), told
        one, other = (TrainState.load(f / "runs" / "zorp" / "state.safetensors") for f in (whole, folder))
        for slot, values in one.rows.items():
            assert torch.equal(values, other.rows[slot]), told
        for key, values in one.memory.tensors.items():
            assert torch.equal(values, other.memory.tensors[key]), told
        assert (one.step, one.best_loss, one.best_step) == (other.step, other.best_loss, other.best_step), told
        first, second = (read_embedding(f / "embeddings" / "zorp.safetensors") for f in (whole, folder))
        assert first.same_vectors(second), told


def test_ctrl_c_says_how_to_go_on(tiny_folder, pictures_dir, tmp_path):
    process = subprocess.Popen(
        training(tmp_path, tiny_folder("sd1"), pictures_dir, 100_000),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for_state(process, tmp_path)
    end = time.monotonic() + 120
    while TrainState.load(tmp_path / "runs" / "zorp" / "state.safetensors").step == 0 and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"continue with: pseudoword resume {tmp_path / 'runs' / 'zorp'}" in output
    assert read_embedding(tmp_path / "embeddings" / "zorp.safetensors").provenance.step


def comparing(folder: Path, model: object) -> list[str]:
    return [
        sys.executable, "-m", "pseudoword", "compare", "a cat", "--axis", "seed=1..4", "--axis", "cfg=3,7",
        "--steps", "60", "--model", str(model), "--precision", "fp32", "--out", str(folder),
    ]  # fmt: skip


def test_a_comparison_that_was_killed_ends_with_the_same_cells_and_draws_no_finished_one_again(tiny_folder, tmp_path):
    model, whole, killed = tiny_folder("sd1"), tmp_path / "whole", tmp_path / "killed"
    subprocess.run(comparing(whole, model), check=True, env=environment(), stdout=subprocess.DEVNULL)
    process = subprocess.Popen(comparing(killed, model), env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((killed / "cells").glob("*.png"))) < 2:
        assert process.poll() is None, "the comparison ended before it was stopped"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(random.uniform(0, 0.2))
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert not (killed / "index.html").exists()
    finished = {path.name: path.stat().st_mtime_ns for path in (killed / "cells").glob("*.png")}
    assert 2 <= len(finished) < 8
    subprocess.run(comparing(killed, model), check=True, env=environment(), stdout=subprocess.DEVNULL)
    cells = {path.name: path for path in (killed / "cells").iterdir() if path.suffix == ".png"}
    assert {name: cells[name].stat().st_mtime_ns for name in finished} == finished
    assert {name: path.read_bytes() for name, path in cells.items()} == {
        path.name: path.read_bytes() for path in (whole / "cells").glob("*.png")
    }
    assert len(cells) == 8
    assert not list(killed.rglob("*.tmp*")), "what the kill cut short is cleared away"
    assert (killed / "index.html").is_file()
    assert (killed / "grid.png").is_file()
