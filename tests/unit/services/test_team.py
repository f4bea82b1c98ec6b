"""Two processes make the steps of one with twice the batch, whoever starts them, and only the first of them writes."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pseudoword.embeddings import read_embedding
from pseudoword.training.team import free_port

SMALL = ["--steps", "4", "--vectors", "2", "--init", "cat", "--device", "cpu", "--precision", "fp32", "--seed", "3"]
SMALL += ["--evaluate-every", "2", "--preview-every", "0", "--save-every", "2", "--learning-rate", "1e-2"]
SOURCE = Path(__file__).parents[3] / "src"


class Programs:
    """Runs `pseudoword train` in processes of its own, each run in a folder of its own."""

    def __init__(self, folder, model, pictures):
        self.folder, self.model, self.pictures = folder, model, pictures

    def start(self, name, *options, **environment):
        at = self.folder / name
        command = [sys.executable, "-m", "pseudoword", "train", "zorp", str(self.pictures), "--model", str(self.model)]
        command += [*SMALL, *options, "--runs-dir", str(at / "runs"), "--embeddings-dir", str(at / "embeddings")]
        own = {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1", "PSEUDOWORD_CACHE_DIR": str(at / "cache")}
        return subprocess.Popen(
            command,
            env={**os.environ, **own, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *processes):
        for process in processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0, output

    def losses(self, name):
        with (self.folder / name / "runs" / "zorp" / "loss.csv").open() as handle:
            return [float(row["loss"]) for row in csv.DictReader(handle)]

    def rows(self, name, word="zorp"):
        return read_embedding(self.folder / name / "embeddings" / f"{word}.safetensors").vectors["clip_l"]


@pytest.fixture
def programs(tmp_path, tiny_folder, pictures_dir):
    return Programs(tmp_path, tiny_folder("sd1"), pictures_dir)


@pytest.mark.timeout(280)
def test_two_processes_make_the_steps_of_one_with_twice_the_batch(programs):
    programs.finish(programs.start("one", "--batch-size", "4"))
    programs.finish(programs.start("two", "--batch-size", "2", "--num-processes", "2"))
    expected = programs.losses("one")
    assert len(expected) == 4
    assert programs.losses("two") == pytest.approx(expected, rel=1e-5)
    assert (programs.rows("two") - programs.rows("one")).abs().max() < 1e-4


@pytest.mark.timeout(280)
def test_so_do_two_words_though_a_step_of_a_process_may_call_only_one(programs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(programs.pictures, other)
    both = ["--and", f"blip={other};init=dog;vectors=3"]
    programs.finish(programs.start("one", "--batch-size", "2", *both))
    programs.finish(programs.start("two", "--batch-size", "1", "--num-processes", "2", *both))
    assert programs.losses("two") == pytest.approx(programs.losses("one"), rel=1e-5)
    assert (programs.rows("two", "blip") - programs.rows("one", "blip")).abs().max() < 1e-4


@pytest.mark.timeout(280)
def test_a_launch_of_two_processes_does_the_same_and_only_the_first_writes(programs):
    """The environment is that which accelerate and torchrun make; each process has folders of its own here."""
    programs.finish(programs.start("one", "--batch-size", "4"))
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    both = [
        programs.start(f"rank{rank}", "--batch-size", "2", RANK=str(rank), LOCAL_RANK=str(rank), **launch)
        for rank in range(2)
    ]
    programs.finish(*both)
    assert programs.losses("rank0") == pytest.approx(programs.losses("one"), rel=1e-5)
    assert {path.name for path in (programs.folder / "rank1").rglob("*") if path.is_file()} <= {"hashes.json"}
