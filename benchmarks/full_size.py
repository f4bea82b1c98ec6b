"""Time, memory and FLOPs of a training step at the published size, against the recipe that diffusers publishes.

    make bench-full-size              (or: python -m benchmarks.full_size --passes 5 --rounds 3)

An SD1.5-shaped model with random weights (`random_models.py`), pictures of 512 × 512, batch 1, on the CPU. Every
measured loop runs in a process of its own, which reports seconds for each pass after a first one that is not counted
(wall and processor time), the peak of its resident set, loading and encoding included, and the FLOPs of the first
pass. The programs take turns, so that a machine that changes its speed changes all; the ratio is the median over the
turns. `--memory-only` measures peaks of the memory modes instead, also for an SDXL-shaped model. Prints a table and
writes benchmarks/results/full-size.json.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.random_models import random_model

WORD, INIT = "hikon", "cat"
_DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
_MIB = 1024**2
_SIZES = {"sd15": 512, "sdxl": 1024}


def ours(kind: str, precision: str, memory: str, folder: Path) -> Callable[[], object]:
    """One pass (and update) of the product's own loop."""
    from pseudoword.conditioning.conditioner import Conditioner
    from pseudoword.models.load import load_model
    from pseudoword.training.captions import load_templates
    from pseudoword.training.draws import Drawing, TrainingData
    from pseudoword.training.fixed_batch import make_fixed_batch
    from pseudoword.training.initial import initial_rows
    from pseudoword.training.latents import encode_latents
    from pseudoword.training.loop import take_step
    from pseudoword.training.options import TrainOptions
    from pseudoword.training.pictures import Preparation, load_pictures
    from pseudoword.training.rate import parse_rates
    from pseudoword.training.run import RunFolder
    from pseudoword.training.sources import Source
    from pseudoword.training.state import RowOptimizer, TrainState
    from pseudoword.training.task import Task

    source = str(random_model(kind))
    model = load_model(source, device="cpu", precision=precision, hash_cache=folder / "hashes.json", memory=memory)
    *_, pictures = load_pictures([Source(folder=folder)], Preparation(resolution=_SIZES[kind]))
    *_, latents = encode_latents(model, pictures, "")
    options = TrainOptions(name=WORD, pictures=str(folder), init=INIT, vectors=1, learning_rate="5e-3", batch_size=1)
    task = Task(
        conditioner=Conditioner(model),
        data=TrainingData(latents=latents, words=("",) * len(pictures), templates=load_templates("subject"), name=WORD),
        fixed_batch=make_fixed_batch(latents, [""] * len(pictures), model.schedule),
        options=options,
        drawing=Drawing(seed=0, per_step=1),
        rates=parse_rates("5e-3"),
        clip_limits=parse_rates("1"),
        num_steps=10**6,
        folder=RunFolder(folder),
        save_copy=lambda *_: None,
        draw_preview=lambda *_: None,
        nearest=lambda _: (),
    )
    state = TrainState.start(initial_rows(model, INIT, 1))
    optimizer = RowOptimizer(state, model.device, options)
    return lambda: take_step(task, state, optimizer)


def plain(kind: str, precision: str, folder: Path) -> Callable[[], object]:
    """One pass of the published recipe; at every fourth an update."""
    import numpy as np
    from PIL import Image

    from benchmarks.published_recipe import captions, make_recipe
    from pseudoword.training.captions import load_templates

    recipe = make_recipe(random_model(kind), dtype=_DTYPES[precision], word=WORD, initial=INIT)
    lines = captions(load_templates("subject").lines, recipe.placeholder)
    files = sorted(folder.glob("*.png"))

    def one_pass() -> float:
        number = recipe.passes
        picture = np.asarray(Image.open(files[number % len(files)]).convert("RGB"), dtype=np.float32)
        pixels = torch.from_numpy(picture / 127.5 - 1).permute(2, 0, 1).unsqueeze(0)
        return recipe.one_pass(pixels, lines[number % len(lines)])

    return one_pass


