"""Every stage of `base_model/` on a fixture of three small icon sets: a smoke run of how the bundled model was made.

The networks are tiny and see a few dozen steps, so nothing is learned that could be seen; what is checked is that
losses fall, that each stage leaves what the next one reads, that a killed run continues to the same bits, and
that plain diffusers loads and samples the result.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

SETS = "noto,fluent-emoji-flat,fxemoji"
AUTOENCODER = ("--steps", "50", "--batch", "8", "--learning-rate", "3e-3")
DENOISER = ("--steps", "60", "--batch", "8", "--learning-rate", "3e-3")
SMALL = ("--warmup", "5", "--log-every", "10", "--precision", "fp32", "--threads", "1")
ROOT = Path(__file__).resolve().parents[2]
ICONS = ROOT / "tests" / "data" / "icons"
SOURCE = ("--icons", str(ICONS), "--sets", SETS)

Run = Callable[..., int]

# diffusers 0.42 hands a tensor to np.array in a way that NumPy 2 warns of
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """`run(stage, work, *options)` in this process, as the command line does it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        from base_model.__main__ import main

        yield lambda stage, work, *options: main([stage, "--work", str(work), *options])


@dataclass(frozen=True)
class Made:
    work: Path
    codes: dict[str, int]


@pytest.fixture(scope="module")
def made(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """A work folder in which every stage has run once."""
    import torch

    threads = torch.get_num_threads()
    work = tmp_path_factory.mktemp("base-model")
    codes = {
        "render": run(*("render", work, "--icons", str(ICONS), "--sets", SETS, "--size", "tiny", "--shared-by", "2")),
        "autoencoder": run("autoencoder", work, *AUTOENCODER, *SMALL),
        "latents": run("latents", work, "--precision", "fp32", "--threads", "1"),
        "denoiser": run("denoiser", work, *DENOISER, *SMALL),
        "export": run("export", work),
        "card": run("card", work, "--threads", "1", "--sample-steps", "2"),
    }
    yield Made(work, codes)
    torch.set_num_threads(threads)


def facts(work: Path, stage: str) -> dict:
    return json.loads((work / stage / "done.json").read_text("utf-8"))


def losses(work: Path, stage: str) -> list[float]:
    return [json.loads(line)["loss"] for line in (work / stage / "log.jsonl").read_text("utf-8").splitlines()]


def tensors(work: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(work / "denoiser" / "state.safetensors")


@pytest.mark.parametrize("kept_back", ["fluent-emoji-high-contrast", "openmoji", "emojione-v1"])
def test_a_kept_back_set_is_refused(
    run: Run, tmp_path: Path, kept_back: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("render", tmp_path, "--icons", str(ICONS), "--sets", f"noto,{kept_back}") == 2
    assert f"{kept_back} is kept back" in capsys.readouterr().err
    assert not (tmp_path / "render").exists()


def test_a_kept_back_set_is_refused_under_another_name(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disguised = tmp_path / "icons" / "twemoji"
    shutil.copytree(ICONS / "noto", disguised)
    icons = json.loads((disguised / "icons.json").read_text("utf-8"))
    (disguised / "icons.json").write_text(json.dumps({**icons, "prefix": "openmoji"}), "utf-8")
    assert run("render", tmp_path, "--icons", str(tmp_path / "icons"), "--sets", "twemoji") == 2
    assert "openmoji is kept back" in capsys.readouterr().err


def test_a_stage_says_which_stage_must_come_before(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("autoencoder", tmp_path, *AUTOENCODER, *SMALL) == 2
    assert "python -m base_model render" in capsys.readouterr().err


def test_the_same_captions_give_the_same_tokenizer(run: Run, tmp_path: Path) -> None:
    from base_model.captions import corpus
    from base_model.tokenizer import write_tokenizer

    names = list(json.loads((ICONS / "noto" / "icons.json").read_text("utf-8"))["icons"])
    for copy in ("first", "second"):
        write_tokenizer(tmp_path / copy, corpus(names, ["noto"] * len(names)), 1000)
    for file in ("merges.txt", "vocab.json"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()


@pytest.mark.slow
def test_every_stage_ends_well_and_is_not_done_twice(made: Made, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(made.codes.values()) == {0}
    for stage in made.codes:
        assert run(stage, made.work, *(SOURCE if stage == "render" else ())) == 0
        assert "already finished" in capsys.readouterr().out


@pytest.mark.slow
def test_render_draws_squares_with_alpha_and_records_the_licences(made: Made) -> None:
    sets = facts(made.work, "render")["sets"]
    drawn = {name: (one["pictures"], one["licence"]) for name, one in sets.items()}
    assert drawn == {"noto": (23, "Apache-2.0"), "fluent-emoji-flat": (23, "MIT"), "fxemoji": (24, "Apache-2.0")}
    pictures = np.load(made.work / "render" / "noto.npy")
    assert pictures.shape == (23, 64, 64, 4)
    assert pictures.dtype == np.uint8
    assert 0 < (pictures[..., 3] == 0).mean() < 1


@pytest.mark.slow
def test_only_shared_concepts_that_the_table_keeps_are_learned(made: Made) -> None:
    learned = facts(made.work, "latents")
    assert (learned["pictures"], learned["concepts"]) == (66, 22)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["autoencoder", "denoiser"])
def test_the_loss_falls(made: Made, stage: str) -> None:
    logged = losses(made.work, stage)
    assert logged[-1] < 0.95 * logged[0]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_continues_to_the_same_bits(made: Made, run: Run, tmp_path: Path) -> None:
    for stage in ("render", "autoencoder", "latents"):
        shutil.copytree(made.work / stage, tmp_path / stage)
    command = [sys.executable, "-m", "base_model", "denoiser", "--work", str(tmp_path), *DENOISER, *SMALL]
    log = tmp_path / "killed.txt"
    with log.open("wb") as output:
        killed = subprocess.Popen(
            [*command, "--save-every", "0.3"], cwd=ROOT, stdout=output, stderr=output, env={**os.environ}
        )
    _wait_for(tmp_path / "denoiser" / "state.safetensors", killed)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, log.read_text()
    assert not (tmp_path / "denoiser" / "done.json").exists()

    assert run("denoiser", tmp_path, *DENOISER, *SMALL) == 0
    unbroken, continued = tensors(made.work), tensors(tmp_path)
    assert unbroken.keys() == continued.keys()
    assert [name for name in unbroken if not np.array_equal(unbroken[name], continued[name])] == []
    assert losses(made.work, "denoiser") == losses(tmp_path, "denoiser")


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.slow
def test_plain_diffusers_loads_the_exported_folder_and_draws(made: Made) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    folder = made.work / "export" / "pipeline"
    pipeline = StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    picture = pipeline("a red heart", num_inference_steps=2, generator=generator).images[0]
    assert picture.size == (64, 64)
    assert np.asarray(picture).std() > 0


@pytest.mark.slow
def test_the_exported_weights_are_half_precision_and_named_as_transformers_4_reads_them(made: Made) -> None:
    from safetensors.numpy import load_file

    files = {path.parent.name: load_file(path) for path in (made.work / "export" / "pipeline").rglob("*.safetensors")}
    assert files.keys() == {"text_encoder", "unet", "vae"}
    assert {tensor.dtype for part in files.values() for tensor in part.values()} == {np.dtype(np.float16)}
    assert all(name.startswith("text_model.") for name in files["text_encoder"])


@pytest.mark.slow
def test_the_tokenizer_is_clips(made: Made) -> None:
    from transformers import CLIPTokenizer

    folder = made.work / "export" / "pipeline" / "tokenizer"
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (len(tokenizer) - 2, len(tokenizer) - 1)
    assert tokenizer.tokenize("A Red HEART, fluent flat") == [
        "a</w>",
        "red</w>",
        "heart</w>",
        ",</w>",
        "fluent</w>",
        "flat</w>",
    ]
    ids = tokenizer("a key").input_ids
    assert (ids[0], ids[-1], len(ids)) == (tokenizer.bos_token_id, tokenizer.eos_token_id, 4)
    assert tokenizer.decode(tokenizer("zèbre 7!", add_special_tokens=False).input_ids).strip() == "zèbre 7 !"


@pytest.mark.slow
def test_the_target_is_the_velocity_of_diffusers(run: Run) -> None:
    import torch
    from base_model.objective import BETA_END, BETA_START, alphas_cumprod, noised_and_target
    from diffusers import DDPMScheduler

    oracle = DDPMScheduler(beta_start=BETA_START, beta_end=BETA_END, beta_schedule="scaled_linear")
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(5, 4, 8, 8, generator=generator) for _ in range(2))
    at = torch.tensor([0, 1, 500, 998, 999])
    noised, target = noised_and_target(latents, noise, at, alphas_cumprod())
    torch.testing.assert_close(noised, oracle.add_noise(latents, noise, at))
    torch.testing.assert_close(target, oracle.get_velocity(latents, noise, at))


@pytest.mark.slow
def test_the_card_names_data_time_figures_and_weaknesses(made: Made) -> None:
    card = (made.work / "card" / "README.md").read_text("utf-8")
    for words in ("Noto Emoji", "Apache-2.0", "MIT", "Microsoft Corporation", "| denoiser | 60 | 8 |", "icon"):
        assert words in card
    assert "| 900 |" in card
    for picture in ("loss.png", "samples.png"):
        assert f"]({picture})" in card
        assert (made.work / "card" / picture).stat().st_size > 1000
