"""How long a library of many files takes: the first scan, a re-scan of an unchanged folder, and one changed file.

`python -m benchmarks.library_scan [--files 10000]` makes the files in a temporary folder: A1111's, kohya's,
diffusers' and SDXL's, one to eight vectors each, in the proportions of a collection. Prints JSON.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import torch

from pseudoword.embeddings import Embedding, Provenance, embedding_to_bytes
from pseudoword.library import Library

_KINDS = ((".pt", {"clip_l": 768}), (".safetensors", {"clip_l": 768}), (".bin", {"clip_l": 768}),
          (".pt", {"clip_h": 1024}), (".safetensors", {"clip_l": 768, "clip_g": 1280}))  # fmt: skip


def main() -> None:
    """Make the files, scan, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        num_bytes = make(Path(folder), options.files)
        print(json.dumps({"files": options.files, "MiB": round(num_bytes / 2**20, 1), **scan(Path(folder))}, indent=2))


def make(folder: Path, count: int) -> int:
    """Write the files, an hour old, in a hundred subfolders; returns their size."""
    generator = torch.Generator().manual_seed(0)
    then = time.time() - 3600
    total = 0
    for number in range(count):
        suffix, widths = _KINDS[number % len(_KINDS)]
        vectors = {slot: torch.randn(1 + number % 8, width, generator=generator) for slot, width in widths.items()}
        known = Provenance(step=number, base_model="v1-5-pruned", base_model_hash="cc6cb27103")
        content = embedding_to_bytes(Embedding(name=f"word{number}", vectors=vectors, provenance=known), suffix)
        path = folder / f"{number % 100:02}" / f"word{number}{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (then, then))
        total += len(content)
    return total


def scan(folder: Path) -> dict[str, float]:
    """Seconds and memory of the three scans."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    library = Library(folder)
    cpu = time.process_time()
    first, _ = _timed(library.refresh)
    cpu = time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    again = min(_timed(library.refresh)[0] for _ in range(5))
    changed = next(iter(library.snapshot.entries.values())).path
    os.utime(changed)
    one, snapshot = _timed(library.refresh)
    assert not snapshot.skipped
    vectors = sum(t.nbytes for entry in snapshot.entries.values() for t in entry.embedding.vectors.values())
    return {
        "entries": len(snapshot.entries),
        "first scan, s": round(first, 2),
        "first scan, s of processor time": round(cpu, 2),
        "unchanged re-scan, s": round(again, 3),
        "re-scan with one file touched, s": round(one, 3),
        "vectors, MiB": round(vectors / 2**20, 1),
        "memory gained, MiB": round((peak - before) / 2**10, 1),
    }


def _timed(call) -> tuple[float, object]:
    began = time.perf_counter()
    value = call()
    return time.perf_counter() - began, value


if __name__ == "__main__":
    main()