def count_flops(step: Callable[[], object]) -> dict[str, float]:
    """FLOPs of one call, those of attention's own operators by formulas that torch lacks for the CPU's."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

    aten = torch.ops.aten

    def forward(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_flop_count(query, key, value)

    def backward(upstream: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
        return sdpa_backward_flop_count(upstream, query, key, value)

    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: forward,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: backward,
    }
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        step()
    by_kind = {str(key): float(value) for key, value in counter.get_flop_counts()["Global"].items()}
    return {"total": float(counter.get_total_flops()), **by_kind}


def matmul_peak(precision: str, size: int = 2048) -> float:
    """The best FLOP per second of processor time of a square matrix product: what other programs take is left out."""
    square = torch.ones(size, size, dtype=_DTYPES[precision])
    best = 0.0
    for _ in range(6):
        start = time.process_time()
        square @ square
        best = max(best, 2 * size**3 / (time.process_time() - start))
    return best


def work(chosen: argparse.Namespace) -> dict[str, Any]:
    """What a process of its own measures."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw_pictures(folder, _SIZES[chosen.kind])
        step = (
            ours(chosen.kind, chosen.precision, chosen.memory, folder)
            if chosen.worker == "ours"
            else plain(chosen.kind, chosen.precision, folder)
        )
        ready = time.perf_counter() - began
        seconds: list[float] = []
        processor: list[float] = []
        flops: dict[str, float] = {}
        for number in range(chosen.passes + 1):
            start, busy = time.perf_counter(), time.process_time()
            if number == 0 and chosen.count:
                flops = count_flops(step)
            else:
                step()
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - busy)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds[1:],
        "processor_seconds": processor[1:],
        "first_pass_seconds": seconds[0],
        "preparation_seconds": ready,
        "peak_mib": peak,
        "flops": flops,
        "matmul_peak": matmul_peak(chosen.precision),
        "threads": torch.get_num_threads(),
    }


def _draw_pictures(folder: Path, size: int) -> None:
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0)
    for number in range(2):
        Image.fromarray(noise.integers(0, 255, (size, size, 3), dtype=np.uint8)).save(folder / f"{number}.png")


def run(program: str, precision: str, passes: int, *, kind: str = "sd15", memory: str = "normal", count: bool = False):
    """Measure one program in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.full_size", "--worker", program, "--precision", precision]
    command += ["--passes", str(passes), "--kind", kind, "--memory", memory, *(["--count"] if count else [])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """What the figures are of."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    flags = Path("/proc/cpuinfo").read_text()
    return {
        "processor": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "bf16": [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags],
        "load": os.getloadavg(),
        "torch": torch.__version__,
    }


def compare(passes: int, rounds: int, with_fp32: bool) -> dict[str, Any]:
    """All programs in turns."""
    programs = [("ours", "bf16"), ("plain", "bf16"), *([("plain", "fp32")] if with_fp32 else [])]
    turns = [
        {f"{name} {precision}": run(name, precision, passes, count=turn == 0) for name, precision in programs}
        for turn in range(rounds)
    ]
    result: dict[str, Any] = {"machine": machine(), "turns": turns}
    for name in turns[0]:
        seconds = statistics.median(statistics.median(turn[name]["seconds"]) for turn in turns)
        flops, peak = turns[0][name]["flops"].get("total", 0.0), max(turn[name]["matmul_peak"] for turn in turns)
        result[name] = {
            "seconds": seconds,
            "processor_seconds": statistics.median(statistics.median(t[name]["processor_seconds"]) for t in turns),
            "peak_mib": max(turn[name]["peak_mib"] for turn in turns),
            "tflop": flops / 1e12,
            "matmul_peak_tflops": peak / 1e12,
            "share_of_peak": flops / statistics.median(turns[0][name]["processor_seconds"]) / peak,
        }
    for name in list(result):
        if name.startswith("plain"):
            for figure in ("seconds", "processor_seconds"):
                pairs = [
                    statistics.median(turn["ours bf16"][figure]) / statistics.median(turn[name][figure])
                    for turn in turns
                ]
                result[f"{figure}: ours / {name}"] = statistics.median(pairs)
            result[f"memory: ours / {name}"] = result["ours bf16"]["peak_mib"] / result[name]["peak_mib"]
    return result


def peaks(kinds: list[str]) -> dict[str, Any]:
    """Peak of the resident set by model and memory mode, over loading, encoding and two passes."""
    found = {
        f"{kind} {memory}": run("ours", "bf16", 1, kind=kind, memory=memory)
        for kind in kinds
        for memory in ("normal", "low")
    }
    return {"machine": machine()} | {
        name: {"peak_mib": m["peak_mib"], "seconds": m["seconds"]} for name, m in found.items()
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-fp32", action="store_true")
    parser.add_argument("--memory-only", nargs="*", choices=list(_SIZES))
    parser.add_argument("--worker", choices=["ours", "plain"], help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="bf16", help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="sd15", help=argparse.SUPPRESS)
    parser.add_argument("--memory", default="normal", help=argparse.SUPPRESS)
    parser.add_argument("--count", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        print(json.dumps(work(chosen)))
        return
    out = Path(__file__).parent / "results"
    out.mkdir(exist_ok=True)
    if chosen.memory_only is not None:
        kinds = chosen.memory_only or ["sd15"]
        for kind in kinds:
            random_model(kind)
        result, file = peaks(kinds), out / "full-size-memory.json"
    else:
        random_model("sd15")
        result, file = compare(chosen.passes, chosen.rounds, not chosen.no_fp32), out / "full-size.json"
    file.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in result.items():
        if name != "turns":
            print(f"{name}: {value:.3f}" if isinstance(value, float) else f"{name}: {json.dumps(value)}")


if __name__ == "__main__":
    main()
